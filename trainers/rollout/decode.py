"""Decoding on the weights that are being trained, in a loop of our own.

What ``transformers``' ``generate`` spends most on with groups of completions, this does not do: a
prompt is computed once for its whole group, and a completion that has ended leaves the batch (its
rows of the cache are dropped), so that the last long one does not drag the others along. The states
go through the same head as in the loss, so both have the same log-probabilities.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from rewardkit.trainers import parallel
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.sampler import KeyedSampler

__all__ = ["Ended", "can_decode", "decode", "grown_batch"]

Ended = Callable[[int, list[int], list[float]], None]
"""Called with a row, its tokens (the end token included, if it came) and their log-probabilities,
as soon as the row has ended."""

_KEEP_AT_LEAST = 7 / 8
"""Share of rows still alive below which the batch is cut down: to drop a row copies the cache."""


def can_decode(policy: Policy) -> bool:
    """Whether the model keeps keys and values by position, which the loop needs.

    Not so: recurrent and hybrid models, whose state is no list of positions, and models that take
    no positions (ALiBi), which left padding would confuse. That the loop gives the model's own
    probabilities is tried once, on a few tokens.
    """
    if policy.decodes is None:
        taken = inspect.signature(policy.base.base_model.forward).parameters
        stateful = bool(getattr(policy.base, "_is_stateful", False))
        fit = {"position_ids", "past_key_values"} <= set(taken) and not stateful
        policy.decodes = fit and _agrees(policy)
    return policy.decodes


@torch.no_grad()
def _agrees(policy: Policy) -> bool:
    """Whether a padded prompt and a cached past give the states that the whole text gives."""
    training = policy.model.training
    policy.model.eval()
    try:
        off = _difference(policy)
    finally:
        policy.model.train(training)
    if off > (1e-3 if policy.base.dtype == torch.float32 else 0.3):
        parallel.warn(
            f"{type(policy.base).__name__} gives other probabilities with a cache than without "
            f"(off by {off:.3g}): completions are written by transformers' generate instead",
            stacklevel=2,
        )
        return False
    return True


def _difference(policy: Policy) -> float:
    """The greatest difference between log-probabilities with and without cache and padding."""
    vocabulary = policy.head.vocabulary
    prompts = [[(7 * i + n) % vocabulary for i in range(n)] for n in (8, 5)]
    batch = _Batch.begin(policy, [prompt[:-1] for prompt in prompts])
    batch.advance(torch.tensor([prompt[-1] for prompt in prompts], device=policy.device))
    ours = policy.head.logits(batch.last).log_softmax(-1)
    off = 0.0
    for prompt, mine in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt], device=policy.device)
        states = policy.hidden(ids, torch.ones_like(ids))[0, -1:]
        off = max(off, float((policy.head.logits(states).log_softmax(-1)[0] - mine).abs().max()))
    return off


def decode(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    sampler: KeyedSampler,
    max_tokens: int,
    on_end: Ended,
) -> None:
    """Write one completion per prompt; equal prompts are computed once.

    Args:
        policy: in evaluation mode.
        prompts: token ids, one list per row.
        sampler: chooses the tokens; its keys are those of the rows.
        max_tokens: after which a completion is cut off.
        on_end: told of each row as it ends.
    """
    batch = _Batch.begin(policy, prompts)
    ends = frozenset(policy.eos_ids)
    tokens: list[list[int]] = [[] for _ in prompts]
    logps: list[list[float]] = [[] for _ in prompts]
    for position in range(max_tokens):
        logits = policy.head.logits(batch.last)
        chosen, logp = sampler.choose(logits, position, batch.rows)
        ids, values = chosen.tolist(), logp.tolist()
        last = position == max_tokens - 1
        for place in np.flatnonzero(batch.alive):
            row = int(batch.rows[place])
            tokens[row].append(ids[place])
            logps[row].append(values[place])
            if last or ids[place] in ends:
                batch.alive[place] = False
                on_end(row, tokens[row], logps[row])
        if not batch.alive.any():
            return
        batch.advance(batch.drop_ended(chosen))


def grown_batch(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    caused_by: Callable[[str], AbstractContextManager[None]],
) -> _Batch:
    """The batch as it is after so many tokens of each row, for an account of its memory.

    Args:
        policy: on fake tensors; nothing is written.
        prompts: token ids, one list per row.
        tokens: by which the cache has grown.
        caused_by: entered where tensors of the cache are made.
    """
    batch = _Batch.begin(policy, prompts)
    batch._mask = torch.cat([batch._mask, batch._mask.new_ones(len(prompts), tokens)], dim=1)
    with caused_by("KV cache"):
        for layer in batch._cache.layers:
            for name in ("keys", "values"):
                rows, heads, past, width = getattr(layer, name).shape
                full = layer.keys.new_empty((rows, heads, past + tokens, width))
                setattr(layer, name, full)
    update = batch._cache.update

    def booked(*args: Any, **kwargs: Any) -> Any:
        with caused_by("KV cache"):
            return update(*args, **kwargs)

    batch._cache.update = booked
    return batch


class _Batch:
    """The rows still being written, their cache, and the states that predict their next tokens.

    Attributes:
        rows: which rows these are, ``[R]``.
        alive: which of them have not ended, ``[R]``.
        last: last hidden states, ``[R, H]``.
    """

    def __init__(self, policy: Policy, mask: torch.Tensor) -> None:
        self._policy, self._mask = policy, mask
        self._cache: Any = DynamicCache(config=policy.base.config.get_text_config())
        self.rows = np.arange(len(mask))
        self.alive = np.ones(len(mask), dtype=bool)
        self.last: torch.Tensor

    @classmethod
    def begin(cls, policy: Policy, prompts: Sequence[Sequence[int]]) -> _Batch:
        """Compute each different prompt once, padded on the left, and give every row its own."""
        different = list(dict.fromkeys(map(tuple, prompts)))
        width = max(map(len, different))
        ids = torch.full((len(different), width), policy.tokenizer.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(different):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        batch = cls(policy, mask.to(policy.device))
        batch._forward(ids.to(policy.device))
        places = {prompt: i for i, prompt in enumerate(different)}
        batch._select(torch.tensor([places[tuple(prompt)] for prompt in prompts]))
        batch.rows, batch.alive = np.arange(len(prompts)), np.ones(len(prompts), dtype=bool)
        return batch

    def drop_ended(self, chosen: torch.Tensor) -> torch.Tensor:
        """Cut the batch down where enough has ended; gives the tokens of the rows that stay."""
        if self.alive.mean() > _KEEP_AT_LEAST:
            return chosen
        kept = torch.from_numpy(np.flatnonzero(self.alive))
        self._select(kept)
        self.rows, self.alive = self.rows[self.alive], self.alive[self.alive]
        return chosen[kept.to(chosen.device)]

    def advance(self, tokens: torch.Tensor) -> None:
        """Take one more token per row, ``[R]``."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        self._forward(tokens[:, None])

    def _forward(self, ids: torch.Tensor) -> None:
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        states = self._policy.advance(ids, self._mask, positions, self._cache)
        self.last = states[:, -1]

    def _select(self, places: torch.Tensor) -> None:
        places = places.to(self._mask.device)
        self._mask, self.last = self._mask[places], self.last[places]
        self._cache.batch_select_indices(places)
