"""Running one test in the sandbox, and judging outside of it what came back.

Expected values stay on this side. Of what comes back nothing is believed but that it is data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from rewardkit._escape import one_line
from rewardkit.sandbox import ExecutionResult, ExecutionStatus, Limits, Sandbox
from rewardkit.verifiers.code.cases import MAX_BYTES, Case
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.compare import READ, Compare, same_output, same_value
from rewardkit.verifiers.code.inside import MAGIC
from rewardkit.verifiers.code.show import MAX_SHOWN, show

__all__ = ["MAX_CODE_BYTES", "CaseResult", "CaseStatus", "Plan", "run_cases"]

CaseStatus = (
    Literal["passed", "wrong", "error", "not_loaded", "no_result", "not_plain", "not_run"]
    | ExecutionStatus
)
"""What became of one test. Only ``"passed"`` passes.

- ``passed``, ``wrong``: something came back, and it is, or is not, what was expected.
- ``error``: the call raised (``memory``, if it raised ``MemoryError``).
- ``not_loaded``: the code does not compile, raised while it was loaded, or lacks the function.
- ``no_result``: the process ended before the call returned.
- ``not_plain``: the call returned what is no plain data: an object, a generator, too much.
- ``not_run``: an earlier test decided.
- a status of :data:`rewardkit.sandbox.ExecutionStatus`: the limit that it ran into, and so on.
"""

MAX_CODE_BYTES = 1 << 19
"""Longest code that is run: half the smallest disk that a sandbox can have, so that no completion
can fail to be put there."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one test.

    Attributes:
        status: see :data:`CaseStatus`.
        reason: in words, for people; empty if it passed.
        seconds: processor seconds of its process.
    """

    status: CaseStatus
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What all tests of one candidate share; ``entry`` is ``None`` for a program."""

    code: str
    entry: str | None
    compare: Compare
    limits: Limits
    sandbox: Sandbox
    stop_at_first_failure: bool


def run_cases(plan: Plan, cases: Sequence[Case]) -> list[CaseResult]:
    """One result per test, in order; the same whatever runs at the same time.

    Raises:
        SandboxError: the sandbox was closed.
    """
    width = min(len(cases), plan.sandbox.workers)
    if width == 1:
        results = _until_decided((_run(plan, case) for case in cases), plan)
    else:
        pool = ThreadPoolExecutor(width)
        try:
            futures = [pool.submit(_run, plan, case) for case in cases]
            results = _until_decided((future.result() for future in futures), plan)
        finally:
            pool.shutdown(cancel_futures=True)
    return results + [CaseResult("not_run")] * (len(cases) - len(results))


def _until_decided(results: Iterable[CaseResult], plan: Plan) -> list[CaseResult]:
    """Results up to the one after which no other matters."""
    taken: list[CaseResult] = []
    for result in results:
        taken.append(result)
        # Code that does not load in one process loads in none: arguments come in later. (It may
        # only claim so: that harms nobody else.)
        if result.status in ("infrastructure_error", "not_loaded"):
            break
        if plan.stop_at_first_failure and result.status != "passed":
            break
    return taken


def _run(plan: Plan, case: Case) -> CaseResult:
    if plan.entry is None:
        source, stdin = plan.code, case.given.encode("utf-8", "surrogatepass")
    else:
        most = most_bytes(plan.limits)
        job = [plan.code, plan.entry, case.given, most]
        source, stdin = _harness(), encode(job, 2 * MAX_BYTES)
    result = plan.sandbox.run(source, stdin=stdin, limits=plan.limits)
    if result.status == "infrastructure_error":
        result = plan.sandbox.run(source, stdin=stdin, limits=plan.limits)
    judge = _judge_text if plan.entry is None else _judge_reply
    status, reason = judge(result, case, plan.compare)
    return CaseResult(status, reason, result.cpu_s)


def most_bytes(limits: Limits) -> int:
    """Most bytes of a returned value: what is left of the output beside the reply's frame."""
    return (limits.output_kb << 10) - len(MAGIC)


@cache
def _harness() -> str:
    here = files(__package__ or "")
    texts = [here.joinpath(name).read_text("utf-8") for name in ("codec.py", "inside.py")]
    return "\n".join([*texts, "main(encode, decode)\n"])


Judgement = tuple[CaseStatus, str]


def _judge_text(result: ExecutionResult, case: Case, how: Compare) -> Judgement:
    # The right text and then a crash is a crash: without this, raising would pay wherever nothing
    # is expected to be printed.
    if result.status != "ok":
        return result.status, _why(result)
    got = result.stdout.decode("utf-8", "surrogateescape")
    if same_output(case.expected, got, how):
        return "passed", ""
    return "wrong", f"printed {show(got)}, expected {show(case.expected)}"


def _judge_reply(result: ExecutionResult, case: Case, how: Compare) -> Judgement:
    # Also where a reply is there: an honest call replies and ends at once, with exit code 0.
    if result.status != "ok":
        return result.status, _why(result)
    if not result.stdout.startswith(MAGIC):
        return "no_result", "the process ended before the call returned"
    try:
        reply = decode(result.stdout[len(MAGIC) :], READ)
    except CodecError as error:
        return "no_result", f"what came back is no value: {error}"
    match reply:
        case ["returned", got]:
            if same_value(case.expected, got, how):
                return "passed", ""
            return "wrong", f"returned {show(got)}, expected {show(case.expected)}"
        case ["raised", "MemoryError", _, _]:
            return "memory", "raised MemoryError"
        case ["raised", name, message, line]:
            return "error", f"raised {_error(name, message, line)}"
        case ["not_loaded", name, message, line]:
            return "not_loaded", _error(name, message, line)
        case ["not_plain", why]:
            return "not_plain", f"returned what is no plain data: {_text(why)}"
    return "no_result", "what came back is no reply"


def _why(result: ExecutionResult) -> str:
    """The sandbox's reason, and the last line the program said on stderr."""
    last = result.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"{result.reason}{f' ({one_line(last, MAX_SHOWN)})' if last else ''}"


def _error(name: object, message: object, line: object) -> str:
    where = f" (line {line})" if type(line) is int and 0 < line < 1 << 32 else ""
    said = f": {_text(message)}" if message else ""
    return f"{_text(name)}{said}{where}"


def _text(value: object) -> str:
    """A text of the judged process for people: made by hostile code, so nothing else is certain."""
    return one_line(value, MAX_SHOWN) if isinstance(value, str) else show(value)
