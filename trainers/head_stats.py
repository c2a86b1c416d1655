"""What the head knows of a row whose logits come a tile at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rewardkit.trainers.head_plan import Curve

__all__ = ["Fold", "Stats"]


@dataclass(slots=True)
class Stats:
    """What the forward pass knows of some rows; each ``[n]``.

    Attributes:
        logp: of the target.
        entropy: in nats; zeros if it was not asked for.
        top: the largest logit ``m``.
        mass: ``S``.
        slope: derivative of the cap at the target's logit.
    """

    logp: torch.Tensor
    entropy: torch.Tensor
    top: torch.Tensor
    mass: torch.Tensor
    slope: torch.Tensor


class Fold:
    """Statistics of rows whose logits come a tile at a time (the online softmax, 1805.02867)."""

    def __init__(self, rows: int, like: torch.Tensor, entropy: bool) -> None:
        self._parts: Sequence[torch.Tensor] | None = None
        self._target, self._slope = like.new_zeros(rows), like.new_ones(rows)
        self._entropy = entropy

    def target(self, value: torch.Tensor, inside: torch.Tensor, curve: Curve) -> None:
        """Take the targets' logits from the tile that they are in."""
        self._target = torch.where(inside, value * curve.gain, self._target)
        if curve.capped:
            self._slope = torch.where(inside, 1 - value.square(), self._slope)

    def merge(self, top: torch.Tensor, mass: torch.Tensor, dot: torch.Tensor) -> None:
        """Add a tile's maximum, its ``sum E`` and its ``sum E (z - m)``, targets left out."""
        if self._parts is None:
            self._parts = top, mass, dot
            return
        old_top, old_mass, old_dot = self._parts
        new_top = torch.maximum(old_top, top)
        a, b = old_top - new_top, top - new_top
        self._parts = (
            new_top,
            old_mass * a.exp() + mass * b.exp(),
            (old_dot + old_mass * a) * a.exp() + (dot + mass * b) * b.exp(),
        )

    def stats(self) -> Stats:
        """All of it, targets included."""
        assert self._parts is not None
        top, rest, dot = self._parts
        gap = self._target - top
        own = gap.exp()
        mass = rest + own
        # log1p where the target is the largest: rest may be far below the rounding of 1 + rest.
        log_mass = torch.where(gap >= 0, torch.log1p(rest), mass.log())
        entropy = log_mass - (dot + own * gap) / mass if self._entropy else torch.zeros_like(top)
        return Stats(gap - log_mass, entropy, top, mass, self._slope)
