"""Held-out evaluation: the rubric on completions that are not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.metrics import score_metrics
from rewardkit.rubric import Rubric
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.judging import scores_of, write_and_judge
from rewardkit.trainers.model import Policy
from rewardkit.trainers.prompts import encode_prompt
from rewardkit.trainers.rollout.generate import Request

__all__ = ["evaluate"]


def evaluate(
    policy: Policy, rubric: Rubric, rows: Sequence[Mapping[str, Any]], config: GRPOConfig
) -> dict[str, Any]:
    """One greedy and one sampled completion per row.

    Returns:
        ``eval/greedy/...`` and ``eval/sampled/...``: ``reward``, ``parts/<name>/mean``,
        ``parts/<name>/correct`` (share of correct verdicts) and what was unscorable. The sampled
        noise is the same at every evaluation, so that two of them compare.
    """
    requests = [
        Request(index, index, 0, encode_prompt(policy.tokenizer, row["prompt"]))
        for index, row in enumerate(rows)
    ]
    metrics: dict[str, Any] = {}
    for name, greedy in (("greedy", True), ("sampled", False)):
        items = write_and_judge(policy, requests, rubric, rows, config, step=2**32, greedy=greedy)
        metrics |= score_metrics(scores_of(items), prefix=f"eval/{name}/")
    return metrics
