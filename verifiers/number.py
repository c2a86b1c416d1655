"""Plain decimal numbers: equal by exact value, or paid by how near they come."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers import _scan
from rewardkit.verifiers._decimal import gold_number, read_number, show
from rewardkit.verifiers.extraction import (
    THINK,
    Extract,
    Extraction,
    Thinking,
    extract,
    gold_text,
)

__all__ = ["HasNumber", "IsInteger", "NumberVerifier", "Proximity", "ProximityBands"]


class NumberVerifier(Verifier):
    """The answer is the gold number, by exact value: 1,234 = 1234 = 1234.0 = 1.234e3.

    Reads plain decimal numbers only; a fraction, a percentage or a unit is incorrect (see
    ``MathVerifier`` for those). Not a number, infinite, or too large or long to read: incorrect.
    A correct verdict has the label ``"exact"`` for the very text of the gold, else ``"equal"``.

    Args:
        extract: where the answer is, see :data:`rewardkit.verifiers.extraction.Extract`.
        thinking: markers of the part that is not the answer.

    The gold answer is a number or its text (also at the end of a solution, after ``####`` or in a
    box); a gold that is no number is unscorable, fault ``"dataset"``.

    Example:
        >>> NumberVerifier().verify(Sample(completion="It is 1,234.0", answer="1234")).status
        'correct'
    """

    labels: ClassVar[tuple[str, ...]] = ("exact", "equal", "missing")
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    traits: ClassVar[frozenset[str]] = frozenset({"answer", "whitespace", "thinking"})

    extract: Extract = "auto"
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        gold = gold_number(sample.answer)
        if isinstance(gold, Verdict):
            return gold
        found, value = _number_in(sample, self.extract, self.thinking)
        if isinstance(value, str):
            return Verdict.incorrect(value, label="missing", **found.evidence)
        details = {"value": show(value), "gold": show(gold)}
        if value == gold:
            label = "exact" if found.text == _written(sample.answer, gold) else "equal"
            reason = f"{show(value)} is the gold"
            return Verdict.correct(reason, label=label, details=details, **found.evidence)
        reason = f"{show(value)} is not {show(gold)}"
        return Verdict.incorrect(reason, details=details, **found.evidence)


class HasNumber(Verifier):
    """There is a plain decimal number in the answer.

    Args:
        extract: where the answer is.
        thinking: markers of the part that is not the answer.

    Example:
        >>> HasNumber().verify(Sample(completion="<answer>about 4</answer>")).status
        'correct'
    """

    traits: ClassVar[frozenset[str]] = frozenset({"whitespace", "thinking"})

    extract: Extract = "auto"
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        found = extract(sample.text, self.extract, self.thinking)
        if found.text is None:
            return Verdict.incorrect(found.reason, label="missing", **found.evidence)
        for block in _scan.each_number(found.text):
            if isinstance(read_number(found.text[slice(*block)]), Fraction):
                return Verdict.correct("there is a number", **found.evidence)
        return Verdict.incorrect("there is no number in it", **found.evidence)


class IsInteger(Verifier):
    """The answer is written as a whole number: digits, with a sign or separators at most.

    Args:
        extract: where the answer is.
        thinking: markers of the part that is not the answer.

    Example:
        >>> IsInteger().verify(Sample(completion="<answer>4.0</answer>")).status
        'incorrect'
    """

    traits: ClassVar[frozenset[str]] = frozenset({"whitespace", "thinking"})

    extract: Extract = "answer"
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        found, value = _number_in(sample, self.extract, self.thinking)
        if isinstance(value, str):
            return Verdict.incorrect(value, label="missing", **found.evidence)
        if any(c in (found.text or "") for c in ".eE"):
            return Verdict.incorrect("it is not written as a whole number", **found.evidence)
        return Verdict.correct("it is a whole number", **found.evidence)


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Proximity(Verifier):
    """How near the answer comes to the gold number. Closer is never worse.

    Correct where it is equal; otherwise incorrect with credit in [0, 1). No number, or one that is
    not finite or too large to read, earns credit 0 (label ``"missing"``).

    With distance ``d`` in units of ``tolerance`` the credit is

    - ``"linear"``: ``1 - d``, and 0 from ``d = 1``;
    - ``"reciprocal"``: ``1 / (1 + d)``;
    - ``"exponential"``: ``2 ** -d``.

    Args:
        extract: where the answer is.
        scale: distance relative to the size of the gold (and never of the answer, so that a huge
            answer cannot widen its own tolerance), or absolute. Relative to a gold of 0, the
            distance is absolute.
        tolerance: the distance that counts as 1; finite and above 0.
        shape: how credit falls with distance.
        thinking: markers of the part that is not the answer.

    Example:
        >>> near = Proximity(extract="last_number")
        >>> near.verify(Sample(completion="9", answer=10)).credit
        0.9
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    traits: ClassVar[frozenset[str]] = frozenset({"answer", "whitespace", "thinking", "proximity"})

    extract: Extract = "auto"
    scale: Literal["relative", "absolute"] = "relative"
    tolerance: Positive = 1.0
    shape: Literal["linear", "reciprocal", "exponential"] = "linear"
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        gold = gold_number(sample.answer)
        if isinstance(gold, Verdict):
            return gold
        found, value = _number_in(sample, self.extract, self.thinking)
        if isinstance(value, str):
            return Verdict.incorrect(value, credit=0.0, label="missing", **found.evidence)
        details = {"value": show(value), "gold": show(gold)}
        if value == gold:
            return Verdict.correct(f"{show(value)} is the gold", details=details, **found.evidence)
        unit = abs(gold) if self.scale == "relative" and gold else Fraction(1)
        distance = abs(value - gold) / (unit * Fraction(self.tolerance))
        credit = _credit(distance, self.shape)
        reason = f"{show(value)} against {show(gold)}: credit {credit:.3g}"
        return Verdict.incorrect(reason, credit=credit, details=details, **found.evidence)


