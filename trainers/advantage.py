"""Advantages: rewards relative to their group, unscorable completions left out of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import torch

__all__ = ["EPSILON", "advantages"]

EPSILON = 1e-4
"""Added to the standard deviation, as in TRL."""


def advantages(
    totals: Sequence[float | None],
    groups: Sequence[Hashable],
    scale_rewards: Literal["group", "batch", "none"] = "group",
) -> torch.Tensor:
    """``A_i = (r_i - mean) / (std + 1e-4)`` within each group (arXiv 2402.03300, section 4.1).

    The standard deviation has Bessel's correction. Completions without a total are left out of mean
    and std and get NaN: there is no advantage, not one of zero. Each group is computed from its own
    scored completions alone, so an unscorable one changes no other advantage by a single bit. With
    fewer than two scored completions, or rewards that are all the same, advantages are exactly 0.

    Args:
        totals: one per completion, ``None`` where there is none.
        groups: which completions share a prompt.
        scale_rewards: divide by the group's std, by that of all scored totals of the batch
            (arXiv 2508.08221), or not at all (arXiv 2503.20783).

    Returns:
        Float64 tensor of shape ``[len(totals)]``.
    """
    result = torch.full((len(totals),), float("nan"), dtype=torch.float64)
    members: dict[Hashable, list[int]] = {}
    for index, (total, group) in enumerate(zip(totals, groups, strict=True)):
        if total is not None:
            members.setdefault(group, []).append(index)
    scored = torch.tensor([t for t in totals if t is not None], dtype=torch.float64)
    batch_std = scored.std() if len(scored) > 1 else torch.zeros((), dtype=torch.float64)
    for indices in members.values():
        rewards = torch.tensor([totals[i] for i in indices], dtype=torch.float64)
        result[indices] = _relative(rewards, batch_std, scale_rewards)
    return result


def _relative(rewards: torch.Tensor, batch_std: torch.Tensor, scale: str) -> torch.Tensor:
    # Equality and not the std decides: equal rewards such as 0.1 have a mean that differs from them
    # by rounding, hence a std that is not 0 and advantages that are noise.
    if len(rewards) < 2 or bool((rewards == rewards[0]).all()):
        return torch.zeros_like(rewards)
    centred = rewards - rewards.mean()
    if scale == "none":
        return centred
    return centred / ((rewards.std() if scale == "group" else batch_std) + EPSILON)
