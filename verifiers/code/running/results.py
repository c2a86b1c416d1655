"""What is to be run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rewardkit._escape import one_line
from rewardkit.sandbox import ExecutionStatus, Limits, Sandbox
from rewardkit.verifiers.code.compare import Compare
from rewardkit.verifiers.code.show import MAX_SHOWN, show
from rewardkit.verifiers.code.suite import Suite

__all__ = ["CaseResult", "CaseStatus", "Job", "error_text", "last_line", "shown"]

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
- ``not_run``: it was decided before, or the time for failing tests was used up.
- a status of :data:`rewardkit.sandbox.ExecutionStatus`: the limit that it ran into, and so on.
"""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one test.

    Attributes:
        status: see :data:`CaseStatus`.
        reason: in words, for people; empty if it passed.
        seconds: processor seconds that it took.
    """

    status: CaseStatus
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate and its tests.

    Attributes:
        code: the judged code.
        suite: the tests.
        compare: how results are compared.
        limits: what each test may use.
        sandbox: where it runs.
        stop_at_first_failure: no test is run after one that fails.
        budget_s: processor seconds that failing tests may use together.
    """

    code: str
    suite: Suite
    compare: Compare
    limits: Limits
    sandbox: Sandbox
    stop_at_first_failure: bool
    budget_s: float


def last_line(stderr: bytes) -> str:
    """The last line that a program said on stderr, in brackets."""
    last = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f" ({one_line(last, MAX_SHOWN)})" if last else ""


def error_text(name: object, message: object, line: object) -> str:
    """What was raised, as told by a process in which judged code ran."""
    where = f" (line {line})" if type(line) is int and 0 < line < 1 << 32 else ""
    said = f": {shown(message)}" if message else ""
    return f"{shown(name)}{said}{where}"


def shown(value: object) -> str:
    """A text of the judged process for people: made by hostile code, so nothing else is certain."""
    return one_line(value, MAX_SHOWN) if isinstance(value, str) else show(value)
