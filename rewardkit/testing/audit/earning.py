"""What completions earn, under limits, one by one, whatever the reward does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Literal

from rewardkit._limited import Failed, Overrun, run_soft
from rewardkit.errors import RewardError, must_be_raised, told
from rewardkit.function import FunctionReward
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score

__all__ = ["LIMIT_S", "PATIENCE_S", "Earned", "Trouble", "earn"]

LIMIT_S = 5.0
"""Seconds of processor time per completion for functions without a limit of their own."""
PATIENCE_S = 300.0
"""Seconds by the clock after which anything else has hung: verifiers of code have limits of their
own, for every test."""

Trouble = Literal["", "failed", "hung", "crashed", "abstained"]


@dataclass(frozen=True, slots=True)
class Earned:
    """What one completion came to.

    Attributes:
        total: the total; ``None`` if there is none.
        trouble: what went wrong; empty if nothing did. A hang that earned the least of a part's
            bounds has a total all the same.
        why: what went wrong, in words.
        seconds: how long it took.
        score: the score, where there is one.
        beside: totals of what was scored along, where a part sees whole groups.
    """

    total: float | None
    trouble: Trouble = ""
    why: str = ""
    seconds: float = 0.0
    score: Score | None = None
    beside: tuple[float | None, ...] = ()


def earn(
    rubric: Rubric, samples: Sequence[Sample], limit_s: float, beside: Sequence[Sample] = ()
) -> list[Earned]:
    """Score each sample by itself, so that one cannot take the others along.

    Args:
        rubric: what scores.
        samples: what is scored.
        limit_s: the limit of functions that have none.
        beside: others of the same prompt, scored along where a part sees whole groups.
    """
    group = any(part.needs_group for part in rubric.parts.values())
    calls = [partial(_one, rubric, s, limit_s, tuple(beside) if group else None) for s in samples]
    return [_earned(result) for result in run_soft(calls, PATIENCE_S)]


def _one(
    rubric: Rubric, sample: Sample, limit_s: float, beside: tuple[Sample, ...] | None
) -> Earned:
    start = perf_counter()
    ids = None if beside is None else [0] * (1 + len(beside))
    samples = [sample, *(beside or ())]
    score, *others = rubric.score_many(samples, group_ids=ids, on_error="abstain", limit_s=limit_s)
    trouble, why = _trouble(rubric, score)
    totals = tuple(other.total for other in others)
    return Earned(score.total, trouble, why, perf_counter() - start, score, totals)


def _earned(result: Earned | Failed | Overrun) -> Earned:
    if isinstance(result, Earned):
        return result
    if isinstance(result, Overrun):
        why = f"no score after {PATIENCE_S:g} s; {result.how}"
        return Earned(None, "hung", why, PATIENCE_S)
    if must_be_raised(result.error) and not isinstance(result.error, RewardError):
        raise result.error
    return Earned(None, "failed", told(result.error))


def _trouble(rubric: Rubric, score: Score) -> tuple[Trouble, str]:
    for part in score:
        if found := _of_part(part, isinstance(rubric.parts[part.name], FunctionReward)):
            return found, f"{part.name}: {part.why}"
    if score.total is None:
        return "abstained", "; ".join(score.notes)
    return "", ""


def _of_part(part: PartScore, is_function: bool) -> Trouble:
    rule = "" if part.verdict is None else part.verdict.evidence.rule
    if rule in ("function error", "verifier error"):
        return "failed"
    if is_function and rule == "limit":
        return "hung"
    if is_function and rule == "worker":
        return "crashed"
    return ""
