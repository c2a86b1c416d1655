"""Code against tests: does it do what is asked?"""

from __future__ import annotations

import ast
import re
from dataclasses import field
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from rewardkit.errors import UsageError
from rewardkit.sample import Aspect, Column, Sample
from rewardkit.sandbox import Limits, Sandbox, shared_sandbox
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers.code.cases import Kind, Tests, read_tests
from rewardkit.verifiers.code.compare import Compare
from rewardkit.verifiers.code.credit import Credit, check_weights, verdict_of
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.extract import CodeExtract, extract_code
from rewardkit.verifiers.code.formats import FORMATS, Format
from rewardkit.verifiers.code.running import Job, run_suite
from rewardkit.verifiers.code.suite import Suite, check_suite, suite_of
from rewardkit.verifiers.extraction import THINK, Extraction, Thinking

__all__ = ["MAX_CODE_BYTES", "CodeVerifier"]

MAX_CODE_BYTES = 1 << 19
"""Longest code that is run: half the smallest disk that a sandbox can have, so that no completion
can fail to be put there."""

_ENTRY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")
_BUDGET = 3.0


def _read_weights(value: object) -> object:
    """Weights of the right form; a ``Column`` as it is."""
    if value is None or isinstance(value, Column | dict):
        return value
    return check_weights(value)


