"""How many tests are run before it is asked whether to go on."""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.verifiers.code.running.results import CaseResult, Job

__all__ = ["in_rounds"]

Round = Callable[[int, int], list[CaseResult]]
"""Runs the tests from one number up to another; may run fewer of them, but at least one."""

_ALMOST = 1 - 1e-9  # three times a third is less than one
_FINAL = ("infrastructure_error", "not_loaded", "compile_error")


def in_rounds(job: Job, total: int, first: int, run: Round) -> list[CaseResult]:
    """All results in order; what need not be run any more is ``not_run``.

    The tests that fail may use ``job.budget_s`` together: code that hangs in each of a hundred
    tests is stopped after a few, while code that passes them all, however slowly, never is. The
    rule looks at results in their order, so it decides the same however many are run at once.

    Args:
        job: the candidate and its tests.
        total: how many tests there are.
        first: how many the first round runs; as long as all pass, each further one runs twice as
            many.
        run: runs some of them.
    """
    results: list[CaseResult] = []
    left, size = job.budget_s * _ALMOST, first
    while len(results) < total:
        new = run(len(results), min(total, len(results) + size))
        for result in new:
            results.append(result)
            left -= _cost(result, job)
            failed = job.stop_at_first_failure and result.status != "passed"
            if result.status in _FINAL or failed or left <= 0:
                return results + [CaseResult("not_run")] * (total - len(results))
        size = 2 * size if all(result.status == "passed" for result in new) else first
    return results


def _cost(result: CaseResult, job: Job) -> float:
    """Seconds that a test counts for. One that sleeps takes time, too."""
    if result.status == "passed":
        return 0.0
    if result.status in ("cpu_limit", "wall_limit"):
        return max(result.seconds, float(job.limits.cpu_s))
    return result.seconds
