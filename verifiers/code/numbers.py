"""When numbers of different types are equal, at a cost that judged code cannot drive up."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from rewardkit.verifiers.code.received import Ratio

__all__ = ["common_number", "equal_numbers", "is_number"]

_KINDS = (bool, int, float, complex, Decimal, Fraction, Ratio)
_MAX_EXPONENT = 400
"""Beyond this, a decimal equals nothing but a decimal: its digits would have to be written out."""


def is_number(value: object) -> bool:
    """Whether it is a number, by its exact type."""
    return type(value) in _KINDS


def equal_numbers(a: object, b: object) -> bool:
    """As Python's ``==``, for values of :func:`is_number`; every NaN equals every NaN."""
    left, right = common_number(a), common_number(b)
    return type(left) is type(right) and (left == right or (left != left and right != right))


def common_number(value: object, *, typed: bool = False) -> object:
    """One value for all numbers that are equal: for 1, 1.0, True and Decimal("1.00"), for 0.0 and
    -0.0, for every NaN. An int, a float or a complex number where it is exactly one, else a tuple.

    Args:
        value: a number.
        typed: keep numbers of different types apart.
    """
    if isinstance(value, complex):
        if typed or value.imag:
            return value + 0  # which turns -0.0 into 0.0
        value = value.real
    if isinstance(value, float):
        return _float(value, typed)
    if isinstance(value, Decimal):
        return _decimal(value, typed)
    if isinstance(value, Fraction | Ratio):
        return _ratio(value.numerator, value.denominator, typed)
    return int(value) if isinstance(value, bool) and not typed else value


def _float(value: float, typed: bool) -> object:
    if math.isnan(value):
        return math.nan
    return int(value) if value.is_integer() and not typed else value + 0


def _decimal(value: Decimal, typed: bool) -> object:
    if not value.is_finite():
        return ("decimal", str(value)) if typed else float(value)
    if not typed and abs(value.adjusted()) < _MAX_EXPONENT and len(value.as_tuple().digits) < 1000:
        return _ratio(*value.as_integer_ratio(), typed)
    # Not normalize(): it rounds to the precision of the context.
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    if not text or not isinstance(exponent, int):
        return ("decimal", 0, "", 0) if typed else 0
    return ("decimal", sign, text, exponent + len(digits) - len(text))


def _ratio(numerator: int, denominator: int, typed: bool) -> object:
    if typed:
        return ("ratio", numerator, denominator)
    if denominator == 1:
        return numerator
    try:
        near = numerator / denominator
    except OverflowError:
        return ("ratio", numerator, denominator)
    exact = near.as_integer_ratio() == (numerator, denominator)
    return near if exact else ("ratio", numerator, denominator)
