"""What is logged of a batch of scores, and when a batch is not fit to learn from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from rewardkit.errors import TooManyUnscorableError
from rewardkit.score import PartScore, Score

__all__ = ["CorrectShare", "check_unscorable", "mean", "score_metrics"]

_FAILURES = frozenset({"function error", "limit", "verifier error", "worker"})
"""Rules of verdicts that say a reward failed, rather than declined to judge."""


@dataclass
class CorrectShare:
    """Share of correct verdicts of one part: of those judged correct or incorrect and those that
    were not run because their gate was closed (a completion without the form was not correct)."""

    correct: int = 0
    judged: int = 0
    gated: int = 0
    gives_verdicts: bool = False

    def add(self, part: PartScore) -> None:
        """Count the part of one score."""
        judged = part.status in ("correct", "incorrect")
        self.correct += part.status == "correct"
        self.judged += judged
        self.gated += part.state == "gated"
        self.gives_verdicts = self.gives_verdicts or judged or part.gives_verdicts

    @property
    def value(self) -> float | None:
        """From 0 to 1; ``None`` where the part gives no verdicts, or none could be given."""
        base = self.judged + self.gated
        return self.correct / base if self.gives_verdicts and base else None


def score_metrics(scores: Sequence[Score], prefix: str = "") -> dict[str, Any]:
    """Means over the scored: the total, every part by name, and what could not be scored.

    Returns:
        ``reward`` (mean total, ``None`` if nothing was scored); for each part ``parts/<name>/mean``
        and ``/std`` of its value before weighting, ``/unscorable`` (a count, metrics included) and,
        where it gives verdicts, ``/correct`` (see :class:`CorrectShare`); ``unscorable/frac``, the
        share without a total; and, if any part that bears on a total could not be judged,
        ``unscorable/<fault>`` (counts of such parts, also where a policy gave a total in spite of
        it) and ``unscorable/reasons`` (the five commonest).
    """
    totals = [s.total for s in scores if s.total is not None]
    metrics: dict[str, Any] = {
        f"{prefix}reward": mean(totals),
        f"{prefix}unscorable/frac": (len(scores) - len(totals)) / max(len(scores), 1),
    }
    for name in scores[0].parts if scores else ():
        metrics |= _part_metrics([s.parts[name] for s in scores], f"{prefix}parts/{name}")
    reasons = _reasons(scores)
    if reasons:
        faults = Counter(p.fault for s in scores for p in _causes(s) if p.fault)
        metrics |= {f"{prefix}unscorable/{fault}": count for fault, count in faults.items()}
        metrics[f"{prefix}unscorable/reasons"] = dict(reasons.most_common(5))
    return metrics


def check_unscorable(
    scores: Sequence[Score], max_error_frac: float, max_unscorable_frac: float
) -> None:
    """Raises ``TooManyUnscorableError`` naming the commonest reason, if too much has no score.

    Args:
        scores: of one batch.
        max_error_frac: share in which a reward may fail (it raised, gave NaN or overran), whether
            or not its policy gave a total in spite of it: a part that is skipped or stands in for
            itself teaches nothing, however long the run goes on. Metrics (weight 0) do not count.
        max_unscorable_frac: share that may have no total, for any reason.
    """
    lost = [s for s in scores if s.total is None]
    failed = [s for s in scores if any(_failed(part) for part in _causes(s))]
    for found, limit, key, what in (
        (failed, max_error_frac, "max_error_frac", "met a reward that failed"),
        (lost, max_unscorable_frac, "max_unscorable_frac", "could not be scored"),
    ):
        if found and len(found) / len(scores) > limit:
            (reason, count), *_ = _reasons(found, failures=found is failed).most_common(1)
            raise TooManyUnscorableError(
                f"{len(found)} of {len(scores)} completions {what}, more than "
                f"{key}={limit:g} allows. Commonest reason ({count} times): {reason}. Mend the "
                f"reward or the data, or raise {key}"
            )


def _part_metrics(parts: Sequence[PartScore], prefix: str) -> dict[str, Any]:
    values = [p.value for p in parts if p.value is not None]
    metrics: dict[str, Any] = {
        f"{prefix}/mean": mean(values),
        f"{prefix}/std": _spread(values),
        f"{prefix}/unscorable": sum(p.state == "unscorable" for p in parts),
    }
    share = CorrectShare()
    for part in parts:
        share.add(part)
    if share.value is not None:
        metrics[f"{prefix}/correct"] = share.value
    return metrics


def mean(values: Sequence[float]) -> float | None:
    """The mean, also of values whose sum is no float."""
    if not values:
        return None
    try:
        return fmean(values)
    except OverflowError:
        largest = max(map(abs, values))
        return fmean(v / largest for v in values) * largest


def _spread(values: Sequence[float]) -> float:
    """The standard deviation (ddof 1), at most the largest float."""
    if len(values) < 2:
        return 0.0
    try:
        return stdev(values)
    except OverflowError:
        largest = max(map(abs, values))
        return min(stdev(v / largest for v in values) * largest, sys.float_info.max)


def _causes(score: Score) -> list[PartScore]:
    """The parts that bear on the total and could not be judged.

    Not those that only stand behind a gate that could not. A part of weight 0 does where it is
    such a gate; that is, where the total is missing and no other part says why.
    """
    mine = [p for p in score.unscorable if _rule(p) != "gate"]
    weighty = [p for p in mine if p.weight]
    return mine if score.total is None and not weighty else weighty


def _rule(part: PartScore) -> str:
    return "" if part.verdict is None else part.verdict.evidence.rule


def _failed(part: PartScore) -> bool:
    return _rule(part) in _FAILURES


def _reasons(scores: Iterable[Score], *, failures: bool = False) -> Counter[str]:
    """Why, by how often; ``failures``: of rewards that failed alone."""
    found: Counter[str] = Counter()
    for score in scores:
        causes = _causes(score)
        found.update(f"{p.name}: {p.why}"[:300] for p in causes if _failed(p) or not failures)
        if score.total is None and not causes:
            found.update(score.notes or ("no reason is known",))
    return found