class ProximityBands(Verifier):
    """How near the answer comes to the gold number, in bands; pay by ``values={label: x}``.

    Labels: ``"exact"`` (the very text of the gold), ``"stripped"`` (the same but for whitespace
    around it), ``"near"`` (ratio to the gold within 0.9 and 1.1), ``"close"`` (within 0.8 and 1.2),
    ``"far"``, and ``"missing"`` (no number). Only the first two are correct; the credit of the
    others is 2/3, 1/3, 0 and 0. To a gold of 0, only 0 itself is near and all else is far.

    Args:
        extract: where the answer is.
        near: greatest distance of the ratio from 1 that is near.
        close: greatest distance of the ratio from 1 that is close.
        thinking: markers of the part that is not the answer.

    Example:
        >>> ProximityBands().verify(Sample(completion="It is 9.", answer=10)).label
        'near'
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    traits: ClassVar[frozenset[str]] = frozenset({"answer", "thinking", "proximity"})
    labels: ClassVar[tuple[str, ...]] = ("exact", "stripped", "near", "close", "far", "missing")

    extract: Extract = "auto"
    near: Positive = 0.1
    close: Positive = 0.2
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        gold = gold_number(sample.answer)
        if isinstance(gold, Verdict):
            return gold
        text = _written(sample.answer, gold)
        found, value = _number_in(sample, self.extract, self.thinking)
        if found.text == text:
            label = "exact" if found.raw == text else "stripped"
            return Verdict.correct("the text of the gold", label=label, **found.evidence)
        if isinstance(value, str):
            return Verdict.incorrect(value, credit=0.0, label="missing", **found.evidence)
        label, credit = self._band(value, gold)
        reason = f"{show(value)} is {label} to {show(gold)}" if label != "far" else "far off"
        return Verdict.incorrect(reason, credit=credit, label=label, **found.evidence)

    def _band(self, value: Fraction, gold: Fraction) -> tuple[str, float]:
        # |v/g - 1| <= width, without dividing: exact, and defined for a gold of 0.
        off = abs(value - gold)
        if off <= Fraction(str(self.near)) * abs(gold):
            return "near", 2 / 3
        if off <= Fraction(str(self.close)) * abs(gold):
            return "close", 1 / 3
        return "far", 0.0


def _written(answer: object, gold: Fraction) -> str:
    """The text of a gold answer."""
    return gold_text(answer) if isinstance(answer, str) else show(gold)


def _number_in(
    sample: Sample, how: Extract, thinking: Thinking
) -> tuple[Extraction, Fraction | str]:
    """What was extracted, and the number it is, or why it is none."""
    found = extract(sample.text, how, thinking)
    return found, found.reason if found.text is None else read_number(found.text)


_BELOW_ONE = math.nextafter(1.0, 0.0)
_STEPS = 1 << 20


def _credit(distance: Fraction, shape: str) -> float:
    """Credit in [0, 1) for a distance above 0; never rises with distance, also not by rounding.

    Everything is exact up to the last division, which rounds monotonically. Powers do not, so the
    exponential is taken at steps of 2**-20, between which it falls by far more than it is rounded.
    """
    if shape == "linear":
        credit = float(1 - distance) if distance < 1 else 0.0
    elif shape == "reciprocal":
        credit = float(1 / (1 + distance))
    else:
        steps = min(int(distance * _STEPS), 1100 * _STEPS)
        credit = 2.0 ** -(steps / _STEPS)
    return min(credit, _BELOW_ONE)
