"""Reading plain decimal numbers from hostile text, exactly and within limits."""

from __future__ import annotations

import numbers
import re
from decimal import Decimal
from fractions import Fraction

from rewardkit.verdict import Verdict
from rewardkit.verifiers.extraction import gold_text, shorten

__all__ = ["MAX_DIGITS", "MAX_EXPONENT", "gold_number", "read_number", "show"]

MAX_DIGITS = 400
"""Longest number read, in characters; below CPython's limit of 4300 digits per conversion."""
MAX_EXPONENT = 1000
"""Greatest power of ten written with ``e`` that is read: 1e999999999 would fill the memory."""
MAX_BITS = 5000
"""Largest gold given as an int."""

# ASCII digits only: int() would also take those of other scripts. Separators stand every three
# digits, so that the list "1,2,3" is not the number 123.
_PLAIN = re.compile(
    r"([-+−]?)(?:([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.([0-9]*))?|\.([0-9]+))"
    r"(?:[eE]([-+]?[0-9]+))?"
)


def read_number(text: str) -> Fraction | str:
    """The exact value, or why the text is not a plain decimal number.

    Bold marks, currency signs before it and dollar signs around it are no part of a number.
    """
    if len(text) > 2 * MAX_DIGITS:
        return f"not a number: {len(text)} characters long"
    bare = _bare(text)
    match = _PLAIN.fullmatch(bare)
    if match is None:
        return f"not a plain number: {shorten(text)!r:.60}"
    sign, whole, after, fraction, exponent = match.groups()
    digits = (whole or "").replace(",", "") + (after or fraction or "")
    if len(digits) > MAX_DIGITS or len((exponent or "").lstrip("+-0")) > 4:
        return "too many digits"
    power = int(exponent or 0)
    if abs(power) > MAX_EXPONENT:
        return f"its exponent is beyond {MAX_EXPONENT}"
    places = power - len(after or fraction or "")
    value = int(digits) * Fraction(10) ** places
    return -value if sign in ("-", "−") else value


def gold_number(answer: object) -> Fraction | Verdict:
    """The gold as an exact number, or the verdict that it is none (fault ``"dataset"``)."""
    value = _gold(answer)
    if isinstance(value, Fraction):
        return value
    return Verdict.unscorable(f"the gold answer is no number: {value}", fault="dataset")


def show(value: Fraction) -> str:
    """A number for people: decimal where that is short and exact, else a fraction; never long."""
    # str() of a huge int raises in CPython; what is shown is cut, so nothing huge is converted.
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4000:
        return "a number of more than 1200 digits"
    if value.denominator == 1:
        return _cut(str(value.numerator))
    places = _decimal_places(value.denominator)
    if places is None:
        return _cut(f"{value.numerator}/{value.denominator}")
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return _cut(f"{sign}{digits[:-places]}.{digits[-places:]}")


def _bare(text: str) -> str:
    """Without what is written around a number; a sign may stand before the currency."""
    text = text.strip()
    if text[:2] == "**" and text[-2:] == "**":
        text = text[2:-2].strip()
    if text[:1] == "$" and text[-1:] == "$" and len(text) > 1:
        text = text[1:-1].strip()
    sign = text[:1] if text[:1] in ("-", "−", "+") else ""
    rest = text[len(sign) :].lstrip()
    for currency in ("\\$", "$", "€", "£"):
        if rest.startswith(currency):
            return sign + rest[len(currency) :].lstrip()
    return text


def _gold(answer: object) -> Fraction | str:
    if isinstance(answer, str):
        return read_number(gold_text(answer))
    if isinstance(answer, bool) or answer is None:
        return repr(answer)
    try:
        return _exact(answer)
    except (TypeError, ValueError, OverflowError):
        return f"a {type(answer).__name__}"  # its repr may itself fail, on a huge int


def _exact(answer: object) -> Fraction | str:
    if isinstance(answer, numbers.Rational):
        value = Fraction(int(answer.numerator), int(answer.denominator))
    elif isinstance(answer, Decimal):
        if abs(answer.adjusted()) > 2 * MAX_EXPONENT:
            return "its exponent is too large"
        value = Fraction(answer)
    elif isinstance(answer, numbers.Real):
        # repr: a gold written 0.1 in JSON means a tenth, not the nearest binary fraction.
        value = Fraction(repr(float(answer)))
    else:
        raise TypeError(type(answer).__name__)
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    return value if bits < MAX_BITS else "it is too large (or small)"


def _decimal_places(denominator: int) -> int | None:
    """How many decimal places write a fraction exactly, if 40 or fewer do."""
    for places in range(1, 41):
        if 10**places % denominator == 0:
            return places
    return None


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:50]}… ({len(text)} characters)"
