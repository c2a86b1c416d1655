"""When a returned value is the expected one. All of it happens in the caller's process.

No comparison recurses into what judged code returned, prints it, converts a long integer to digits,
or takes more than a bounded number of steps beside reading it once.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta
from fractions import Fraction
from typing import Literal

from rewardkit.errors import UsageError
from rewardkit.verifiers.code.extras import Array
from rewardkit.verifiers.code.forms import canonical, form_of, rank_of
from rewardkit.verifiers.code.numbers import equal_numbers, is_number
from rewardkit.verifiers.code.received import Ratio, Unordered

__all__ = ["Close", "Compare", "same_value"]


@dataclass(frozen=True)
class Close:
    """How near two floating-point numbers must be, and what else may differ.

    Args:
        rel, abs: ``|got - expected| <= max(rel * |expected|, abs)``. Infinities equal themselves;
            NaN equals NaN.
        order: of lists and tuples: ``"kept"``; ``"outer"``: the items of the outermost one may come
            in any order; ``"free"``: those of all of them.
        tuple_is_list: a tuple equals a list of equal items (JSON knows no tuples).

    Raises:
        UsageError: unless ``0 <= rel < 1`` and ``abs`` is finite and not negative.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's own name

    rel: float = 1e-9
    abs: float = 0.0
    order: Literal["kept", "outer", "free"] = "kept"
    tuple_is_list: bool = True

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


Compare = Literal["auto", "exact", "any_order", "lines", "tokens"] | Close
"""How results are compared.

Returned values:

- ``"auto"``: as Python's ``==`` (``2 == 2.0``, ``True == 1``, dicts and sets in any order), except
  that a list equals a tuple, and a numpy array a list, of equal items (JSON knows neither), that
  NaN equals NaN, and that two floats are equal within a relative 1e-9.
- ``"any_order"``: the same, with the items of the outermost list in any order.
- :class:`Close`: the same with another tolerance or order; ``Close(rel=0, tuple_is_list=False)``
  is Python's ``==``.
- ``"exact"``: all types are the same too, all through, and floats are equal (NaN to NaN).

Printed text:

- ``"lines"`` (and ``"auto"``): line by line, whitespace at their ends and blank lines at the end of
  the text ignored.
- ``"tokens"``: word by word, whatever whitespace is between them.
- :class:`Close`: word by word, where two decimal numbers, at least one of them with a point or
  exponent, need only be near.
- ``"exact"``: every character.
"""

_MAX_STEPS = 200_000
"""Most steps of pairing items that come in any order and are near, but not equal."""


def same_value(expected: object, got: object, how: Compare) -> bool:
    """Whether a returned value is the expected one.

    Args:
        expected: a plain value, of the dataset.
        got: a value decoded with :data:`received.READ`.
        how: see :data:`Compare`.
    """
    return _Comparison(how).same(expected, got, outer=True)


Pairs = Iterator[tuple[object, object]] | list[tuple[object, object]]


class _Comparison:
    """One comparison: its rules, and the steps it may yet take beyond one pass."""

    def __init__(self, how: Compare) -> None:
        self._typed = how == "exact"
        near = how if isinstance(how, Close) else Close(rel=0.0) if self._typed else Close()
        self._near = near
        self._tuples = self._typed or not near.tuple_is_list
        self._order = "outer" if how == "any_order" else near.order
        self._steps = _MAX_STEPS

    def same(
        self, expected: object, got: object, *, outer: bool = False, counted: bool = False
    ) -> bool:
        todo: list[tuple[object, object]] = [(expected, got)]
        while todo:
            one, other = todo.pop()
            inner = self._inside(one, other, outer)
            outer = outer and (isinstance(one, Array) or isinstance(other, Array))
            self._steps -= counted
            if inner is None or self._steps < 0:
                return False
            todo.extend(inner)
        return True

    def _inside(self, expected: object, got: object, outer: bool) -> Pairs | None:
        """What is left to compare inside of them; ``None`` if they differ already."""
        if isinstance(expected, Array) or isinstance(got, Array):
            return self._arrays(expected, got)
        if isinstance(expected, list | tuple):
            return self._lists(expected, got, outer)
        if isinstance(expected, dict):
            return _dicts(expected, got, self._typed)
        if isinstance(expected, set | frozenset):
            return [] if _sets(expected, got, self._typed) else None
        return [] if self._scalars(expected, got) else None

    def _arrays(self, expected: object, got: object) -> Pairs | None:
        if isinstance(expected, Array) and isinstance(got, Array):
            if expected.shape != got.shape or (self._typed and expected.dtype != got.dtype):
                return None
            return [(expected.items, got.items)]
        if self._typed:
            return None
        if isinstance(expected, Array):
            return [(expected.items, got)]
        return [(expected, got.items)] if isinstance(got, Array) else None

    def _lists(
        self, expected: list[object] | tuple[object, ...], got: object, outer: bool
    ) -> Pairs | None:
        if not isinstance(got, list | tuple) or len(got) != len(expected):
            return None
        if self._tuples and isinstance(got, tuple) != isinstance(expected, tuple):
            return None
        # Ints alone, and the same ones: that is equal by every rule, and found out at once.
        if set(map(type, expected)) | set(map(type, got)) == {int} and list(expected) == list(got):
            return []
        if self._order == "free" or (outer and self._order == "outer"):
            return [] if self._shuffled(list(expected), list(got)) else None
        return zip(expected, got, strict=True)

    def _shuffled(self, expected: list[object], got: list[object]) -> bool:
        """Whether they are the same items. Equal ones are told by their form, in one pass. The
        rest, near ones, are brought into an order that near ones share, and paired so; where that
        fails (two that are near each other), each is looked for among all."""
        self._steps -= len(expected)
        forms = Counter(map(self._form, expected))
        rest: list[object] = []
        for item in got:
            form = self._form(item)
            if forms[form]:
                forms[form] -= 1
            else:
                rest.append(item)
        missing = [item for item in expected if _taken(forms, self._form(item))]
        missing.sort(key=rank_of)
        rest.sort(key=rank_of)
        if all(self.same(a, b) for a, b in zip(missing, rest, strict=True)):
            return True
        return all(self._found(item, rest) for item in missing)

    def _found(self, wanted: object, among: list[object]) -> bool:
        for index, item in enumerate(among):
            if self.same(wanted, item, counted=True):
                del among[index]
                return True
            if self._steps < 0:
                break
        return False

    def _form(self, value: object) -> bytes:
        return form_of(value, typed=self._typed, tuples=self._tuples, free=self._order == "free")

    def _scalars(self, expected: object, got: object) -> bool:
        if self._typed and type(expected) is not _kind(got):
            return False
        if type(expected) is float and type(got) is float:
            return self._near.holds(expected, got)
        if type(expected) is complex and type(got) is complex:
            near = self._near.holds
            return near(expected.real, got.real) and near(expected.imag, got.imag)
        if is_number(expected) or is_number(got):
            return is_number(expected) and is_number(got) and equal_numbers(expected, got)
        if isinstance(expected, date | time | timedelta):
            return type(expected) is type(got) and canonical(expected, True) == canonical(got, True)
        return type(expected) is type(got) and expected == got


def _kind(got: object) -> type:
    """The type of the value that was returned."""
    return Fraction if isinstance(got, Ratio) else type(got)


def _taken(forms: Counter[bytes], form: bytes) -> bool:
    if not forms[form]:
        return False
    forms[form] -= 1
    return True


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
