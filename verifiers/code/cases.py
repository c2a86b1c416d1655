"""Tests as a dataset holds them, checked before anything runs.

Whatever is wrong with them is the dataset's fault, never the judged code's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard

from pydantic import PlainSerializer, PlainValidator

from rewardkit.sample import Column
from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.compare import READ, Compare, canonical, same_value
from rewardkit.verifiers.code.show import show

__all__ = ["Case", "CasesError", "Kind", "Tests", "check_cases", "read_cases"]

Kind = Literal["call", "stdin"]

MAX_BYTES = 1 << 24
"""Most bytes of one test's arguments or expected value."""


class CasesError(ValueError):
    """Tests that cannot be run, or could not be passed by anybody."""


class Case(NamedTuple):
    """One test: what goes in (arguments, or text on stdin), and what must come out."""

    given: Any
    expected: Any


def read_cases(raw: object) -> tuple[Case, ...]:
    """Tests from ``[[given, expected], ...]`` or its JSON text, as plain values of their own.

    Raises:
        CasesError: for anything else, and for no tests at all.
    """
    if isinstance(raw, str):
        raw = _parsed(raw)
    if not _is_list(raw) or not raw:
        raise CasesError(f"tests must be a list of [given, expected], not empty; got {_got(raw)}")
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


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CasesError(f"tests are text that is no JSON: {error}") from None


def _case(number: int, item: object) -> Case:
    if not _is_list(item) or len(item) != 2:
        raise CasesError(f"test {number} must be [given, expected], got {_got(item)}")
    try:
        return Case(*(_plain(part) for part in item))
    except CodecError as error:
        raise CasesError(f"test {number} cannot be used: {error}") from None


def _plain(value: object) -> object:
    """A copy of plain exact types, in which tagged JSON has become what it stands for."""
    return _untag(decode(encode(value, MAX_BYTES)))


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _got(value: object) -> str:
    return f"{type(value).__name__}: {show(value)}"


def _unfit_call(case: Case, how: Compare, most: int) -> str:
    if not isinstance(case.given, list | tuple):
        return f"arguments must be a list, got {_got(case.given)}"
    try:
        data = encode(["returned", case.expected], most)
        encode(["", "", case.given, 0], MAX_BYTES + 64)
    except CodecError as error:
        return str(error)
    got = decode(data, READ)
    if not isinstance(got, list) or not same_value(case.expected, got[1], how):
        return "the expected value does not equal itself (its keys are nested too deep?)"
    return ""


def _unfit_text(case: Case, most: int) -> str:
    if not isinstance(case.given, str) or not isinstance(case.expected, str):
        return f"must be the text of stdin and of stdout, got {_got(tuple(case))}"
    size = len(case.expected.encode("utf-8", "surrogatepass"))
    return f"it expects {size} bytes, more than limits.output_kb allows" if size > most else ""


# What JSON cannot say, as an object with one key. Datasets may write these too.
_FROM_TAG: dict[str, Callable[[Any], object]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": lambda pairs: dict(pairs),
    "$bytes": bytes.fromhex,
    "$complex": lambda parts: complex(*parts),
    "$float": float,
}


def _untag(value: object) -> object:
    """Recursive, but no deeper than the codec lets values be."""
    if isinstance(value, list):
        return [_untag(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_untag(item) for item in value)
    if not isinstance(value, dict):
        return value
    inner = {key: _untag(item) for key, item in value.items()}
    tag = next(iter(inner)) if len(inner) == 1 else None
    if not isinstance(tag, str) or tag not in _FROM_TAG:
        return inner
    try:
        return _FROM_TAG[tag](inner[tag])
    except (TypeError, ValueError) as error:
        raise CodecError(f"{_got(value)} does not stand for a value: {error}") from None


def _tag(value: object) -> Any:
    """As JSON can carry it, so that :func:`_untag` gives the same again."""
    if isinstance(value, list):
        return [_tag(item) for item in value]
    if isinstance(value, dict):
        ambiguous = len(value) == 1 and next(iter(value)) in _FROM_TAG
        if ambiguous or not all(isinstance(key, str) for key in value):
            return {"$dict": [[_tag(key), _tag(item)] for key, item in value.items()]}
        return {key: _tag(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, complex):
        return {"$complex": [_tag(value.real), _tag(value.imag)]}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {f"${kind.__name__}": [_tag(item) for item in _ordered(value)]}
    return value


def _ordered(value: Any) -> list[Any]:
    # A set's own order changes from run to run, and with it the fingerprint of a rubric.
    return list(value) if isinstance(value, tuple) else sorted(value, key=_sort_key)


def _sort_key(value: object) -> bytes:
    return canonical(value, typed=True) or b""


def _read(value: object) -> Column | tuple[Case, ...]:
    if isinstance(value, Column):
        return value
    if isinstance(value, Mapping) and set(value) == {"column"}:
        return Column(value["column"])
    return read_cases(value)


def _write(value: Column | tuple[Case, ...]) -> Any:
    if isinstance(value, Column):
        return {"column": value.column}
    return [[_tag(case.given), _tag(case.expected)] for case in value]


Tests = Annotated[
    Column | Sequence[Any] | str,
    PlainValidator(_read),
    PlainSerializer(_write, return_type=Any),
]
"""Tests as an argument: a list, its JSON text, or the column that holds either."""
