"""Rollouts meet the rubric: scores, advantages, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rewardkit.rubric import Rubric
from rewardkit.score import Score
from rewardkit.trainers import parallel
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.scorer import Scorer

__all__ = ["flat_groups", "judge", "reward_metrics", "scores_of", "write_and_judge"]

Metrics = dict[str, Any]


def judge(
    items: Sequence[Completion],
    rubric: Rubric,
    rows: Sequence[Mapping[str, Any]],
    config: GRPOConfig,
) -> list[Score]:
    """Score completions (a failing reward abstains) and note sample, score and total on each."""
    scorer = Scorer(rubric, rows, config.reward_timeout_s, config.reward_workers)
    scorer.add(items)
    scorer.finish()
    return scores_of(items)


def write_and_judge(
    policy: Policy,
    requests: Sequence[Request],
    rubric: Rubric,
    rows: Sequence[Mapping[str, Any]],
    config: GRPOConfig,
    *,
    step: int,
    greedy: bool = False,
) -> list[Completion]:
    """One judged completion per request, in order; each process does some of the groups."""

    def work(mine: Sequence[Request]) -> list[Completion]:
        items = generate(policy, mine, config, step=step, greedy=greedy)
        judge(items, rubric, rows, config)
        return items

    return parallel.spread(requests, work)


def scores_of(items: Sequence[Completion]) -> list[Score]:
    """The scores of completions that have been judged."""
    return [item.score for item in items if item.score is not None]


def flat_groups(items: Sequence[Completion]) -> set[int]:
    """The groups that teach nothing: fewer than two totals, or all of them equal."""
    return {group for group, totals in _totals(items).items() if len(set(totals)) < 2}


def reward_metrics(items: Sequence[Completion]) -> Metrics:
    """Spread of the totals over the batch, groups without any, and lengths, under TRL's names."""
    groups = [totals for totals in _totals(items).values() if totals]
    totals = [total for group in groups for total in group]
    flat = [len(set(g)) < 2 for g in groups]
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


def _totals(items: Sequence[Completion]) -> dict[int, list[float]]:
    """The totals there are, by group; a group without any is there too."""
    groups: dict[int, list[float]] = {}
    for item in items:
        mine = groups.setdefault(item.group, [])
        if item.total is not None:
            mine.append(item.total)
    return groups