class CodeVerifier(Verifier):
    """The code in the completion passes every test, each in a sandboxed process of its own.

    Expected values never enter that process, and nothing it says is believed: a returned value
    comes back as plain data and is compared here (see :data:`~.compare.Compare`). So exiting,
    printing "passed", objects that equal everything or rewriting what stands around the code earn
    nothing, and a crash, a hang or a changed global in one test costs that test alone.

    Args:
        tests: ``[[arguments, returned], ...]`` with a list of arguments each
            (``kind="call"``), ``[[stdin, stdout], ...]`` (``kind="stdin"``), or Python text
            (``kind="assert"``); as a list, as its JSON text, or the :class:`Column` that holds
            either. What JSON cannot say may be written as an object with one key:
            ``{"$tuple": [...]}``, ``$set``, ``$frozenset``, ``$dict`` (pairs, for keys that are no
            text), ``$bytes`` (hex), ``$complex`` (two numbers), ``$float`` (``"nan"``, ``"inf"``),
            ``$decimal`` (text), ``$fraction`` (two integers), ``$date``, ``$time``, ``$datetime``
            (ISO 8601), ``$timedelta`` (days, seconds, microseconds), ``$array`` (type, shape,
            nested lists).
        kind: ``"call"`` calls a function of the code, which is loaded once, in a copy of that
            process each time. ``"stdin"`` runs the code as a program, which must end with exit
            code 0. ``"assert"`` runs Python tests: bare asserts, ``check(candidate)``,
            ``test_...`` functions and ``unittest`` classes. They run in a process that the code
            never enters, and use what it defines by name, or import it from ``solution``. Objects
            that are no plain data stay with the code: the tests use them from afar, and they equal
            no plain value. A changed argument is seen by the tests if the call returned nothing.
        entry: name of the function, or ``Class.method`` (of an instance made without arguments; a
            function that is not there may be a method of a class ``Solution``), or the column that
            holds the name. Required for ``"call"``, refused for ``"stdin"``; for ``"assert"`` it is
            what ``check`` is given.
        compare: how results are compared.
        extract: where the code is.
        thinking: markers of the part that is not the answer.
        limits: what each test may use; for ``"assert"``, all together.
        stop_at_first_failure: run no test after the first that fails: faster, and the credit is
            then the share passed up to there.
        format: how rows are laid out, instead of ``kind`` and ``entry``; see
            :data:`~.formats.Format`. ``tests=Column(...)`` then says which column holds the tests,
            if it has another name than usual.
        checker: Python text that defines ``check(given, expected, got)`` and decides instead, by
            returning ``True`` or ``False``; or the column that holds it. It runs in the sandbox, in
            a process without judged code.
        credit: what passing some of the tests earns: the ``"fraction"`` of them, or nothing
            (``"all"``).
        weights: one positive number per test, or the column that holds them: the credit is then
            the share of weight. Not for ``"assert"``.
        first: run only so many tests, the first.
        budget_s: processor seconds that failing tests may use together, after which none is run;
            default: three times ``limits.cpu_s``. Code that passes all its tests never meets it.
        sandbox: where the code runs. It is no part of the specification, nor of equality; by
            default one is shared by all verifiers of the process.

    Returned values may be made of ``None``, bool, int, float, complex, str, bytes, list, tuple,
    dict, set, frozenset, ``Decimal``, ``Fraction``, ``date``, ``time``, ``datetime``,
    ``timedelta``, and arrays and numbers of numpy; instances of their subclasses (``Counter``,
    ``IntEnum``, named tuples) count as plain values of their base, everything else is wrong.

    The verdict is correct if all tests pass. Otherwise it is incorrect; the credit is the share of
    tests passed, those that were not run counting as failed. Of ``"assert"`` tests every assert
    and every method of a ``TestCase`` counts as one. Labels: ``"missing"`` (no code), ``"broken"``
    (it does not load), ``"failed"``. Tests that are malformed, empty or could not be passed by
    anybody are unscorable, fault ``"dataset"``; a sandbox that cannot start, fault
    ``"infrastructure"``.

    Raises:
        UsageError: for arguments that make no sense, inline tests that are malformed included.
        SandboxUnavailable: on judging, where no sandbox works; nothing is ever run outside of one.

    Example:
        >>> double = CodeVerifier([[[2], 4], [[5], 10]], entry="double")
        >>> double.verify(Sample(completion="def double(n): return n * 2")).status
        'correct'
    """

    version: ClassVar[str] = "2"
    blocking: ClassVar[bool] = True

    tests: Tests = None
    kind: Kind = "call"
    entry: str | Column | None = None
    compare: Compare = "auto"
    extract: CodeExtract = "auto"
    thinking: Thinking = THINK
    limits: Limits = Limits()
    stop_at_first_failure: bool = False
    format: Format | None = None
    checker: str | Column | None = None
    credit: Credit = "fraction"
    weights: Annotated[tuple[float, ...] | Column | None, BeforeValidator(_read_weights)] = None
    first: Annotated[int, Field(ge=1)] | None = None
    budget_s: Annotated[float, Field(gt=0)] | None = None
    sandbox: Annotated[Sandbox | None, Field(exclude=True)] = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.format is not None:
            self._check_format()
        else:
            self._check_kind()
        if isinstance(self.checker, str):
            _check_checker(self.checker)
        _check_compare(self.compare, self.kind, self.format)
        if self.format is None and not isinstance(self.tests, Column):
            suite = suite_of(self._given, self.kind, self._inline_entry)
            check_suite(suite, self.compare, self._most_bytes)
            if isinstance(self.weights, tuple):
                check_weights(self.weights, len(suite.first(self.first).cases))

    def _check_format(self) -> None:
        if self.kind != "call" or self.entry is not None:
            raise UsageError(f"format={self.format!r} says kind and entry: leave them out")
        if self.tests is not None and not isinstance(self.tests, Column):
            raise UsageError(
                f"format={self.format!r} reads tests from the row: leave tests out, or say which "
                'column holds them: tests=Column("...")'
            )

    def _check_kind(self) -> None:
        if self.tests is None:
            raise UsageError(
                "tests must be a list, text or a Column; or leave them out and say how rows are "
                'laid out: format="humaneval"'
            )
        if {"call": self.entry is None, "stdin": self.entry is not None}.get(self.kind, False):
            raise UsageError(
                f'kind="call" needs entry="name of the function", kind="stdin" takes none; '
                f"got kind={self.kind!r}, entry={self.entry!r}"
            )
        if self.kind == "assert" and (self.checker, self.weights, self.first) != (None, None, None):
            raise UsageError('kind="assert" takes no checker, no weights and no first')
        if isinstance(self.entry, str):
            _check_entry(self.entry)

    def _verify(self, sample: Sample) -> Verdict:
        try:
            suite = self._suite(sample)
            compare = suite.compare if self.compare == "auto" else self.compare
            if self.format is not None or isinstance(self.tests, Column):
                check_suite(suite, compare, self._most_bytes)
            weights = self._weights(sample, suite)
            found = extract_code(sample.text, self.extract, self.thinking)
            if (refused := _refused(found)) is not None:
                return refused
            budget_s = _BUDGET * self.limits.cpu_s if self.budget_s is None else self.budget_s
            stop = self.stop_at_first_failure or self.credit == "all"
            job = Job(_code(found, suite), suite, compare, self.limits, self._sandbox, stop,
                      budget_s)  # fmt: skip
            return verdict_of(run_suite(job), found, self.credit, weights)
        except CasesError as error:
            return Verdict.unscorable(str(error), fault=error.fault, rule="tests")

    def environment(self) -> dict[str, Any]:
        return {"sandbox": self._sandbox.report().as_dict()}

    @property
    def columns(self) -> frozenset[str]:
        if self.format is None:
            return super().columns
        layout = FORMATS[self.format]
        main = () if isinstance(self.tests, Column) else (layout.column,)
        return super().columns | {*main, *layout.needs}

    @property
    def aspect(self) -> Aspect:
        """The answer, also where the tests are an argument and no column is read."""
        return "answer"

    @property
    def _sandbox(self) -> Sandbox:
        return self.sandbox if self.sandbox is not None else shared_sandbox()

    @property
    def _most_bytes(self) -> int:
        """Most bytes of a reply."""
        return self.limits.output_kb << 10

    @property
    def _given(self) -> Any:
        return self.tests  # which its validator has read

    @property
    def _inline_entry(self) -> str | None:
        return self.entry if isinstance(self.entry, str) else None

    def _suite(self, sample: Sample) -> Suite:
        """The tests of this row. Raises ``CasesError``."""
        if self.format is None:
            raw = self.tests
            given = read_tests(self._argument(raw, sample)) if isinstance(raw, Column) else raw
            suite = suite_of(given, self.kind, self._entry(sample))  # type: ignore[arg-type]
        else:
            suite = self._row(self.format, sample)
        if self.checker is not None:
            checker = self._argument(self.checker, sample)
            suite = suite.with_checker(_checked(checker))
        return suite.first(self.first)

    def _row(self, layout: Format, sample: Sample) -> Suite:
        column, needs, read = FORMATS[layout]
        where = self.tests if isinstance(self.tests, Column) else Column(column)
        row = {**sample.columns, "prompt": sample.prompt_text}
        for name in needs:
            row[name] = self._argument(Column(name), sample)
        suite = read(self._argument(where, sample), row)
        if suite.entry is not None:
            _row_entry(suite.entry)
        return suite

    def _entry(self, sample: Sample) -> str | None:
        if not isinstance(self.entry, Column):
            return self.entry
        return _row_entry(self._argument(self.entry, sample))

    def _weights(self, sample: Sample, suite: Suite) -> tuple[float, ...] | None:
        if self.weights is None:
            return None
        if suite.kind == "assert":
            raise CasesError("weights are for tests that are called or read stdin")
        weights = check_weights(self._argument(self.weights, sample))
        return check_weights(weights[: self.first], len(suite.cases))


