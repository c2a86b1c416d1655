"""Tests that are Python text, in two processes: trusted tests in one, judged code in the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rewardkit.sandbox import ExecutionResult, Limits
from rewardkit.sandbox import Job as Run
from rewardkit.verdict import Fault
from rewardkit.verifiers.code.bundle import program
from rewardkit.verifiers.code.cases import MAX_BYTES
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.inside.tests import MAGIC
from rewardkit.verifiers.code.received import READ
from rewardkit.verifiers.code.running.results import (
    CaseResult,
    CaseStatus,
    Job,
    error_text,
    last_line,
    shown,
)
from rewardkit.verifiers.code.script import Plan

__all__ = ["run_script"]

_BELOW = ("extras", "codec", "inside/stub", "inside/wire")
_REPORT_KB = 1 << 14
_STATUSES: dict[str, CaseStatus] = {"passed": "passed", "wrong": "wrong", "error": "error"}


def run_script(job: Job) -> list[CaseResult]:
    """Run the tests against the code.

    Raises:
        CasesError: the tests cannot be run, with whatever code.
    """
    suite, plan = job.suite, job.suite.plan
    told = {**plan.sent, "entry": suite.entry, "prelude": suite.prelude}
    tests = Run(
        program(*_BELOW, "inside/tests") + "main()\n",
        stdin=encode(told, 4 * MAX_BYTES),
        limits=_roomier(job.limits),
    )
    code = Run(
        program(*_BELOW, "inside/solution", "inside/candidate") + "main()\n",
        stdin=encode([job.code, suite.prelude, suite.continues], 4 * MAX_BYTES),
        limits=job.limits,
    )
    return _judged(plan, *job.sandbox.pair(tests, code))


def _roomier(limits: Limits) -> Limits:
    """For the tests: they wait for the judged code, so they must outlast its limits."""
    wall_s = limits.wall_seconds + 2 * limits.cpu_s + 10
    most = max(limits.output_kb, _REPORT_KB)
    return replace(limits, cpu_s=2 * limits.cpu_s, wall_s=wall_s, output_kb=most)


def _judged(plan: Plan, tests: ExecutionResult, code: ExecutionResult) -> list[CaseResult]:
    seconds = tests.cpu_s + code.cpu_s
    for result in (tests, code):
        if result.status == "infrastructure_error":
            return _all(plan, CaseResult("infrastructure_error", result.reason))
    match _report(tests):
        case ["broken", str(why)]:
            missing = why.startswith("ModuleNotFoundError")
            mend = "; Sandbox(preload=[...]) brings modules into the sandbox" if missing else ""
            fault: Fault = "infrastructure" if missing else "dataset"
            raise CasesError(f"the tests cannot be run: {shown(why)}{mend}", fault)
        case ["not_loaded", name, message, line]:
            return _all(plan, CaseResult("not_loaded", error_text(name, message, line), seconds))
        case ["report", list(units), bool(ended), str(error)]:
            found = _counted(plan, units, ended, error, _end(code, seconds))
            return [replace(found[0], seconds=seconds), *found[1:]]  # nobody knows each one's
    return _all(plan, _end(tests, seconds) or CaseResult("no_result", "the tests ended", seconds))


def _report(tests: ExecutionResult) -> Any:
    if tests.status != "ok" or not tests.stdout.startswith(MAGIC):
        return None
    try:
        return decode(tests.stdout[len(MAGIC) :], READ)
    except CodecError:
        return None


def _end(result: ExecutionResult, seconds: float) -> CaseResult | None:
    """How a process ended, if a limit or a crash ended it."""
    if result.status == "ok" or result.reason == "ended with its partner":
        return None
    return CaseResult(result.status, f"{result.reason}{last_line(result.stderr)}", seconds)


def _all(plan: Plan, first: CaseResult) -> list[CaseResult]:
    return [first] + [CaseResult("not_run")] * (max(1, len(plan.asserts)) - 1)


def _counted(
    plan: Plan, units: list[Any], ended: bool, error: str, end: CaseResult | None
) -> list[CaseResult]:
    """One result per assert and per method; and one more, if all of them passed and the tests as
    a whole did not."""
    results = [_unit(unit) for unit in units]
    whole = ended and _is_whole(plan, results)
    for number, known in enumerate(plan.asserts):
        status = results[number].status
        if status == "passed" and not (ended or known.once):
            results[number] = CaseResult("not_run", "its loop was not run to its end")
        elif status == "not_run" and (whole or (ended and known.never)):
            results[number] = CaseResult("passed")
        elif status not in ("passed", "not_run"):
            reason = f"line {known.line}: assert {shown(known.text)}: {results[number].reason}"
            results[number] = replace(results[number], reason=reason)
    if whole:
        return results
    stopped = end or CaseResult("no_result", "the code ended its process")
    if error:
        stopped = CaseResult("error", shown(error))
    missing = [n for n, result in enumerate(results) if result.status == "not_run"]
    if missing:
        results[missing[0]] = stopped
    elif all(result.status == "passed" for result in results):
        results.append(stopped)
    return results


def _is_whole(plan: Plan, results: list[CaseResult]) -> bool:
    """Whether all that must pass did, and something did."""
    for known, result in zip(plan.asserts, results, strict=False):
        if result.status != "passed" and (known.needed or result.status != "not_run"):
            return False
    methods = results[len(plan.asserts) :]
    return all(r.status == "passed" for r in methods) and any(r.status == "passed" for r in results)


def _unit(unit: Any) -> CaseResult:
    status, reason = unit
    return CaseResult(_STATUSES.get(status, "not_run"), shown(reason))
