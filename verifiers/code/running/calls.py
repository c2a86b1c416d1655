"""Function calls: the code is loaded once, and each call is made in a copy of that process."""

from __future__ import annotations

from typing import Any

from rewardkit.sandbox import CallResult, Calls, Sandbox
from rewardkit.verifiers.code.bundle import driver
from rewardkit.verifiers.code.cases import MAX_BYTES, Case
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.compare import same_value
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.extras import Array
from rewardkit.verifiers.code.inside.call import RETURNED, packed
from rewardkit.verifiers.code.received import READ
from rewardkit.verifiers.code.running.checker import Checked, check
from rewardkit.verifiers.code.running.results import CaseResult, Job, error_text, shown
from rewardkit.verifiers.code.running.rounds import in_rounds
from rewardkit.verifiers.code.show import show

__all__ = ["loading", "run_calls"]

_FEW = 8
"""Calls of the first round, where the first failure ends it: loading anew costs as much as a few
calls."""
_ARRAY = encode(Array("", (), []), 99)[:15]
"""How an array begins."""


def loading(code: str, entry: str, most: int, prelude: str = "", continues: bool = False) -> str:
    """What the driver is told to load."""
    job = [code, entry, prelude, continues, most]
    return encode(job, 4 * MAX_BYTES).decode("latin-1")


def run_calls(job: Job) -> list[CaseResult]:
    """Make all calls, and judge what they returned."""
    suite = job.suite
    source = loading(
        job.code, suite.entry or "", job.limits.output_kb << 10, suite.prelude, suite.continues
    )
    arguments = [packed(list(case.given), MAX_BYTES + 64) for case in suite.cases]

    if any(_ARRAY in argument for argument in arguments):
        _need_numpy(job.sandbox)
    total = len(arguments)

    def run(start: int, stop: int) -> list[CaseResult]:
        calls = job.sandbox.calls(
            driver(), source, arguments[start:stop], limits=job.limits,
            reply_kb=job.limits.output_kb, budget_s=job.budget_s,
        )  # fmt: skip
        return _judged(job, suite.cases[start:stop], calls)

    return in_rounds(job, total, _FEW if job.stop_at_first_failure else total, run)


def _need_numpy(sandbox: Sandbox) -> None:
    """Arrays cannot be handed over without it, whatever the judged code is."""
    if not sandbox.run("import numpy").ok:
        why = "arguments are numpy arrays, and the sandbox has no numpy"
        raise CasesError(f'{why}: Sandbox(preload="numpy")', "infrastructure")


def _judged(job: Job, cases: tuple[Case, ...], calls: Calls) -> list[CaseResult]:
    if calls.loaded.status != "ok" or calls.loaded.data is not None:
        return [_not_loaded(calls.loaded)]
    found = [_judge(job, case, result) for case, result in zip(cases, calls.results, strict=False)]
    if len(found) < len(cases) and not calls.spent:
        reason = "the process that loaded the code ended before the call"
        found.append(CaseResult("no_result", reason, calls.loaded.cpu_s))
    return check(job, found)


def _not_loaded(loaded: CallResult) -> CaseResult:
    if loaded.status != "ok":
        return CaseResult(loaded.status, f"while it was loaded: {loaded.reason}", loaded.cpu_s)
    match _reply(loaded.data or b""):
        case ["not_loaded", name, message, line]:
            return CaseResult("not_loaded", error_text(name, message, line), loaded.cpu_s)
    return CaseResult("not_loaded", "what came back from loading is no reply", loaded.cpu_s)


def _judge(job: Job, case: Case, result: CallResult) -> CaseResult | Checked:
    if result.status != "ok" or result.data is None:
        return _without_reply(result)
    reply = _reply(result.data)
    match reply:
        case ["returned", got]:
            if job.suite.checker:
                rest = result.data[len(RETURNED) :]
                return Checked(case, rest, show(got), result.cpu_s)
            if any(same_value(right, got, job.compare) for right in (case.expected, *case.also)):
                return CaseResult("passed", "", result.cpu_s)
            reason = f"returned {show(got)}, expected {show(case.expected)}"
            return CaseResult("wrong", reason, result.cpu_s)
        case ["raised", "MemoryError", _, _]:
            return CaseResult("memory", "raised MemoryError", result.cpu_s)
        case ["raised", name, message, line]:
            return CaseResult("error", f"raised {error_text(name, message, line)}", result.cpu_s)
        case ["not_plain", why]:
            reason = f"returned what is no plain data: {shown(why)}"
            return CaseResult("not_plain", reason, result.cpu_s)
    return CaseResult("no_result", "what came back is no reply", result.cpu_s)


def _without_reply(result: CallResult) -> CaseResult:
    # Exit code 0 proves nothing: it is what os._exit(0) gives, too.
    if result.status == "ok" or result.exit_code == 0:
        return CaseResult("no_result", "the process ended before the call returned", result.cpu_s)
    return CaseResult(result.status, result.reason, result.cpu_s)


def _reply(data: bytes) -> Any:
    try:
        return decode(data, READ)
    except CodecError:
        return None
