"""Rollouts meet the rubric: scores, advantages, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rewardkit.rubric import Rubric
from rewardkit.score import Score
from rewardkit.trainers.advantage import advantages
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.prompts import to_sample
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["assign_advantages", "judge", "reward_metrics"]

Metrics = dict[str, Any]


def judge(
    items: Sequence[Completion],
    rubric: Rubric,
    rows: Sequence[Mapping[str, Any]],
    limit_s: float | None,
) -> list[Score]:
    """Score completions (a failing reward abstains) and note sample, score and total on each."""
    for item in items:
        item.sample = to_sample(rows[item.row], item.text, item.ids)
    scores = rubric.score_many(
        [item.sample for item in items if item.sample is not None],
        group_ids=[item.group for item in items],
        on_error="abstain",
        limit_s=limit_s,
    )
    for item, score in zip(items, scores, strict=True):
        item.score, item.total = score, score.total
    return scores


def assign_advantages(items: Sequence[Completion], config: GRPOConfig) -> None:
    """Note each completion's advantage; NaN for the unscorable."""
    totals, groups = [c.total for c in items], [c.group for c in items]
    for item, value in zip(items, advantages(totals, groups, config.scale_rewards), strict=True):
        item.advantage = float(value)


def reward_metrics(items: Sequence[Completion]) -> Metrics:
    """Spread of the totals over the batch, groups without any, and lengths, under TRL's names."""
    groups: dict[int, list[float]] = {}
    for item in items:
        if item.total is not None:
            groups.setdefault(item.group, []).append(item.total)
    totals = [total for group in groups.values() for total in group]
    flat = [len(set(g)) < 2 for g in groups.values()]
    lengths = [len(item.ids) for item in items]
    ended = [len(item.ids) for item in items if not item.truncated] or [0]
    return {
        "reward_std": stdev(totals) if len(totals) > 1 else None,
        "frac_reward_zero_std": fmean(flat) if flat else None,
        "completions/mean_length": fmean(lengths),
        "completions/min_length": min(lengths),
        "completions/max_length": max(lengths),
        "completions/mean_terminated_length": fmean(ended),
        "completions/min_terminated_length": min(ended),
        "completions/max_terminated_length": max(ended),
        "completions/clipped_ratio": fmean(item.truncated for item in items),
    }
