r"""What stands around an answer and makes it another, or none: ``-\boxed{5}``, "it is not 5"."""

from __future__ import annotations

import re
from dataclasses import replace

from rewardkit.verifiers.extraction import Extraction

__all__ = ["in_its_place", "is_denied"]

# "not 28", "does not need 28", "less than 28"; but "not only 28" says more, not something else.
_NEGATED = re.compile(
    r"(?:\b(?:not|never|isn['’]t|\w+n['’]t|cannot)\s+(?!only\b)(?:[a-z]+\s+)?"
    r"(?:equal\s+(?:to\s+)?)?|不是|不等于)[$(\s]*$",
    re.IGNORECASE,
)
_UNEQUAL = re.compile(r"(?:≠|!=|\\(?:not\s*=|neq?(?![A-Za-z])))[$({\s\\]*$")
_BOUND = re.compile(
    r"(?:\bthan\s+|"
    r"(?<![-=<>])>|<(?!-)|[≠≤≥⩽⩾≦≧]|!=|[<>]=|\\(?:not\s*=|(?:ne|neq|lt|gt|le|ge|leq|geq|leqslant"
    r"|geqslant)(?![A-Za-z])))[$({\s\\]*$"
)
_TAG = re.compile(r"<[^<>]{1,20}>\s*$")
_REJECTED = re.compile(
    r"[\s$*)]{0,4}(?:(?:is|was|are|were|would be|seems)\s{1,3}(?:clearly\s|far\s|much\s)?(?:too\b|"
    r"wrong\b|incorrect\b|impossible\b|(?:not\b|n['’]t\b)\s{0,3}(?:it\b|possible|right|correct|valid|"
    r"the answer|a solution|enough))|isn['’]t\s{1,3}(?:it\b|possible|right|correct|valid|enough))",
    re.IGNORECASE,
)
_NEGATING = ("not", "n't", "n’t", "never", "不", "NOT", "Not", "NEVER", "Never")
_LOOK_BACK = 32


def is_denied(text: str, start: int, stop: int, boxed: bool = False) -> bool:
    r"""True for a value that the sentence rejects, or that is the bound of something.

    A box may be the bound: of ``n \ge \boxed{5}`` the least is asked for.
    """
    before = max(0, start - _LOOK_BACK)
    said = text[before:start]
    if any(word in said for word in _NEGATING) and _NEGATED.search(text, before, start):
        return True
    if _REJECTED.match(text, stop):
        return True
    if boxed:
        return _UNEQUAL.search(text, before, start) is not None
    return _BOUND.search(text, before, start) is not None and not _TAG.search(text, before, start)


_MINUS = re.compile(r"(?:^|[=$(\[:,]\s*)[-−]$")
_BARE = re.compile(r"[0-9][0-9.,]*")


def in_its_place(text: str, box: Extraction) -> Extraction:
    """The last box with the minus before it; none where the text denies it or adds digits to it."""
    if box.span is None or box.text is None:
        return box
    start, stop = text.rfind("\\", 0, box.span[0]), text.find("}", box.span[1]) + 1
    if is_denied(text, start, stop, boxed=True):
        return replace(box, text=None, span=None, raw=None, reason=_NO.format("what it is not"))
    if text[max(0, start - 1) : start].isdecimal() or _DIGITS.match(text, stop):
        return replace(box, text=None, span=None, raw=None, reason=_NO.format("part of a number"))
    if _MINUS.search(text[max(0, start - 8) : start]):
        inner = box.text if _BARE.fullmatch(box.text) else f"({box.text})"
        return replace(box, text=f"-{inner}")
    return box


_NO = "no answer: the last box holds {}"
_DIGITS = re.compile(r"\.?[0-9]")
