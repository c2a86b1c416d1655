"""Completions of unequal length as flat tensors: one entry per token, nowhere padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Ragged"]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Which completion each token belongs to.

    Attributes:
        rows: ``[M]``, index into ``lengths``.
        lengths: ``[N]``, tokens of each completion, none of them 0.
    """

    rows: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, lengths: torch.Tensor) -> Ragged:
        """Completions of these lengths, one after another."""
        places = torch.arange(len(lengths), device=lengths.device)
        return cls(torch.repeat_interleave(places, lengths), lengths)

    def sum(self, tokens: torch.Tensor) -> torch.Tensor:
        """Sum over each completion, ``[M] -> [N]``."""
        return tokens.new_zeros(len(self.lengths)).index_add(0, self.rows, tokens)

    def mean(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean over each completion, ``[M] -> [N]``."""
        return self.sum(tokens) / self.lengths

    def spread(self, completions: torch.Tensor) -> torch.Tensor:
        """Each completion's value at each of its tokens, ``[N] -> [M]``."""
        return completions[self.rows]
