"""Code against tests: does it do what is asked?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from rewardkit.errors import UsageError
from rewardkit.sample import Column, Sample
from rewardkit.sandbox import Limits, Sandbox
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers.code.cases import Case, CasesError, Kind, Tests, check_cases, read_cases
from rewardkit.verifiers.code.compare import Compare
from rewardkit.verifiers.code.extract import CodeExtract, extract_code
from rewardkit.verifiers.code.running import (
    MAX_CODE_BYTES,
    CaseResult,
    Plan,
    most_bytes,
    run_cases,
)
from rewardkit.verifiers.code.shared import default_sandbox
from rewardkit.verifiers.extraction import THINK, Extraction, Thinking

__all__ = ["CodeVerifier"]

_ENTRY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")
_MAX_REASONS = 5


class CodeVerifier(Verifier):
    """The code in the completion passes every test, each run in a sandboxed process of its own.

    Expected values never enter that process, and nothing it says is believed: a returned value
    comes back as plain data and is compared here (see :data:`~.compare.Compare`). So exiting,
    printing "passed", objects that equal everything or rewriting what stands around the code earn
    nothing, and a crash, a hang or changed state in one test costs that test alone.

    Args:
        tests: ``[[arguments, returned], ...]`` with a list of arguments each
            (``kind="call"``), or ``[[stdin, stdout], ...]`` (``kind="stdin"``); as a list, as its
            JSON text, or the :class:`Column` that holds either. What JSON cannot say may be
            written as an object with one key: ``{"$tuple": [...]}``, ``$set``, ``$frozenset``,
            ``$dict`` (pairs, for keys that are no text), ``$bytes`` (hex), ``$complex`` (two
            numbers), ``$float`` (``"nan"``, ``"inf"``).
        kind: ``"call"`` calls a function of the code; ``"stdin"`` runs the code as a program,
            which must end with exit code 0.
        entry: name of that function, or ``Class.method`` (of an instance made without arguments),
            or the column that holds the name. Required for ``"call"``, refused for ``"stdin"``.
        compare: how results are compared.
        extract: where the code is.
        thinking: markers of the part that is not the answer.
        limits: what each test may use.
        stop_at_first_failure: run no test after the first that fails: faster, and the credit is
            then the share passed up to there.
        sandbox: where the code runs. It is no part of the specification, nor of equality; by
            default one is shared by all verifiers of the process.

    Returned values may be made of ``None``, bool, int, float, complex, str, bytes, list, tuple,
    dict, set and frozenset; instances of their subclasses (``Counter``, ``IntEnum``, named tuples)
    count as plain values of their base, everything else is wrong.

    The verdict is correct if all tests pass. Otherwise it is incorrect; the credit is the share of
    tests passed, those that were not run counting as failed. Labels: ``"missing"`` (no code),
    ``"broken"`` (it does not load), ``"failed"``. Tests that are malformed, empty or could not be
    passed by anybody are unscorable, fault ``"dataset"``; a sandbox that fails twice, fault
    ``"infrastructure"``.

    Raises:
        UsageError: for arguments that make no sense, inline tests that are malformed included.
        SandboxUnavailable: on judging, where no sandbox works; nothing is ever run outside of one.

    Example:
        >>> double = CodeVerifier([[[2], 4], [[5], 10]], entry="double")
        >>> double.verify(Sample(completion="def double(n): return n * 2")).status
        'correct'
    """

    blocking: ClassVar[bool] = True

    tests: Tests
    kind: Kind = "call"
    entry: str | Column | None = None
    compare: Compare = "auto"
    extract: CodeExtract = "auto"
    thinking: Thinking = THINK
    limits: Limits = Limits()
    stop_at_first_failure: bool = False
    sandbox: Annotated[Sandbox | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if (self.entry is None) != (self.kind == "stdin"):
            raise UsageError(
                f'kind="call" needs entry="name of the function", kind="stdin" takes none; '
                f"got kind={self.kind!r}, entry={self.entry!r}"
            )
        if isinstance(self.entry, str):
            _check_entry(self.entry)
        _check_compare(self.compare, self.kind)
        if not isinstance(self.tests, Column):
            check_cases(self._inline, self.kind, self.compare, most_bytes(self.limits))

    def _verify(self, sample: Sample) -> Verdict:
        try:
            cases, entry = self._cases(sample), self._entry(sample)
        except CasesError as error:
            return Verdict.unscorable(str(error), fault="dataset", rule="tests")
        found = extract_code(sample.text, self.extract, self.thinking)
        if found.text is None:
            return Verdict.incorrect(found.reason, credit=0.0, label="missing", **found.evidence)
        if len(found.text.encode("utf-8", "surrogatepass")) > MAX_CODE_BYTES:
            reason = f"the code is longer than {MAX_CODE_BYTES} bytes"
            return Verdict.incorrect(reason, credit=0.0, label="broken", **found.evidence)
        sandbox = self.sandbox if self.sandbox is not None else default_sandbox()
        plan = Plan(
            found.text, entry, self.compare, self.limits, sandbox, self.stop_at_first_failure
        )
        return _verdict(run_cases(plan, cases), found)

    def environment(self) -> dict[str, Any]:
        sandbox = self.sandbox if self.sandbox is not None else default_sandbox()
        return {"sandbox": sandbox.report().as_dict()}

    @property
    def _inline(self) -> Sequence[Case]:
        return self.tests  # type: ignore[return-value]  # its validator made cases of them

    def _cases(self, sample: Sample) -> Sequence[Case]:
        if not isinstance(self.tests, Column):
            return self._inline
        cases = read_cases(self._argument(self.tests, sample))
        check_cases(cases, self.kind, self.compare, most_bytes(self.limits))
        return cases

    def _entry(self, sample: Sample) -> str | None:
        if not isinstance(self.entry, Column):
            return self.entry
        entry = self._argument(self.entry, sample)
        try:
            _check_entry(entry)
        except UsageError as error:
            raise CasesError(str(error)) from None
        return str(entry)


def _check_entry(entry: object) -> None:
    if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
        raise UsageError(f'entry must be "function" or "Class.method", got {entry!r:.80}')


def _check_compare(how: Compare, kind: Kind) -> None:
    if kind == "call" and how in ("lines", "tokens"):
        raise UsageError(f'compare={how!r} is for printed text: use "auto", "exact" or Close(...)')


def _verdict(results: list[CaseResult], found: Extraction) -> Verdict:
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
    credit = passed / len(results)
    if first.status == "not_loaded":
        reason = f"the code does not load: {first.reason}"
        return Verdict.incorrect(reason, credit=credit, label="broken", **evidence)
    reason = f"{passed} of {len(results)} tests passed; test {number}: {first.reason}"
    return Verdict.incorrect(reason, credit=credit, label="failed", **evidence)


def _details(results: list[CaseResult], passed: int) -> dict[str, Any]:
    reasons = {str(i): result.reason for i, result in enumerate(results, 1) if result.reason}
    return {
        "passed": passed,
        "total": len(results),
        "statuses": [result.status for result in results],
        "cpu_seconds": [round(result.seconds, 4) for result in results],
        "reasons": dict(list(reasons.items())[:_MAX_REASONS]),
    }
