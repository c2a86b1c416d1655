"""What is logged of a batch of scores, and when a batch is not fit to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from rewardkit.errors import TooManyUnscorableError
from rewardkit.score import PartScore, Score

__all__ = ["check_unscorable", "score_metrics"]

_FAILURES = frozenset({"function error", "limit", "verifier error"})
"""Rules of verdicts that say a reward failed, rather than declined to judge."""


def score_metrics(scores: Sequence[Score], prefix: str = "") -> dict[str, Any]:
    """Means over the scored: the total, every part by name, and what could not be scored.

    Returns:
        ``reward`` (mean total, ``None`` if nothing was scored); for each part ``parts/<name>/mean``
        and ``/std`` of its value before weighting, ``/unscorable`` (a count) and, where it gives
        verdicts, ``/correct`` (a share); ``unscorable/frac``, and if there are any
        ``unscorable/<fault>`` (counts) and ``unscorable/reasons`` (the five commonest).
    """
    totals = [s.total for s in scores if s.total is not None]
    lost = [s for s in scores if s.total is None]
    metrics: dict[str, Any] = {
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


def check_unscorable(
    scores: Sequence[Score], max_error_frac: float, max_unscorable_frac: float
) -> None:
    """Raises ``TooManyUnscorableError`` naming the commonest reason, if too much has no score.

    Args:
        scores: of one batch.
        max_error_frac: share that may be lost to rewards that raised, gave NaN or overran.
        max_unscorable_frac: share that may be lost for any reason.
    """
    lost = [s for s in scores if s.total is None]
    failed = [s for s in lost if any(_failed(part) for part in s.unscorable)]
    for found, limit, key in (
        (failed, max_error_frac, "max_error_frac"),
        (lost, max_unscorable_frac, "max_unscorable_frac"),
    ):
        if found and len(found) / len(scores) > limit:
            (reason, count), *_ = _reasons(found).most_common(1)
            raise TooManyUnscorableError(
                f"{len(found)} of {len(scores)} completions could not be scored, more than "
                f"{key}={limit:g} allows. Commonest reason ({count} times): {reason}. Mend the "
                f"reward or the data, or raise {key}"
            )


def _part_metrics(parts: Sequence[PartScore], prefix: str) -> dict[str, Any]:
    values = [p.value for p in parts if p.value is not None]
    metrics: dict[str, Any] = {
        f"{prefix}/mean": fmean(values) if values else None,
        f"{prefix}/std": stdev(values) if len(values) > 1 else 0.0,
        f"{prefix}/unscorable": sum(p.state == "unscorable" for p in parts),
    }
    decided = [p.status for p in parts if p.status in ("correct", "incorrect")]
    if decided:
        # A part behind a closed gate was not run, so it was not correct: it stays in the base.
        base = len(decided) + sum(p.state == "gated" for p in parts)
        metrics[f"{prefix}/correct"] = sum(s == "correct" for s in decided) / base
    return metrics


def _failed(part: PartScore) -> bool:
    return part.verdict is not None and part.verdict.evidence.rule in _FAILURES


def _reasons(scores: Sequence[Score]) -> Counter[str]:
    reasons = Counter(f"{p.name}: {p.why}"[:300] for s in scores for p in s.unscorable if p.weight)
    return reasons or Counter(note for s in scores for note in s.notes)
