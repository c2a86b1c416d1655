"""Advantages: rewards relative to their group, unscorable completions left out of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import torch

__all__ = ["EPSILON", "advantages", "decoupled_advantages", "soft_overlong"]

EPSILON = 1e-4
"""Added to the standard deviation, as in TRL."""


def advantages(
    totals: Sequence[float | None],
    groups: Sequence[Hashable],
    scale_rewards: Literal["group", "batch", "none"] = "group",
    estimator: Literal["grpo", "rloo"] = "grpo",
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
        estimator: ``rloo`` takes the mean of the others in the group: ``n / (n - 1)`` times as much
            (arXiv 2402.14740).

    Returns:
        Float64 tensor of shape ``[len(totals)]``.
    """
    result = _nothing(len(totals))
    scored = torch.tensor([t for t in totals if t is not None], dtype=torch.float64)
    batch_std = scored.std() if len(scored) > 1 else torch.zeros((), dtype=torch.float64)
    for indices in _members(totals, groups):
        rewards = torch.tensor([totals[i] for i in indices], dtype=torch.float64)
        relative = _relative(rewards, batch_std, scale_rewards)
        if estimator == "rloo" and len(indices) > 1:
            relative = relative * (len(indices) / (len(indices) - 1))
        result[indices] = relative
    return result


def decoupled_advantages(
    values: Sequence[Mapping[str, tuple[float, float]] | None], groups: Sequence[Hashable]
) -> torch.Tensor:
    """Each part of a rubric made relative to the group by itself, then their weighted sum relative
    to the batch: GDPO (arXiv 2601.05242), TRL's ``normalize_then_sum``.

    Args:
        values: one per completion: weight and value of each of its parts by name, or ``None`` where
            there is no total. A part that is missing adds nothing to that completion.
        groups: which completions share a prompt.

    Returns:
        Float64 tensor of shape ``[len(values)]``, NaN where there is no total.
    """
    scored = [i for i, value in enumerate(values) if value is not None]
    sums = torch.zeros(len(values), dtype=torch.float64)
    names = dict.fromkeys(name for value in values if value for name in value)
    for name in names:
        pairs = [None if value is None else value.get(name) for value in values]
        alone = advantages([None if p is None else p[1] for p in pairs], groups)
        weights = torch.tensor([0.0 if p is None else p[0] for p in pairs], dtype=torch.float64)
        sums += weights * alone.nan_to_num(nan=0.0)
    result = _nothing(len(values))
    mine = sums[scored]
    result[scored] = _relative(mine, mine.new_zeros(()), "group")
    return result


def soft_overlong(length: int, longest: int, cache: int) -> float:
    """0 up to ``longest - cache`` tokens, from there falling to -1 at ``longest``: DAPO's soft
    overlong punishment (arXiv 2503.14476, equation 13)."""
    return -min(max(length - (longest - cache), 0), cache) / cache


def _nothing(count: int) -> torch.Tensor:
    return torch.full((count,), float("nan"), dtype=torch.float64)


def _members(totals: Sequence[float | None], groups: Sequence[Hashable]) -> list[list[int]]:
    """The scored completions of each group."""
    members: dict[Hashable, list[int]] = {}
    for index, (total, group) in enumerate(zip(totals, groups, strict=True)):
        if total is not None:
            members.setdefault(group, []).append(index)
    return list(members.values())


def _relative(rewards: torch.Tensor, batch_std: torch.Tensor, scale: str) -> torch.Tensor:
    # Equality and not the std decides: equal rewards such as 0.1 have a mean that differs from them
    # by rounding, hence a std that is not 0 and advantages that are noise.
    if len(rewards) < 2 or bool((rewards == rewards[0]).all()):
        return torch.zeros_like(rewards)
    centred = rewards - rewards.mean()
    if scale == "none":
        return centred
    return centred / ((rewards.std() if scale == "group" else batch_std) + EPSILON)
