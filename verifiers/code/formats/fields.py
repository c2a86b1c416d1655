"""Reading the fields of rows: hostile or broken ones raise :class:`CasesError`, and run nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.verifiers.code.cases import Case, plain
from rewardkit.verifiers.code.codec import CodecError
from rewardkit.verifiers.code.errors import CasesError

__all__ = ["COMMON_IMPORTS", "call_case", "from_json", "pairs_of", "text_case", "text_of"]

_MODULES = ("bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "operator",
            "random", "re", "string", "typing")  # fmt: skip

COMMON_IMPORTS = "\n".join(
    [
        f"import {', '.join((*_MODULES, 'datetime', 'json', 'sys'))}",
        *(f"from {name} import *" for name in _MODULES),
        "from builtins import *",  # operator and math have functions of the same names
        "sys.setrecursionlimit(50_000)",
    ]
)
"""What such tasks take for granted: solutions are written as if all of it were imported."""


def text_of(row: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    """A field that is text, or absent. Raises ``CasesError``."""
    value = row.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, str):
        raise CasesError(f"{name} must be text, got {type(value).__name__}")
    return value


def from_json(value: object, name: str) -> Any:
    """A field that is JSON text, or what it stands for already. Raises ``CasesError``."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise CasesError(f"{name} is no JSON: {error}") from None


def pairs_of(value: Any, names: tuple[str, str], what: str) -> list[tuple[Any, Any]]:
    """Pairs out of ``[{a: ..., b: ...}, ...]`` or ``{a: [...], b: [...]}``: data sets turn the one
    into the other. Raises ``CasesError``."""
    first, second = names
    if isinstance(value, Mapping) and first in value and second in value:
        columns = value[first], value[second]
        if not all(_is_list(c) for c in columns) or len(columns[0]) != len(columns[1]):
            raise CasesError(f"{what}: {first} and {second} must be lists of the same length")
        return list(zip(*columns, strict=True))
    if not _is_list(value) or not all(isinstance(i, Mapping) and {*names} <= {*i} for i in value):
        raise CasesError(f"{what} must be a list of objects with {first!r} and {second!r}")
    return [(item[first], item[second]) for item in value]


def text_case(given: object, expected: object) -> Case:
    """A test of a program; lists of lines are put together. Raises ``CasesError``."""
    return Case(_text(given), _text(expected))


def call_case(given: object, expected: object, also: Sequence[object] = ()) -> Case:
    """A test of a function. Raises ``CasesError``."""
    try:
        return Case(plain(given), plain(expected), tuple(plain(value) for value in also))
    except CodecError as error:
        raise CasesError(f"a test cannot be used: {error}") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if _is_list(value):
        return "\n".join(map(str, value))
    raise CasesError(f"input and output must be text, got {type(value).__name__}")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
