"""Further types that travel: Decimal, Fraction, dates and times, numpy arrays and numbers.

Each goes as a name and plain parts (see ``codec``). Runs inside the sandbox too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "EXTRAS",
    "Array",
    "CodecError",
    "Extras",
    "Items",
    "make_extra",
    "number_in",
    "parts_of",
]

Items = list[object]
"""The items of a container; for a dict, keys and values in turn."""


class CodecError(ValueError):
    """A value that is not plain, too large or too deep, or bytes that are no value."""


class Array:
    """A numpy array as it travels, for those who have no numpy: type, shape, nested lists."""

    __slots__ = ("dtype", "items", "shape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, dtype: str, shape: tuple[int, ...], items: object) -> None:
        if type(dtype) is not str or type(shape) is not tuple:
            raise TypeError("an array needs the name of its type and its shape")
        self.dtype, self.shape, self.items = dtype, shape, items

    def __eq__(self, other: object) -> bool:
        if type(other) is not Array:
            return NotImplemented
        mine, its = (self.dtype, self.shape), (other.dtype, other.shape)
        return mine == its and self.items == other.items

    def __repr__(self) -> str:
        return f"Array({self.dtype!r}, {self.shape!r}, {self.items!r})"


def parts_of(value: object, kind: type) -> Items | None:
    """Name and parts of a value of a further type. A module that was never imported has none."""
    if kind is Array:
        return ["array", value.dtype, value.shape, value.items]  # type: ignore[attr-defined]
    for module, name, parts in _FURTHER:
        # A file of the judged code's own may go by the name of a module.
        base = getattr(sys.modules.get(module), name, None)
        if base is not None and issubclass(kind, base):
            return parts(value)
    return None


def number_in(value: Any, kind: type) -> object:
    """The Python number that a numpy scalar stands for; anything else as it is."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if generic is None or not issubclass(kind, generic) or value.dtype.kind not in "biufc":
        return value
    plain = value.item()
    return value if isinstance(plain, generic) else plain  # a longdouble stays one


def _array(value: Any) -> Items:
    if value.dtype.kind not in "biufcUSO":
        raise CodecError(f"an array of {value.dtype} is not plain data")
    return ["array", value.dtype.str, tuple(value.shape), value.tolist()]


def _decimal(value: Any) -> Items:
    # Past a subclass's own __str__.
    return ["decimal", sys.modules["decimal"].Decimal.__str__(value)]


def _date(value: Any) -> Items:
    return ["date", value.year, value.month, value.day]


def _clock(value: Any) -> Items:
    offset = value.utcoffset()
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [*parts, None if offset is None else _span(offset)]


def _span(value: Any) -> tuple[int, int, int]:
    return value.days, value.seconds, value.microseconds


_FURTHER: tuple[tuple[str, str, Callable[[Any], Items]], ...] = (
    ("numpy", "ndarray", _array),
    ("decimal", "Decimal", _decimal),
    ("fractions", "Fraction", lambda value: ["fraction", value.numerator, value.denominator]),
    ("datetime", "datetime", lambda v: ["datetime", *_date(v)[1:], *_clock(v)]),
    ("datetime", "date", _date),
    ("datetime", "time", lambda value: ["time", *_clock(value)]),
    ("datetime", "timedelta", lambda value: ["timedelta", *_span(value)]),
)


def _make_decimal(text: str) -> object:
    from decimal import Decimal

    return Decimal(text)


def _make_fraction(numerator: int, denominator: int) -> object:
    from fractions import Fraction

    return Fraction(numerator, denominator)


def _make_date(*parts: int) -> object:
    from datetime import date

    return date(*parts)


def _make_time(hour: int, minute: int, second: int, us: int, fold: int, offset: Any) -> object:
    from datetime import time

    return time(hour, minute, second, us, _zone(offset), fold=fold)


def _make_datetime(year: int, month: int, day: int, *clock: Any) -> object:
    from datetime import datetime

    hour, minute, second, us, fold, offset = clock
    return datetime(year, month, day, hour, minute, second, us, _zone(offset), fold=fold)


def _make_timedelta(*parts: int) -> object:
    from datetime import timedelta

    return timedelta(*parts)


def _zone(offset: tuple[int, int, int] | None) -> Any:
    from datetime import timedelta, timezone

    return None if offset is None else timezone(timedelta(*offset))


def _make_array(dtype: str, shape: tuple[int, ...], items: object) -> object:
    import numpy

    return numpy.array(items, dtype=dtype).reshape(shape)


Extras = Mapping[str, Callable[..., object]]

EXTRAS: Extras = {
    "decimal": _make_decimal,
    "fraction": _make_fraction,
    "date": _make_date,
    "time": _make_time,
    "datetime": _make_datetime,
    "timedelta": _make_timedelta,
    "array": _make_array,
}
"""What is made of the parts of a further type, by its name."""


def make_extra(items: Items, extras: Extras) -> object:
    """A value of a further type. Raises ``CodecError`` for parts that are none."""
    name = items[0] if items else None
    if not isinstance(name, str) or name not in extras:
        raise CodecError("a value of an unknown type")
    try:
        return extras[name](*items[1:])
    except (TypeError, ValueError, ArithmeticError, IndexError) as error:
        raise CodecError(f"no {name}: {error}"[:200]) from None
