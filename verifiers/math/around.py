r"""What stands around an answer and makes it another, or none: ``-\boxed{5}``, "it is not 5"."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from rewardkit.verifiers.extraction import Extraction
from rewardkit.verifiers.math.tree import Num, Text, walk
from rewardkit.verifiers.math.understood import understood

__all__ = ["BOXES", "in_its_place", "is_denied", "measured"]

LAST_BOX = "last \\boxed{}"
BOXES = frozenset({LAST_BOX, "last boxes, as a list"})
"""Rules of :func:`extraction.extract` that take boxes."""

# "not 28", "does not need 28", "less than 28"; but "not only 28" says more, not something else.
_NEGATED = re.compile(
    r"(?:\b(?:not|never|isn['’]t|\w+n['’]t|cannot)\s+(?!only\b)(?:[a-z]+\s+)?"
    r"(?:equal\s+(?:to\s+)?)?|不是|不等于)[$(\s}]*$",
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
_BARE = re.compile(r"[0-9][0-9.,]*|[A-Za-z]")
_DIGIT = re.compile(r"\.?[0-9]")
_GROUPED = re.compile(r"(?:,|\{,\}|\\[,!])([0-9]{3})(?![0-9])")  # the 5 of 5,000
_PLAIN = re.compile(r"[-−]?[0-9][0-9.,]*")
_NO = "no answer: the last box holds {}"


def in_its_place(text: str, box: Extraction) -> Extraction:
    """The last box, or boxes, with what stands around and makes another answer of it.

    The side of the formula that it is a part of (see :mod:`formula`), the minus, scale or unit
    outside of it; none where the text denies it or adds digits to it.
    """
    if box.span is None or box.text is None or box.rule not in BOXES:
        return box
    if box.rule != LAST_BOX:
        # Imported by the first box that may stand within a formula: most are alone in theirs.
        from rewardkit.verifiers.math.formula import side_of

        alone = side_of(text, *box.span).span == box.span
        return box if alone else _none(box, "a part of a formula")
    start, stop = text.rfind("\\", 0, box.span[0]), text.find("}", box.span[1]) + 1
    if is_denied(text, start, stop, boxed=True):
        return _none(box, "what it is not")
    if (grouped := _GROUPED.match(text, stop)) and box.text.isdecimal():
        return replace(box, text=f"{box.text},{grouped[1]}", span=(start, grouped.end()))
    if grouped or text[max(0, start - 1) : start].isdecimal() or _DIGIT.match(text, stop):
        return _none(box, "part of a number")
    if not _is_plain(text, start, stop):
        from rewardkit.verifiers.math.formula import side_of

        side = side_of(text, start, stop)
        before, after = text[side.span[0] : start], text[stop : side.span[1]]
        whole = f"{before}({box.text}){after}" if before else f"{_inner(box.text)}{after}"
        if side.span != (start, stop):
            return box if _is_blank(whole, side.equal) else replace(box, text=whole, span=side.span)
        if side.equal and _differs(box.text, side.equal):
            return _none(box, "one side of an equation that does not hold")
        if _MINUS.search(text[max(0, start - 8) : start]):
            return replace(box, text=f"-{_inner(box.text)}")
    return measured(text, box, stop)


def _none(box: Extraction, why: str) -> Extraction:
    return replace(box, text=None, span=None, raw=None, reason=_NO.format(why))


def _inner(text: str) -> str:
    return text if _BARE.fullmatch(text) else f"({text})"


def _is_plain(text: str, start: int, stop: int) -> bool:
    """True for a box that begins and ends its formula, as nearly all do."""
    before, after = text[max(0, start - 3) : start].rstrip(" "), text[stop : stop + 3].lstrip(" ")
    begins = before.endswith(("$", "=", "\\[", "\\(", "\n")) if before else start < 3
    begins = begins and not before.endswith("\\$")  # money
    return begins and (after.startswith(_CLOSED) if after else len(text) <= stop + 3)


_CLOSED = ("$", "\\]", "\\)", ".$", ".\n")


def _values(*texts: str) -> list[Fraction] | None:
    found = [understood(text) for text in texts]
    values = [None if isinstance(each, str) else each.study.value for each in found]
    return [v for v in values if v is not None] if None not in values else None


def _is_blank(side: str, other: str) -> bool:
    """True for the blank of an equation that holds: ``2 + \\boxed{3} = 5``."""
    if not _PLAIN.fullmatch(other):
        return False
    values = _values(side, other)
    return values is not None and values[0] == values[1]


def _differs(boxed: str, other: str) -> bool:
    """True for ``\\boxed{5} = 6``, which commits to nothing; a rounding may follow."""
    values = _values(boxed, other)
    if values is None or values[0] == values[1]:
        return False
    match = _PLAIN.fullmatch(other)
    places = len(other.partition(".")[2]) if match and "." in other else 0
    return not places or abs(values[0] - values[1]) > Fraction(51, 100 * 10**places)


_FONT = r"\\(?:text[a-z]*|mathrm|mbox|hbox)\s?\{\s{0,3}"
_GAP = r"(?:[ \t~$*}]|\\[,;:!> \])]){0,6}"
_SCALE = re.compile(
    rf"{_GAP}(?:{_FONT})?(?:(hundred|thousand|million|billion|trillion|dozen)s?(?![-\w])|([百千万亿]))",
    re.IGNORECASE,
)
_DEGREE = re.compile(
    r"(?:[ \t~]|\\[,;:!> ]){0,6}((?:\^\s?\{?\s?\\circ\s?\}?|°|\\degree(?![a-z]))"
    rf"(?:\s?(?:{_FONT})?[CF](?![A-Za-z])\s?\}}?)?)"
)
_IN_FONT = re.compile(rf"{_GAP}({_FONT}([^{{}}]{{1,24}})\}}(?:\s?\^\s?\{{?-?[23]\}}?)?)")
_UNIT = re.compile(
    rf"{_GAP}({_FONT})?((?:square |cubic |sq\.? |cu\.? )?([A-Za-z]+))"
    r"(\s?\}?\s?\^\s?\{?[23]\}?|[²³])?"
    r"(?:\s?(?:/|per\b)\s?([A-Za-z]+)(?![A-Za-z]))?"
)


def measured(text: str, found: Extraction, stop: int) -> Extraction:
    r"""An answer that ends at ``stop`` with the scale, unit or degrees that stand after its mark.

    A scale makes it another number, ``$\boxed{5}$ million``, and a unit another quantity.
    """
    if found.text is None:
        return found
    if scale := _SCALE.match(text, stop):
        after = f" {(scale[1] or scale[2]).lower()}"
    elif degree := _DEGREE.match(text, stop):
        after = degree[1]
    elif (named := _IN_FONT.match(text, stop)) and _is_all_known(named[2]):
        after = named[1]
    elif (unit := _UNIT.match(text, stop)) and _is_measure(unit):
        after = f" {unit[2]}" + (re.sub(r"[^23²³]", "", unit[4] or "") and f"^{_power(unit[4])}")
        after += f"/{unit[5]}" if unit[5] and _is_known(unit[5]) else ""
    else:
        return found
    if not _is_amount(found.text):
        return found
    name, sign, value = found.text.rpartition("=")
    whole = f"{name}{sign}{_inner(value.strip())}{after}"
    return found if isinstance(understood(whole), str) else replace(found, text=whole)


def _is_amount(text: str) -> bool:
    """False for words and for the letter of a choice, which have no unit."""
    value = understood(text)
    if isinstance(value, str):
        return False
    parts = list(walk(value.tree))
    return any(isinstance(p, Num) for p in parts) and not any(isinstance(p, Text) for p in parts)


def _power(written: str) -> str:
    return "2" if "2" in written or "²" in written else "3"


def _is_measure(unit: re.Match[str]) -> bool:
    """A unit of the table; one letter, and "in", only in a font of its own: ``\\text{m}``."""
    short = len(unit[3]) == 1 or unit[3] == "in"
    return (not short or bool(unit[1])) and _is_known(unit[3])


def _is_all_known(written: str) -> bool:
    words = re.findall(r"[^\W\d_]+", written)
    shape = {"square", "cubic", "sq", "cu", "per", "squared", "cubed"}
    return any(_is_known(word) for word in words) and all(
        _is_known(word) or word in shape for word in words
    )


def _is_known(word: str) -> bool:
    from rewardkit.verifiers.math.units import UNIT_NAMES

    return word in UNIT_NAMES
