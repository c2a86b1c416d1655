"""Programs: each test is a run of its own, with its own stdin."""

from __future__ import annotations

from rewardkit.sandbox import ExecutionResult
from rewardkit.sandbox import Job as Run
from rewardkit.verifiers.code.cases import Case
from rewardkit.verifiers.code.codec import encode
from rewardkit.verifiers.code.output import same_output
from rewardkit.verifiers.code.running.checker import Checked, check
from rewardkit.verifiers.code.running.results import CaseResult, Job, last_line
from rewardkit.verifiers.code.running.rounds import in_rounds
from rewardkit.verifiers.code.show import show

__all__ = ["run_programs"]

_ANY_SIZE = 1 << 62  # it is bounded already


def run_programs(job: Job) -> list[CaseResult]:
    """Run the program once per test, and judge what it printed."""
    cases = job.suite.cases
    source = _with_prelude(job.code, job.suite.prelude)

    def run(start: int, stop: int) -> list[CaseResult]:
        some = cases[start:stop]
        jobs = [Run(source, stdin=_encoded(case.given), limits=job.limits) for case in some]
        results = job.sandbox.map(jobs)
        return check(job, [_judge(job, *pair) for pair in zip(some, results, strict=True)])

    return in_rounds(job, len(cases), job.sandbox.workers, run)


def _with_prelude(code: str, prelude: str) -> str:
    """Both in one module, each compiled by itself: the code may begin with ``from __future__``."""
    if not prelude:
        return code
    return f"exec({prelude!r})\nexec(compile({code!r}, 'program.py', 'exec', dont_inherit=True))\n"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _judge(job: Job, case: Case, result: ExecutionResult) -> CaseResult | Checked:
    # The right text and then a crash is a crash: without this, raising would pay wherever nothing
    # is expected to be printed.
    if result.status != "ok":
        reason = f"{result.reason}{last_line(result.stderr)}"
        return CaseResult(result.status, reason, result.cpu_s)
    got = result.stdout.decode("utf-8", "surrogateescape")
    if job.suite.checker:
        return Checked(case, encode(got, _ANY_SIZE), show(got), result.cpu_s)
    if any(same_output(right, got, job.compare) for right in (case.expected, *case.also)):
        return CaseResult("passed", "", result.cpu_s)
    reason = f"printed {show(got)}, expected {show(case.expected)}"
    return CaseResult("wrong", reason, result.cpu_s)
