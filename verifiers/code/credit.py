"""From the results of single tests to one verdict."""

from __future__ import annotations

import math
from typing import Any, Literal

from rewardkit.verdict import Verdict
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.running import CaseResult
from rewardkit.verifiers.extraction import Extraction

__all__ = ["Credit", "check_weights", "verdict_of"]

Credit = Literal["fraction", "all"]
"""What code earns that passes some tests but not all: the ``"fraction"`` that it passes (by weight,
where there are weights), or nothing (``"all"``: all or nothing)."""

_MAX_REASONS = 5


def check_weights(weights: object, total: int | None = None) -> tuple[float, ...]:
    """Weights as positive numbers, one per test.

    Args:
        weights: what a dataset or a user gave.
        total: how many tests there are, if that is known.

    Raises:
        CasesError: they are something else.
    """
    if not isinstance(weights, list | tuple):
        raise CasesError(f"weights must be a list of numbers, got {type(weights).__name__}")
    if total is not None and len(weights) != total:
        raise CasesError(f"there are {len(weights)} weights for {total} tests")
    for weight in weights:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise CasesError(f"weights must be positive numbers, got {weight!r:.40}")
    return tuple(map(float, weights))


def verdict_of(
    results: list[CaseResult],
    found: Extraction,
    credit: Credit,
    weights: tuple[float, ...] | None = None,
) -> Verdict:
    """The verdict on code whose tests were run. A test that was not run counts as failed."""
    passed = sum(result.status == "passed" for result in results)
    evidence: dict[str, Any] = {**found.evidence, "details": _details(results, passed)}
    failed = [(i, result) for i, result in enumerate(results, 1) if result.status != "passed"]
    if not failed:
        return Verdict.correct(f"all {passed} tests passed", **evidence)
    for number, result in failed:
        if result.status == "infrastructure_error":
            reason = f"test {number} could not be run: {result.reason}"
            return Verdict.unscorable(reason, fault="infrastructure", **evidence)
    number, first = failed[0]
    earned = _earned(results, weights) if credit == "fraction" else 0.0
    if first.status in ("not_loaded", "compile_error"):
        reason = f"the code does not load: {first.reason}"
        return Verdict.incorrect(reason, credit=earned, label="broken", **evidence)
    reason = f"{passed} of {len(results)} tests passed; test {number}: {first.reason}"
    return Verdict.incorrect(reason, credit=earned, label="failed", **evidence)


def _earned(results: list[CaseResult], weights: tuple[float, ...] | None) -> float:
    if weights is None:
        return sum(result.status == "passed" for result in results) / len(results)
    paid = [w for w, result in zip(weights, results, strict=True) if result.status == "passed"]
    # A weight may be too small to show in the sum; still it is missing.
    return min(math.fsum(paid) / math.fsum(weights), math.nextafter(1.0, 0.0))


def _details(results: list[CaseResult], passed: int) -> dict[str, Any]:
    reasons = {str(i): result.reason for i, result in enumerate(results, 1) if result.reason}
    return {
        "passed": passed,
        "total": len(results),
        "statuses": [result.status for result in results],
        "cpu_seconds": [round(result.seconds, 4) for result in results],
        "reasons": dict(list(reasons.items())[:_MAX_REASONS]),
    }
