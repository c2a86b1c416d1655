"""Rollouts meet the rubric: scores, advantages, and what is logged of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch

from rewardkit.errors import TooManyUnscorableError
from rewardkit.rubric import Rubric
from rewardkit.score import PartScore, Score
from rewardkit.trainers.advantage import advantages
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.prompts import to_sample
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["assign_advantages", "check_unscorable", "judge", "reward_metrics", "score_metrics"]

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


def check_unscorable(scores: Sequence[Score], config: GRPOConfig) -> None:
    """Raises ``TooManyUnscorableError`` naming the commonest reason, if too much has no score."""
    lost = [s for s in scores if s.total is None]
    failed = [s for s in lost if any(_failed(part) for part in s.unscorable)]
    for found, limit, key in (
        (failed, config.max_error_frac, "max_error_frac"),
        (lost, config.max_unscorable_frac, "max_unscorable_frac"),
    ):
        if found and len(found) / len(scores) > limit:
            (reason, count), *_ = _reasons(found).most_common(1)
            raise TooManyUnscorableError(
                f"{len(found)} of {len(scores)} completions could not be scored, more than "
                f"{key}={limit:g} allows. Commonest reason ({count} times): {reason}. Mend the "
                f"reward or the data, or raise {key}"
            )


def score_metrics(scores: Sequence[Score], prefix: str = "") -> Metrics:
    """Means over the scored: the total, every part by name, and what could not be scored."""
    totals = [s.total for s in scores if s.total is not None]
    lost = [s for s in scores if s.total is None]
    metrics: Metrics = {
        f"{prefix}reward": fmean(totals) if totals else None,
        f"{prefix}unscorable/frac": len(lost) / max(len(scores), 1),
    }
    for name in scores[0].parts if scores else ():
        metrics |= _part_metrics([s.parts[name] for s in scores], f"{prefix}parts/{name}")
    if lost:
        faults = Counter(p.fault for s in lost for p in s.unscorable if p.fault)
        metrics |= {f"{prefix}unscorable/{fault}": count for fault, count in faults.items()}
        metrics[f"{prefix}unscorable/reasons"] = dict(_reasons(lost).most_common(5))
    return metrics


def reward_metrics(items: Sequence[Completion]) -> Metrics:
    """Spread of the totals within groups, and lengths, under TRL's names."""
    groups: dict[int, list[float]] = {}
    for item in items:
        if item.total is not None:
            groups.setdefault(item.group, []).append(item.total)
    spreads = [float(torch.tensor(g).std()) if len(g) > 1 else 0.0 for g in groups.values()]
    flat = [len(set(g)) < 2 for g in groups.values()]
    lengths = [len(item.ids) for item in items]
    return {
        "reward_std": fmean(spreads) if spreads else None,
        "frac_reward_zero_std": fmean(flat) if flat else None,
        "completions/mean_length": fmean(lengths),
        "completions/min_length": min(lengths),
        "completions/max_length": max(lengths),
        "completions/clipped_ratio": fmean(item.truncated for item in items),
    }


def _part_metrics(parts: Sequence[PartScore], prefix: str) -> Metrics:
    values = [p.value for p in parts if p.value is not None]
    verdicts = [p.verdict.status for p in parts if p.verdict is not None]
    metrics: Metrics = {
        f"{prefix}/mean": fmean(values) if values else None,
        f"{prefix}/std": float(torch.tensor(values).std()) if len(values) > 1 else 0.0,
        f"{prefix}/unscorable": sum(p.state == "unscorable" for p in parts),
    }
    decided = [status for status in verdicts if status != "unscorable"]
    if decided:
        # A part behind a closed gate was not run, so it was not correct: it stays in the base.
        base = len(decided) + sum(p.state == "gated" for p in parts)
        metrics[f"{prefix}/correct"] = sum(s == "correct" for s in decided) / base
    return metrics


def _failed(part: PartScore) -> bool:
    return part.verdict is not None and part.verdict.evidence.rule in (
        "function error",
        "limit",
        "verifier error",
    )


def _reasons(scores: Sequence[Score]) -> Counter[str]:
    return Counter(f"{p.name}: {p.why}"[:300] for s in scores for p in s.unscorable if p.weight)
