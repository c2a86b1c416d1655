"""What judged code sent, as the caller reads it: nothing that could run away is ever made of it.

Sets and dicts stay lists of items: a table built from keys whose hashes were chosen to collide
would take hours. Fractions stay two integers: bringing hostile ones to lowest terms would, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rewardkit.verifiers.code.codec import REAL, Items, Makers
from rewardkit.verifiers.code.extras import EXTRAS, Array, make_extra

__all__ = ["PLAIN", "READ", "Ratio", "Unordered"]

MAX_DIGITS = 10_000
"""Most characters of a decimal."""


@dataclass(slots=True)
class Unordered:
    """A set, frozenset or dict as it was read: its tag, and its items as they came."""

    tag: bytes
    items: Items


@dataclass(slots=True)
class Ratio:
    """A fraction as it was read: a numerator and a positive denominator, perhaps not reduced."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if type(self.numerator) is not int or type(self.denominator) is not int:
            raise TypeError("numerator and denominator must be integers")
        if self.denominator < 1:
            raise ValueError("the denominator must be positive")


def _decimal(text: Any) -> Decimal:
    if type(text) is not str or len(text) > MAX_DIGITS:
        raise ValueError(f"more than {MAX_DIGITS} digits")
    value = Decimal(text)
    # A signalling NaN raises wherever it is compared.
    return Decimal("NaN") if value.is_nan() else value


_READ = {**EXTRAS, "decimal": _decimal, "fraction": Ratio, "array": Array}
_PLAIN = {**EXTRAS, "array": Array}

READ: Makers = {
    **REAL,
    b"e": lambda items: Unordered(b"e", items),
    b"z": lambda items: Unordered(b"z", items),
    b"d": lambda items: Unordered(b"d", items),
    b"x": lambda items: make_extra(items, _READ),
}
"""For :func:`codec.decode`: what judged code sent."""

PLAIN: Makers = {**REAL, b"x": lambda items: make_extra(items, _PLAIN)}
"""For :func:`codec.decode`: what a dataset holds, without a need for numpy."""
