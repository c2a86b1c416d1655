"""When a result is the expected one. All of it happens in the caller's process.

Results arrive as bytes. Sets and dicts among them stay lists of items and are looked up in tables
built from the *expected* values alone: a table built from hostile keys whose hashes collide would
take hours. No comparison recurses into what judged code returned, prints it, or converts a long
integer to digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rewardkit.errors import UsageError
from rewardkit.verifiers.code.codec import REAL, Items, Makers, encode

__all__ = ["READ", "Close", "Compare", "Unordered", "canonical", "same_output", "same_value"]

MAX_KEY_DEPTH = 8
"""Most tuples and frozensets within each other in a set's element or a dict's key."""


@dataclass(frozen=True)
class Close:
    """How near two floating-point numbers must be: ``|got - expected| <= max(rel * |expected|,
    abs)``. Infinities equal themselves; NaN equals NaN.

    Raises:
        UsageError: unless ``0 <= rel < 1`` and ``abs`` is finite and not negative.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's own name

    rel: float = 1e-9
    abs: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.rel < 1 and 0 <= self.abs < math.inf):
            raise UsageError(f"needs 0 <= rel < 1 and 0 <= abs < infinity, got {self!r}")

    def holds(self, expected: float, got: float) -> bool:
        """Whether ``got`` is near enough."""
        if expected == got or (math.isnan(expected) and math.isnan(got)):
            return True
        if math.isinf(expected) or math.isinf(got):
            return False  # else an infinite allowance would let anything pass
        return math.fabs(got - expected) <= max(self.rel * math.fabs(expected), self.abs)


Compare = Literal["auto", "exact", "lines", "tokens"] | Close
"""How results are compared.

Returned values:

- ``"auto"``: as Python's ``==`` (``2 == 2.0``, ``True == 1``, dicts and sets in any order), except
  that a list equals a tuple of equal items (JSON knows no tuples), that NaN equals NaN, and that
  two floats are equal within a relative 1e-9.
- :class:`Close`: the same with another tolerance; ``Close(rel=0)`` for none.
- ``"exact"``: all types are the same too, all through, and floats are equal (NaN to NaN).

Printed text:

- ``"lines"`` (and ``"auto"``): line by line, whitespace at their ends and blank lines at the end of
  the text ignored.
- ``"tokens"``: word by word, whatever whitespace is between them.
- :class:`Close`: word by word, where two decimal numbers, at least one of them with a point or
  exponent, need only be near.
- ``"exact"``: every character.
"""


@dataclass(slots=True)
class Unordered:
    """A set, frozenset or dict as it was read: its tag, and its items as they came."""

    tag: bytes
    items: Items


READ: Makers = {
    **REAL,
    b"e": lambda items: Unordered(b"e", items),
    b"z": lambda items: Unordered(b"z", items),
    b"d": lambda items: Unordered(b"d", items),
}
"""For :func:`codec.decode`: what judged code sent."""

_TYPED = Close(rel=0.0)


def same_value(expected: object, got: object, how: Compare) -> bool:
    """Whether a returned value is the expected one.

    Args:
        expected: a plain value, of the dataset.
        got: a value decoded with :data:`READ`.
        how: see :data:`Compare`.
    """
    typed = how == "exact"
    near = how if isinstance(how, Close) else _TYPED if typed else Close()
    todo: list[tuple[object, object]] = [(expected, got)]
    while todo:
        inner = _matched(*todo.pop(), typed, near)
        if inner is None:
            return False
        todo.extend(inner)
    return True


Pairs = Iterator[tuple[object, object]] | list[tuple[object, object]]


def _matched(expected: object, got: object, typed: bool, near: Close) -> Pairs | None:
    """What is left to compare inside of them; ``None`` if they differ already."""
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple):
            return None
        if len(got) != len(expected) or (typed and type(got) is not type(expected)):
            return None
        return zip(expected, got, strict=True)
    if isinstance(expected, dict):
        return _dicts(expected, got, typed)
    if isinstance(expected, set | frozenset):
        return [] if _sets(expected, got, typed) else None
    return [] if _scalars(expected, got, typed, near) else None


