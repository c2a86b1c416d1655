"""Powers and roots of exact rationals, within limits."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["MAX_BITS", "MAX_INDEX", "TooLarge", "Undefined", "bounded", "power", "root"]

MAX_BITS = 8192
"""Largest numerator or denominator computed."""
MAX_INDEX = 1000
"""Greatest index of a root, and greatest exponent of something irrational."""


class TooLarge(Exception):  # noqa: N818 - says what the value is, not that anything failed
    """The value is larger than anything that is worked out."""


class Undefined(Exception):  # noqa: N818 - as above
    """The expression has no value; the message says why."""


def bounded(value: Fraction) -> Fraction:
    """The value itself. Raises ``TooLarge`` beyond ``MAX_BITS``."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge("too large to work out")
    return value


def power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    """The exact power where it is rational; ``None`` where it is not, or not known."""
    if exponent is None:
        return Fraction(1) if base == 1 else None
    if base is None:
        if max(abs(exponent.numerator), exponent.denominator) > MAX_INDEX:
            raise TooLarge("too large to work out")
        return None
    if base == 0 and exponent <= 0:
        raise Undefined("a power of zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) == 1 and exponent.denominator == 1:
        return base if exponent % 2 else Fraction(1)
    if base not in (0, 1) and bits * abs(exponent) > 2 * MAX_BITS:
        raise TooLarge("too large to work out")
    if exponent.denominator == 1:
        return bounded(base ** int(exponent))
    if base < 0 or exponent.denominator > MAX_INDEX:
        return None
    inner = root(base, Fraction(exponent.denominator))
    return None if inner is None else bounded(inner**exponent.numerator)


def root(radicand: Fraction | None, index: Fraction | None) -> Fraction | None:
    """The exact real root where it is rational; a negative one under an odd index."""
    if radicand is None or index is None:
        return None
    if index.denominator != 1 or not 2 <= index <= MAX_INDEX:
        raise Undefined("a root whose index is not a whole number from 2 to 1000")
    n = int(index)
    if radicand < 0:
        inner = root(-radicand, index) if n % 2 else None
        return None if inner is None else -inner
    above, below = _integer_root(radicand.numerator, n), _integer_root(radicand.denominator, n)
    return None if above is None or below is None else Fraction(above, below)


def _integer_root(value: int, n: int) -> int | None:
    """The exact n-th root of a natural number by Newton's method, or ``None`` if it has none."""
    if value < 2:
        return value
    near = 1 << -(-value.bit_length() // n)
    while (nearer := ((n - 1) * near + value // near ** (n - 1)) // n) < near:
        near = nearer
    return near if near**n == value else None
