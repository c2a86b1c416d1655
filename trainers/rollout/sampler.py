"""Sampling whose noise is keyed, not streamed.

Each token's random number is a hash of (seed, step, prompt, sample, position). A completion is
therefore the same however the batch is cut, on whichever device, and after a resume: there is no
generator whose state would have to be right.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

__all__ = ["KeyedSampler", "keyed_uniform", "row_keys"]

_U64 = np.uint64


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): it avalanches."""
    with np.errstate(over="ignore"):
        x = (x + _U64(0x9E3779B97F4A7C15)).astype(np.uint64)
        x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
    return x ^ (x >> _U64(31))


def row_keys(seed: int, step: int, prompts: list[int], samples: list[int]) -> NDArray[np.uint64]:
    """One key per row, ``[B]``: its prompt's place in the data, its sample's in the group."""
    key = _mix(np.full(len(prompts), seed % 2**64, dtype=np.uint64))
    for column in (np.full(len(prompts), step), np.array(prompts), np.array(samples)):
        key = _mix(key ^ column.astype(np.uint64))
    return key


def keyed_uniform(keys: NDArray[np.uint64], position: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), ``[B]``, for one position of each row."""
    bits = _mix(keys ^ _U64(position)) >> _U64(11)
    return bits.astype(np.float64) * 2.0**-53


class KeyedSampler(LogitsProcessor):
    """Chooses the token by inverting the distribution at a keyed uniform number.

    As a logits processor it leaves one token possible, so that ``generate`` with greedy decoding
    takes it; this keeps every cache and architecture that ``generate`` knows.

    Args:
        keys: of each row, ``[B]``; ``None`` takes the most probable token.
        prompt_length: columns of the (left-padded) prompt; needed as a logits processor alone.
        temperature: divides the logits.
        top_k: keep the k most probable tokens; 0 keeps all.
        top_p: keep the most probable tokens up to this mass.

    Attributes:
        chosen: one pair of ``[B]`` tensors per position when used as a logits processor: the token
            and its log-probability.
    """

    def __init__(
        self,
        keys: NDArray[np.uint64] | None,
        prompt_length: int = 0,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
    ) -> None:
        self.keys, self.prompt_length = keys, prompt_length
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.chosen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def choose(
        self, logits: torch.Tensor, position: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The token at one position, and its log-probability, for each row.

        Args:
            logits: ``[R, V]``.
            position: of the token in the completion, from 0.
            rows: which rows of ``keys`` these are, ``[R]``; ``None``: all.

        Returns:
            ``[R]`` token ids, and ``[R]`` float32 log-probabilities under the distribution at
            ``temperature``, before top-k and top-p, as the loss has it.
        """
        z = logits.float() / self.temperature
        logp = torch.log_softmax(z, dim=-1)
        if self.keys is None:
            chosen = z.argmax(-1)
        else:
            keys = self.keys if rows is None else self.keys[rows]
            uniform = torch.from_numpy(keyed_uniform(keys, position))
            chosen = self._invert(logp, uniform.to(z.device))
        return chosen, logp.gather(1, chosen[:, None]).squeeze(1)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        self.chosen.append(self.choose(scores, input_ids.shape[1] - self.prompt_length))
        only = torch.full_like(scores, float("-inf"))
        return only.scatter_(1, self.chosen[-1][0][:, None], 0.0)  # type: ignore[return-value]

    def _invert(self, logp: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """The token at which the cumulative distribution passes ``uniform``; ``[B, V] -> [B]``."""
        # float64: a float32 sum over 150,000 tokens loses the tail and can stop short of 1.
        p = logp.double().exp()
        if self.top_k:
            kth = p.topk(min(self.top_k, p.shape[-1])).values[:, -1:]
            p = p.where(p >= kth, 0.0)
        if self.top_p < 1.0:
            ordered, order = p.sort(descending=True)
            before = ordered.cumsum(-1) - ordered
            kept = ordered.where(before < self.top_p * p.sum(-1, keepdim=True), 0.0)
            p = torch.zeros_like(p).scatter_(1, order, kept)
        cumulative = p.cumsum(-1)
        target = uniform[:, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, target, right=True).squeeze(1)
        return chosen.clamp(max=p.shape[-1] - 1)
