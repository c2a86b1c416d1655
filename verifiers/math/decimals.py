"""Golds that are the rounding of an exact value: 4.123105625617661 for the root of 17."""

from __future__ import annotations

from fractions import Fraction

from rewardkit.verifiers.math.tree import Node, Num, Op, walk

__all__ = ["of_rounding"]

LEAST_DIGITS, FLOAT_DIGITS, MOST_DIGITS = 10, (15, 17), 60
"""Significant digits that no other closed form hits by chance, those of a float, and the most."""
FLOAT_ERROR = Fraction(1, 10**15)


def of_rounding(answer: Node, gold: Node) -> Fraction:
    """How far an exact answer may be from a gold of ten digits or more, relative to the gold.

    Half of its last place, or what a float loses; 0 where the answer is a decimal itself, since
    then it is its own rounding that differs, and where the gold is short: 0.33 is not a third.
    """
    near = gold.args[0] if isinstance(gold, Op) and gold.kind == "neg" else gold
    if not isinstance(near, Num) or near.whole or not near.value:
        return Fraction(0)
    places = _places(near.value.denominator)
    digits = len(str(int(near.value * 10**places)))
    if not LEAST_DIGITS <= digits <= MOST_DIGITS:
        return Fraction(0)
    if any(isinstance(part, Num) and not part.whole for part in walk(answer)):
        return Fraction(0)
    last = Fraction(51, 100 * 10**places) / near.value
    least, most = FLOAT_DIGITS
    return max(last, FLOAT_ERROR) if least <= digits <= most else last


def _places(denominator: int) -> int:
    """Decimal places of a number that is a decimal."""
    places = 0
    while places < MOST_DIGITS and 10**places % denominator:
        places += 1
    return places
