"""Another value that the words after an answer leave open: ``\boxed{3}`` "or 4" says neither."""

from __future__ import annotations

import re

from rewardkit.verifiers import _scan
from rewardkit.verifiers.math.tree import Op, Text, walk
from rewardkit.verifiers.math.understood import Understood, understood
from rewardkit.verifiers.math.units import is_unit

__all__ = ["alternative"]

_FONT = r"\\(?:text|mathrm|mbox)[a-z]{0,2}\s?\{"
_SPACE = r"\\[,;:! ]|~|\\q?quad(?![a-z])"
_OR = re.compile(
    rf"(?:[\s$}}\])*.]|{_SPACE}){{0,8}}?(?:</answer>)?[,;(\s]{{0,3}}\(?(?:{_FONT}\s{{0,3}})?"
    r"(?:\bor\b|或者?|[∨]|\\(?:lor|vee)(?![a-z])|(?=maybe\b|perhaps\b|possibly\b))"
    rf"(?:\s|{_SPACE}|\}}){{0,3}}"
    r"(?:(?:maybe|perhaps|possibly|else|even|just|it|is|be|could|can|might|may|the|answer)\s{1,3}){0,5}",
    re.IGNORECASE,
)
# "and 9" to the end of the sentence; a sentence that goes on says something else of it.
_AND = re.compile(
    rf"(?:[\s$}}\])*]|{_SPACE}){{0,8}}?,?\s?(?:{_FONT}\s{{0,3}})?\band\b(?:[\s$}}*]|{_SPACE}){{0,6}}"
    r"([-−]?[0-9][0-9.,/]{0,20}|[-−]?\\[dt]?(?:frac|sqrt)[^$\n]{1,40}?)(?:[\s$.*]|\\[\])]){0,6}(?:\n|$)"
)
_WORD = re.compile(r"\s?\\?([A-Za-z]+)")
_FORMULA = re.compile(r"\$([^$]{1,80})\$|\\\(([^\\]{1,80})\\\)")
# Another writing of the same: "or about 3.14", "or equivalently", "or as a decimal".
_SAME = re.compile(
    r"about\b|approx|roughly|around\b|equivalent|as\b|in\b|to\b|≈|~|约", re.IGNORECASE
)


def alternative(text: str, stop: int) -> tuple[str, Understood] | None:
    r"""The value joined to an answer that ends at ``stop``, if that is all it can be.

    With "or", or with "and": of "$\boxed{8}$ and $9$." the box is one value of two.
    """
    if (beside := _AND.match(text, stop)) is not None:
        value = understood(beside[1].rstrip(".,"))
        return ("and", value) if isinstance(value, Understood) else None
    joint = _OR.match(text, stop)
    if joint is None or _SAME.match(text, joint.end()):
        return None
    rest = text[joint.end() : joint.end() + 100]
    if formula := _FORMULA.match(rest):
        value = understood(formula[1] or formula[2])
    else:
        numbers = _scan.numbers(rest)
        if not numbers or numbers[0].start > 1:
            return None
        start, stop = numbers[0]
        if (word := _WORD.match(rest, stop)) and is_unit(word[1]):
            return None  # "or 2 hours" may be the same as 120
        value = understood(rest[start:stop])
    if isinstance(value, str) or any(_is_of_another_kind(part) for part in walk(value.tree)):
        return None
    return "or", value


def _is_of_another_kind(part: object) -> bool:
    """Words, and a measure in a unit."""
    return isinstance(part, Text) or (isinstance(part, Op) and part.kind in ("quantity", "percent"))
