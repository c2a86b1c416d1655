"""Log-probabilities from hidden states, without the logits of (tokens x vocabulary).

The head is applied to a few rows at a time and computed again in the backward pass, so at any
moment only one chunk's logits exist; the chunk's size follows from a budget in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

__all__ = ["Head", "token_logps"]

# fp32 logits, their softmax in the backward, and the gradient: three copies of [rows, V].
_BYTES_PER_LOGIT = 12


@dataclass(frozen=True, slots=True)
class Head:
    """How a model turns a hidden state into logits.

    Attributes:
        project: the output embedding, with adapters on it if there are any.
        vocabulary: number of logits.
        scale: factor on the logits (Cohere's ``logit_scale``; one over Granite's).
        softcap: ``softcap * tanh(z / softcap)``, as Gemma has it.
    """

    project: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int
    scale: float = 1.0
    softcap: float | None = None

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[R, H] -> [R, V]`` in float32 (or float64, if the hidden states are)."""
        z = self.project(hidden)
        z = z if z.dtype == torch.float64 else z.float()
        if self.scale != 1.0:
            z = z * self.scale
        if self.softcap is not None:
            z = self.softcap * torch.tanh(z / self.softcap)
        return z


def token_logps(
    head: Head,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    *,
    temperature: float = 1.0,
    budget_mib: float = 64.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target and entropy of each position.

    Args:
        head: the model's head.
        hidden: ``[M, H]``, the state from which each target is predicted.
        targets: ``[M]``, token ids.
        temperature: divides the logits, in sampling and learning alike.
        budget_mib: memory for one chunk's logits.

    Returns:
        ``logp [M]`` with gradient, and ``entropy [M]`` in nats, without.
    """
    rows = max(1, int(budget_mib * 2**20 / (_BYTES_PER_LOGIT * head.vocabulary)))
    logps, entropies = [], []
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        run = (head, hidden[part], targets[part], temperature)
        if torch.is_grad_enabled():
            logp, entropy = checkpoint(_chunk, *run, use_reentrant=False)
        else:
            logp, entropy = _chunk(*run)
        logps.append(logp)
        entropies.append(entropy)
    if not logps:
        empty = hidden.new_zeros(0, dtype=torch.float32)
        return empty + hidden.sum() * 0, empty
    return torch.cat(logps), torch.cat(entropies)


def _chunk(
    head: Head, hidden: torch.Tensor, targets: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    z = head.logits(hidden)
    if temperature != 1.0:
        z = z / temperature
    log_z = torch.logsumexp(z, dim=-1)
    logp = z.gather(1, targets[:, None]).squeeze(1) - log_z
    with torch.no_grad():
        entropy = log_z - (torch.softmax(z, dim=-1) * z).sum(-1)
    return logp, entropy
