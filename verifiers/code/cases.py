"""Tests as a dataset holds them, checked before anything runs.

Whatever is wrong with them is the dataset's fault, never the judged code's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard

from pydantic import PlainSerializer, PlainValidator

from rewardkit.sample import Column
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.compare import Compare, same_value
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.received import PLAIN, READ
from rewardkit.verifiers.code.script import Script
from rewardkit.verifiers.code.show import show
from rewardkit.verifiers.code.tagged import tagged, untagged

__all__ = ["MAX_BYTES", "Case", "Given", "Kind", "Tests", "check_cases", "plain", "read_tests"]

Kind = Literal["call", "stdin", "assert"]

MAX_BYTES = 1 << 24
"""Most bytes of one test's arguments or expected value."""


class Case(NamedTuple):
    """One test: what goes in (arguments, or text on stdin), and what must come out.

    Attributes:
        given: arguments, or text on stdin.
        expected: the result.
        also: further results that are as right.
    """

    given: Any
    expected: Any
    also: tuple[Any, ...] = ()


Given = tuple[Case, ...] | Script
"""Tests that were read: cases, or a text of Python."""


def read_tests(raw: object) -> Given:
    """Tests from ``[[given, expected], ...]`` or its JSON text, as plain values of their own; from
    a text or a list of texts, a script.

    Raises:
        CasesError: for anything else, and for no tests at all.
    """
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return Script(str(raw))
    if not _is_list(raw) or not raw:
        raise CasesError(f"tests must be a list of [given, expected], not empty; got {_got(raw)}")
    if all(isinstance(item, str) for item in raw):
        return Script("\n".join(map(str, raw)))
    return tuple(_case(number, item) for number, item in enumerate(raw, 1))


def check_cases(cases: Sequence[Case], kind: Kind, how: Compare, most: int) -> None:
    """Raises ``CasesError`` for a test that does not fit its kind, or that nobody could pass.

    Args:
        cases: the tests.
        kind: how they are run.
        how: how results are compared.
        most: bytes that the judged code may write.
    """
    for number, case in enumerate(cases, 1):
        problem = _unfit_call(case, how, most) if kind == "call" else _unfit_text(case, most)
        if problem:
            raise CasesError(f"test {number}: {problem}")


def plain(value: object) -> Any:
    """A copy of plain exact types, in which tagged JSON has become what it stands for.

    Raises:
        CodecError: it is no plain data.
    """
    return untagged(decode(encode(value, MAX_BYTES), PLAIN))


def _case(number: int, item: object) -> Case:
    if not _is_list(item) or len(item) != 2:
        raise CasesError(f"test {number} must be [given, expected], got {_got(item)}")
    try:
        return Case(*(plain(part) for part in item))
    except CodecError as error:
        raise CasesError(f"test {number} cannot be used: {error}") from None


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _got(value: object) -> str:
    return f"{type(value).__name__}: {show(value)}"


def _unfit_call(case: Case, how: Compare, most: int) -> str:
    if not isinstance(case.given, list | tuple):
        return f"arguments must be a list, got {_got(case.given)}"
    try:
        data = encode(["returned", case.expected], most)
        encode(case.given, MAX_BYTES)
    except CodecError as error:
        return str(error)
    got = decode(data, READ)
    if not isinstance(got, list) or not same_value(case.expected, got[1], how):
        return "the expected value does not equal itself (its keys are nested too deep?)"
    return ""


def _unfit_text(case: Case, most: int) -> str:
    if not isinstance(case.given, str) or not isinstance(case.expected, str):
        return f"must be the text of stdin and of stdout, got {_got(tuple(case[:2]))}"
    size = len(case.expected.encode("utf-8", "surrogatepass"))
    return f"it expects {size} bytes, more than limits.output_kb allows" if size > most else ""


def _read(value: object) -> Column | Given | None:
    if value is None or isinstance(value, Column):
        return value
    if isinstance(value, Mapping) and set(value) == {"column"}:
        return Column(value["column"])
    return read_tests(value)


def _write(value: Column | Given | None) -> Any:
    if isinstance(value, Column):
        return {"column": value.column}
    if isinstance(value, Script):
        return value.text
    if value is None:
        return None
    return [[tagged(case.given), tagged(case.expected)] for case in value]


Tests = Annotated[
    Column | Sequence[Any] | str | None,
    PlainValidator(_read),
    PlainSerializer(_write, return_type=Any),
]
"""Tests as an argument: a list, its JSON text, a text of Python, or the column that holds them."""