def _dicts(expected: dict[object, object], got: object, typed: bool) -> Pairs | None:
    if not isinstance(got, Unordered) or got.tag != b"d" or len(got.items) != 2 * len(expected):
        return None
    values = {canonical(key, typed): value for key, value in expected.items()}
    pairs: list[tuple[object, object]] = []
    for key, value in zip(got.items[::2], got.items[1::2], strict=True):
        known = canonical(key, typed)
        if known is None or known not in values:
            return None
        pairs.append((values.pop(known), value))  # popped: the same key twice is no match
    return pairs


def _sets(expected: set[object] | frozenset[object], got: object, typed: bool) -> bool:
    if not isinstance(got, Unordered) or got.tag == b"d" or len(got.items) != len(expected):
        return False
    if typed and got.tag != (b"e" if isinstance(expected, set) else b"z"):
        return False
    missing = {canonical(item, typed) for item in expected}
    for item in got.items:
        known = canonical(item, typed)
        if known is None or known not in missing:
            return False
        missing.remove(known)
    return True


def _scalars(expected: object, got: object, typed: bool, near: Close) -> bool:
    if typed and type(expected) is not type(got):
        return False
    if type(expected) is float and type(got) is float:
        return near.holds(expected, got)
    if type(expected) is complex and type(got) is complex:
        return near.holds(expected.real, got.real) and near.holds(expected.imag, got.imag)
    if _is_number(expected) or _is_number(got):
        return _is_number(expected) and _is_number(got) and expected == got
    return type(expected) is type(got) and expected == got


def _is_number(value: object) -> bool:
    return type(value) in (bool, int, float, complex)


def canonical(value: object, typed: bool, depth: int = 0) -> bytes | None:
    """Bytes that two hashable values share exactly if they are equal; ``None``: not a key.

    Bytes and not the values themselves: Python's hash of numbers can be made to collide at will.
    """
    if isinstance(value, list | dict | set) or depth > MAX_KEY_DEPTH:
        return None
    if isinstance(value, tuple):
        tag, items = b"t", list(value)
    elif isinstance(value, frozenset):
        tag, items = b"z", list(value)
    elif isinstance(value, Unordered):
        tag, items = value.tag, value.items
    else:
        return encode(_common(value, typed), _ANY_SIZE)
    if tag not in (b"t", b"z"):
        return None
    keys: list[bytes] = []
    for item in items:
        key = canonical(item, typed, depth + 1)
        if key is None:
            return None
        keys.append(len(key).to_bytes(8, "little") + key)
    return tag + b"".join(keys if tag == b"t" else sorted(keys))


_ANY_SIZE = 1 << 62  # it has been read already


def _common(value: object, typed: bool) -> object:
    """One value for all that are equal: for 1, 1.0 and True, for 0.0 and -0.0, for every NaN.

    Typed, those of different types stay apart.
    """
    if isinstance(value, complex):
        if typed or value.imag:
            return value + 0  # which turns -0.0 into 0.0
        value = value.real
    if isinstance(value, float):
        if math.isnan(value):
            return math.nan
        return int(value) if value.is_integer() and not typed else value + 0
    return int(value) if isinstance(value, bool) and not typed else value


def same_output(expected: str, got: str, how: Compare) -> bool:
    """Whether a printed text is the expected one."""
    if how == "exact":
        return expected == got
    if how in ("auto", "lines"):
        return _lines(expected) == _lines(got)
    wanted, words = expected.split(), got.split()
    if len(wanted) != len(words):
        return False
    if not isinstance(how, Close):
        return wanted == words
    return all(a == b or _near(a, b, how) for a, b in zip(wanted, words, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(" \t\r\f\v") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][-+]?[0-9]+)?")
_LONGEST = 400  # digits beyond which a word is compared as text only


def _near(expected: str, got: str, how: Close) -> bool:
    numbers = [_DECIMAL.fullmatch(word[:_LONGEST]) for word in (expected, got)]
    if None in numbers or not any(m.lastindex for m in numbers if m is not None):
        return False
    if max(len(expected), len(got)) > _LONGEST:
        return False
    return how.holds(float(expected), float(got))