def _refused(found: Extraction) -> Verdict | None:
    """The verdict on a completion without code that could be run."""
    if found.text is None:
        return Verdict.incorrect(found.reason, credit=0.0, label="missing", **found.evidence)
    if len(found.text.encode("utf-8", "surrogatepass")) > MAX_CODE_BYTES:
        reason = f"the code is longer than {MAX_CODE_BYTES} bytes"
        return Verdict.incorrect(reason, credit=0.0, label="broken", **found.evidence)
    return None


def _code(found: Extraction, suite: Suite) -> str:
    """The code; with its own indentation where it may be the rest of a function."""
    raw = found.raw if suite.continues else None
    return raw if raw is not None else found.text or ""


def _row_entry(entry: object) -> str:
    try:
        return _check_entry(entry)
    except UsageError as error:
        raise CasesError(str(error)) from None


def _check_entry(entry: object) -> str:
    if not isinstance(entry, str) or not _ENTRY.fullmatch(entry):
        raise UsageError(f'entry must be "function" or "Class.method", got {entry!r:.80}')
    return entry


def _checked(checker: object) -> str:
    try:
        return _check_checker(checker)
    except UsageError as error:
        raise CasesError(str(error)) from None


def _check_checker(checker: object) -> str:
    """Python text that defines ``check``. Raises ``UsageError``."""
    problem = f"got {type(checker).__name__}"
    if isinstance(checker, str):
        try:
            names = [getattr(node, "name", "") for node in ast.parse(checker).body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            problem = f"it is no Python: {error}"
        else:
            if "check" in names:
                return checker
            problem = "it defines no such function"
    raise UsageError(
        f"checker must be Python text that defines check(given, expected, got): {problem}"
    )


def _check_compare(how: Compare, kind: Kind, layout: Format | None) -> None:
    if layout is None and kind == "call" and how in ("lines", "tokens"):
        raise UsageError(f'compare={how!r} is for printed text: use "auto", "exact" or Close(...)')
    if layout is None and kind == "assert" and how != "auto":
        raise UsageError('kind="assert" takes no compare: the tests compare by themselves')
