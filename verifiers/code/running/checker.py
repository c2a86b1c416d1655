"""Judgement by code of the user's own, where several answers are right.

The checker reads hostile text and values, so it runs in the sandbox as well, for each result in
processes of its own, which no judged code enters: it hands back ``True`` or ``False`` through the
codec. What it prints, its exit code and whatever else it returns count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from rewardkit.sandbox import CallResult
from rewardkit.verifiers.code.bundle import driver
from rewardkit.verifiers.code.cases import MAX_BYTES, Case
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.received import READ
from rewardkit.verifiers.code.running.results import CaseResult, Job, error_text, shown

__all__ = ["ENTRY", "Checked", "check"]

ENTRY = "check"
"""The function that a checker defines: ``check(given, expected, got) -> bool``."""

_THREE = encode([None, None, None], 99)[:-3]
_MOST_BYTES = 4096


class Checked(NamedTuple):
    """A result that the checker is to judge.

    Attributes:
        case: the test.
        got: the result, encoded.
        shown: the same for people.
        seconds: processor seconds that it took.
    """

    case: Case
    got: bytes
    shown: str
    seconds: float


def check(job: Job, found: Sequence[CaseResult | Checked]) -> list[CaseResult]:
    """The results, those that wait for the checker judged by it.

    Raises:
        CasesError: the checker itself does not load.
    """
    waiting = [item for item in found if isinstance(item, Checked)]
    verdicts = iter(_verdicts(job, waiting) if waiting else ())
    return [next(verdicts) if isinstance(item, Checked) else item for item in found]


def _verdicts(job: Job, waiting: list[Checked]) -> list[CaseResult]:
    """One judgement each, and none in reach of another: a result may be made to take over the
    process of a careless checker, and that could change what was said of other results."""
    source = encode([job.suite.checker, ENTRY, "", False, _MOST_BYTES], MAX_BYTES).decode("latin-1")

    def judge(item: Checked) -> CaseResult:
        calls = job.sandbox.calls(driver(), source, [_arguments(item)], limits=job.limits)
        if calls.loaded.status == "infrastructure_error":
            return CaseResult("infrastructure_error", calls.loaded.reason)
        if calls.loaded.status != "ok" or calls.loaded.data is not None:
            # Nothing judged was near it yet.
            raise CasesError(f"the checker does not load: {_why(calls.loaded)}")
        if not calls.results:
            return CaseResult("wrong", "the checker ended")
        return _verdict(item, calls.results[0])

    with ThreadPoolExecutor(min(job.sandbox.workers, len(waiting))) as threads:
        return list(threads.map(judge, waiting))


def _arguments(item: Checked) -> bytes:
    """The result goes on as it came: unread, it cannot run away here."""
    given, expected = (encode(part, MAX_BYTES) for part in item.case[:2])
    return _THREE + given + expected + item.got


def _verdict(item: Checked, result: CallResult) -> CaseResult:
    reply = _read(result.data) if result.status == "ok" else None
    match reply:
        case ["returned", True]:
            return CaseResult("passed", "", item.seconds)
        case ["returned", False]:
            reason = f"the checker refused {item.shown}"
        case ["returned", _]:
            reason = f"the checker says neither True nor False to {item.shown}"
        case ["raised", name, message, line]:
            reason = f"the checker raised {error_text(name, message, line)} on {item.shown}"
        case _:
            reason = f"the checker came to no end on {item.shown}: {result.reason}"
    # Also where the checker broke: what it was shown may have been made to break it.
    return CaseResult("wrong", reason, item.seconds)


def _why(loaded: CallResult) -> str:
    match _read(loaded.data):
        case ["not_loaded", name, message, line]:
            return error_text(name, message, line)
    return shown(loaded.reason)


def _read(data: bytes | None) -> object:
    try:
        return decode(data or b"", READ)
    except CodecError:
        return None
