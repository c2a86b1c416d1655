"""Entropy: which tokens are worth learning from, and a bonus that keeps it up."""

from __future__ import annotations

import math

import torch

__all__ = ["adapted_entropy_coef", "entropy_threshold"]


def entropy_threshold(entropies: torch.Tensor, top: float) -> float:
    """The entropy that the ``top`` share of tokens has at least (arXiv 2506.01939), interpolated
    linearly between tokens as ``torch.quantile`` does, which stops at 16 million of them.

    Args:
        entropies: of all tokens of the step, ``[M]``.
        top: share from 0 (only the highest) to 1 (all).
    """
    place = (1 - top) * (len(entropies) - 1)
    ordered = entropies.sort().values
    low, high = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
    return low + (high - low) * (place - math.floor(place))


def adapted_entropy_coef(
    coefficient: float, entropy: float, target: float, step: float, least: float, most: float
) -> float:
    """One step up where the entropy is at or below its target, one down above it
    (Skywork-OR1, arXiv 2505.22312)."""
    if entropy <= target:
        return min(coefficient + step, most)
    return max(coefficient - step, least)
