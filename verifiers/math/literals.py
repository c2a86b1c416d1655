"""Numbers as written: decimals, bases, repeating decimals."""

from __future__ import annotations

import re
from fractions import Fraction

from rewardkit.verifiers._decimal import read_number
from rewardkit.verifiers.math.lexer import Unsupported
from rewardkit.verifiers.math.tree import Node, Num, Op

__all__ = ["base_number", "literal", "repeating"]


def literal(text: str) -> Num:
    """A decimal number. Raises ``Unsupported`` beyond the limits of size."""
    if text.isdecimal() and len(text) < 400:
        return Num(Fraction(int(text)))
    value = read_number(text)
    if isinstance(value, str):
        raise Unsupported(value)
    return Num(value, all(c not in text for c in ".eE"))


_NAMED = "two three four five six seven eight nine ten eleven twelve"
_BASES = {name: str(base) for base, name in enumerate(_NAMED.split(), 2)} | {"sixteen": "16"}


def base_number(digits: str, base: str) -> Node:
    """``4210_5``: a whole number in a base from 2 to 36."""
    base = _BASES.get(base, base)
    if not base.isdecimal() or not 2 <= int(base[:3]) <= 36 or len(digits) > 400:
        raise Unsupported(f"the base {base[:10]}")
    try:
        value = int(digits.replace(",", ""), int(base))
    except ValueError:
        raise Unsupported(f"{digits[:20]} is no number in base {base}") from None
    return Op("base", (Num(Fraction(value)),), f"{digits}_{base}")


_FRACTION = re.compile(r"([0-9]+)?\.([0-9]*)")
_PERIOD = re.compile(r"([0-9]*?)([0-9]+?)\2+")


def repeating(text: str, period: str | None) -> Fraction:
    """``0.1`` with the period ``6`` is 1/6; without one, the period is what the digits repeat."""
    match = _FRACTION.fullmatch(text)
    if match is None or len(text) > 60:
        raise Unsupported("a repeating decimal that is none")
    whole, digits = int(match[1] or 0), match[2]
    if period is None:
        # 0.333... says thirds; 0.123... says nothing.
        found = _PERIOD.fullmatch(digits)
        if found is None:
            raise Unsupported("dots after digits that do not repeat")
        digits, period = found[1], found[2]
    if not period.isdecimal() or len(period) > 60:
        raise Unsupported("a period that is no digits")
    value = Fraction(int(digits or 0), 10 ** len(digits))
    return whole + value + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(digits))
