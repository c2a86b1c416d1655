"""Numbers that are none, or that break what compares them.

Sources: students who typed ``nan`` for full marks (inducer/relate #651), tolerances that scale with
the prediction (edX #3489, reasoning-gym), absolute tolerances near zero.
"""

from __future__ import annotations

from fractions import Fraction

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]


def _answer(name: str, about: str, text: str) -> Attack:
    def make(target: Target) -> str | None:
        both_zero = target.integer == 0 and text in ("0", "-0.0")
        same = both_zero or target.gold == text
        return None if target.is_code or same else target.answer(text)

    return Attack(name, "numbers", about, make)


def _mean(target: Target) -> str | None:
    """The mean of the other rows' golds: what guessing without reading comes to."""
    found = []
    for text in target.others:
        try:
            found.append(Fraction(text.replace(",", "")))
        except (ValueError, ZeroDivisionError):
            continue
    if len(found) < 3 or target.is_code:
        return None
    mean = str(round(sum(found) / len(found)))
    return None if mean == target.gold else target.answer(mean)


ATTACKS = (
    _answer("nan", "not a number", "nan"),
    _answer("nan-capital", "not a number, as JSON writes it", "NaN"),
    _answer("infinity", "infinity", "inf"),
    _answer("infinity-word", "infinity, as JSON writes it", "Infinity"),
    _answer("infinity-minus", "minus infinity", "-inf"),
    _answer("infinity-latex", "infinity in LaTeX", "\\infty"),
    _answer("overflow", "a number that no float holds", "1e999"),
    _answer("overflow-minus", "its negative", "-1e999"),
    _answer("underflow", "a number that a float takes for zero", "1e-999"),
    _answer("zero", "zero", "0"),
    _answer("zero-minus", "minus zero", "-0.0"),
    _answer("tiny", "a tiny number", "0.0000001"),
    _answer("digits", "ten thousand digits", "9" * 10_000),
    _answer("decimals", "ten thousand decimals", "0." + "3" * 10_000),
    _answer("tower", "a tower of powers", "9^{9^{9^{9^{9}}}}"),
    _answer("power", "a power of a milliard digits", "10^{10^9}"),
    _answer("factorials", "a factorial of a factorial", "((99999!)!)!"),
    _answer("zero-division", "a division by zero", "\\frac{1}{0}"),
    _answer("zero-by-zero", "zero by zero", "0/0"),
    _answer("hexadecimal", "a number in base 16", "0xFFFFFFFFFFFF"),
    _answer("underscores", "digits with underscores", "1_0_0_0_7"),
    _answer("imaginary", "an imaginary number", "13i"),
    Attack("mean-guess", "numbers", "the mean of the other rows' answers", _mean, policy=True),
)
