"""Before anything is learned: does the model that training begins with ever give a right answer?

GRPO makes what is sampled and pays likelier. Where a right answer is never sampled it can only
learn to please the other parts of the rubric, and a few minutes show whether that is so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.metrics import score_metrics
from rewardkit.rubric import Rubric
from rewardkit.trainers import parallel
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.judging import reward_metrics, scores_of, write_and_judge
from rewardkit.trainers.model import Policy
from rewardkit.trainers.prompts import PromptStream, encode_prompt
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.generate import Request

__all__ = ["pass_at_k", "preflight"]

_STEP = 2**32 + 1
"""Part of the key of its noise: no generation and no evaluation has this number."""


def preflight(
    policy: Policy, rubric: Rubric, rows: Sequence[Mapping[str, Any]], config: GRPOConfig
) -> dict[str, Any]:
    """Try the policy on the first ``preflight_prompts`` prompts that training will meet.

    It costs that many groups of ``preflight_samples`` completions, and warns
    (:class:`RewardKitWarning`) for each part with a weight that never found a right answer, and
    where in no group two completions differed in their reward.

    Returns:
        ``preflight/pass@k/<part>`` for k = 1, 2, 4, ... up to the number of samples, for each part
        that gives verdicts; ``preflight/reward`` and the rest as in training, after ``preflight/``.
    """
    samples = config.preflight_samples or config.num_generations
    stream = PromptStream(len(rows), config.seed, shuffle=config.shuffle_dataset)
    count = min(config.preflight_prompts, len(rows))
    requests = [
        Request(place, row, k, encode_prompt(policy.tokenizer, rows[row]["prompt"]))
        for place, row in enumerate(stream.rows(0, count))
        for k in range(samples)
    ]
    items = write_and_judge(policy, requests, rubric, rows, config, step=_STEP)
    scores = scores_of(items)
    metrics = {f"preflight/{name}": value for name, value in reward_metrics(items).items()}
    metrics |= score_metrics(scores, prefix="preflight/")
    passed = {name: _passed(items, name) for name in scores[0].parts if _judges(items, name)}
    for name, groups in passed.items():
        for k in _powers(samples):
            known = [pass_at_k(n, c, k) for n, c in groups if n >= k]
            metrics[f"preflight/pass@{k}/{name}"] = sum(known) / len(known) if known else None
    _warn(passed, items, rubric, metrics)
    return metrics


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that of ``k`` completions one is right, estimated without bias from ``n`` of which
    ``c`` are: ``1 - C(n - c, k) / C(n, k)`` (arXiv 2107.03374, section 2.1)."""
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def _judges(items: Sequence[Completion], part: str) -> bool:
    return any(c.score is not None and c.score.parts[part].gives_verdicts for c in items)


def _passed(items: Sequence[Completion], part: str) -> list[tuple[int, int]]:
    """For each prompt: completions judged (or gated, which is not right), and the right ones."""
    groups: dict[int, list[bool]] = {}
    for item in items:
        mine = groups.setdefault(item.group, [])
        if item.score is not None and item.score.parts[part].state != "unscorable":
            mine.append(item.score.parts[part].status == "correct")
    return [(len(group), sum(group)) for group in groups.values()]


def _powers(samples: int) -> list[int]:
    ks = [2**e for e in range(samples.bit_length()) if 2**e < samples]
    return [*ks, samples]


def _warn(
    passed: Mapping[str, Sequence[tuple[int, int]]],
    items: Sequence[Completion],
    rubric: Rubric,
    metrics: Mapping[str, Any],
) -> None:
    prompts = len({item.group for item in items})
    for name, groups in passed.items():
        right = sum(c for _, c in groups)
        judged = sum(n for n, _ in groups)
        if judged and not right and rubric.parts[name].weight:
            _say(
                f"in {judged} completions of {prompts} prompts the starting model gave no answer "
                f"that is right by {name!r}. What is never sampled is never learned: take easier "
                f"problems, more num_generations, a part that pays for coming near, or a warm-up "
                f"on examples"
            )
    if metrics["preflight/frac_reward_zero_std"] == 1:
        _say(
            f"on none of {prompts} prompts did two completions differ in their reward: such groups "
            f"teach nothing"
        )


def _say(text: str) -> None:
    parallel.warn(f"preflight: {text}", stacklevel=4)
