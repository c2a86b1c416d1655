"""Values in sentences: what an answer tag, a phrase or the last number of a text says."""

from __future__ import annotations

import re
from dataclasses import replace

from rewardkit.verdict import Span
from rewardkit.verifiers import _scan
from rewardkit.verifiers._boxes import is_joint
from rewardkit.verifiers.extraction import Extraction, Retraction, Thinking, extract
from rewardkit.verifiers.math.around import in_its_place, is_denied
from rewardkit.verifiers.math.tree import Text, walk
from rewardkit.verifiers.math.understood import Understood, understood
from rewardkit.verifiers.math.units import is_unit
from rewardkit.verifiers.math.words import NOT_UNITS

__all__ = ["MAX_SENTENCE", "all_bold", "alone", "in_sentence", "marked", "widened"]

MAX_SENTENCE = 400
"""Longest sentence in which a value is looked for, in characters."""

_STATEMENT = re.compile(
    r".{0,300}(?:\b(?:is|are|equals|was|were|be|get|have)(?: about)?\s|[为是得])\s*(.+)",
    re.IGNORECASE,
)


_ODDS = re.compile(r"([0-9]{1,9}) (?:in|out of) ([0-9]{1,9})\.?")


def in_sentence(text: str) -> Understood | None:
    """The value that one sentence states, as in an answer tag: "The total is 42."

    What follows "is" must be a value to its end; else the only number of a sentence that neither
    negates nor bounds it.
    """
    if len(text) > MAX_SENTENCE:
        return None
    if (found := marked(text)) is not None:
        return found
    if (odds := _ODDS.fullmatch(text.strip())) is not None:
        value = understood(f"\\frac{{{odds[1]}}}{{{odds[2]}}}")
        return value if isinstance(value, Understood) else None
    if (match := _STATEMENT.fullmatch(text.strip().rstrip(".。"))) is not None:
        value = understood(match[1].strip().strip("$"))
        if isinstance(value, Understood):
            return value
    return _only_number(text)


def marked(text: str) -> Understood | None:
    """The value in a box or after "the answer is" in a text that is no value as a whole."""
    inner = in_its_place(text, extract(text, ("boxed", "phrase"), None))
    if inner.text is None or inner.text == text:
        return None
    value = understood(inner.text)
    return value if isinstance(value, Understood) else None


# "about 42", "not 42", "step 42": the number is no answer, or not this one.
_NEGATING = """
never cannot nearly almost around roughly isn wasn don doesn didn can couldn before after
step case page equation figure part chapter problem question example line option choice
"""
_STATING = {"is", "are", "was", "from", "to", "equal", "equals", "one"}
_NO_ANSWER = NOT_UNITS - _STATING | frozenset(_NEGATING.split())
_WORDS = re.compile(r"[^\W\d_]+")


def _only_number(text: str) -> Understood | None:
    numbers = _scan.numbers(text)
    if len(numbers) != 1 or any(c in text for c in "\\^=<>_{}()[]*+"):
        return None
    (start, stop) = numbers[0]
    before, after = (_WORDS.findall(part.lower()) for part in (text[:start], text[stop:]))
    if len("".join(before)) < 2 or not _NO_ANSWER.isdisjoint([*before, *after]):
        return None
    if any(c.isdigit() for c in text[:start] + text[stop:]):
        return None
    return _measured(text[start:stop], after)


def _measured(number: str, after: list[str]) -> Understood | None:
    """The number, with the word after it if that is a unit."""
    unit = f" {after[0]}" if after and _is_measure(after[0]) else ""
    value = understood(number + unit)
    return value if isinstance(value, Understood) and not isinstance(value.tree, Text) else None


def _is_measure(word: str) -> bool:
    return word != "in" and is_unit(word)  # "72 in all"


_SCALED = re.compile(
    r"\s{0,2}(?:(?:hundred|thousand|million|billion|trillion|dozen)\b|[百千万亿]+)", re.IGNORECASE
)
_UNIT = re.compile(r"\s{0,2}((?:square |cubic |sq\.? )?([^\W\d_]+))")
_JOINT = re.compile(
    r"[\s$]{0,3}(?:,?\s?(?:\b(?:and|or)\b)|和|或者?|以及|、)[\s$]{0,3}(?:[A-Za-z](?:_\{?\w\}?)?\s?=)?"
    r"[\s$]{0,3}[-−]?"
)
_COMMA = re.compile(r"\s?[,，]\s(?:[A-Za-z](?:_\{?\w\}?)?\s?=)?\s?[-−]?")
_NAME = re.compile(r"(?<![A-Za-z])[A-Za-z](?:_?\{?[0-9₀-₉]\}?)?\s?=\s?[-−]?$")
_NUMBERED = re.compile(r"(?<![A-Za-z])([A-Za-z])_?\{?[0-9₀-₉]\}?\s?=\s?[-−]?$")
_MONTH = re.compile(
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s?$", re.IGNORECASE
)


# "from 5 to 6", "5-6 days": the last number is no more the answer than the first. "It fell by 5 to
# 3" and a date, 2020-03-04, are no ranges.
_RANGE = re.compile(
    r"(\bfrom\s{1,3})?(?<![0-9.,/^_-])(?<!\bby )([0-9][0-9.,]{0,20}%?)"
    r"\s{0,2}\$?(to|through|until|[-–—~])\s{0,2}\$?$",
    re.IGNORECASE,
)


def widened(text: str, found: Extraction) -> Extraction:
    """The last number of a text with what belongs to it: ``2.5 million``, ``3 hours``, ``2 and 3``.

    Without its scale it is another number, without its unit another quantity, and the last of
    several values is not what the text says: "It is 2 or 3" must not pay for 3.
    """
    if found.span is None:
        return found
    start, stop = found.span
    if is_denied(text, start, stop):
        reason = "no answer: the last number is what it is not"
        return replace(found, text=None, span=None, raw=None, reason=reason)
    if (ratio := _RANGE.search(text, max(0, start - 40), start)) is not None:
        if ratio[1] or ratio[3] != "to":
            reason = "no answer: the last number is the end of a range"
            return replace(found, text=None, span=None, raw=None, reason=reason)
        start = ratio.start(2)  # "8 to 9" is the ratio 8:9
    if (run := _run(text, start, stop)) is not None:
        start, stop = run
        return replace(found, text=text[start:stop], span=run, raw=text[start:stop])
    if scale := _SCALED.match(text, stop):
        stop = scale.end()
    elif (word := _UNIT.match(text, stop)) and _is_measure(word[2]):
        stop = word.end()
    start, kept = _listed(text, found, start)
    if (start, stop) == found.span:
        return found
    refused = found.refused[kept:]
    return replace(
        found, text=text[start:stop], span=(start, stop), raw=text[start:stop], refused=refused
    )


_RUN_LENGTH = 60
_MEASURE = re.compile(r"[A-Za-z]{1,3}[²³]?")
_MATHEMATICS = re.compile(r"[π√∞^()\[\]+*/·×÷±²³⁴-⁹⁰¹]")


def _run(text: str, start: int, stop: int) -> Span | None:
    """The formula without spaces that a number of the prose is part of: ``3π/2``, ``(3,4)``."""
    first, last = start, stop
    while first > 0 and start - first < _RUN_LENGTH and text[first - 1] not in _AROUND:
        first -= 1
    while last < len(text) and last - stop < _RUN_LENGTH and text[last] not in _AROUND:
        last += 1
    first = max(text.rfind(sign, first, start) + 1 for sign in "=≈") or first
    while last > stop and text[last - 1] in ".,;:!?":
        last -= 1
    run = text[first:last]
    if _MEASURE.fullmatch(text, stop, last):
        return None  # 20m² is no product with a letter m
    if run == text[start:stop] or not _MATHEMATICS.search(run.removeprefix("-")):
        return None
    value = understood(run)
    if isinstance(value, str) or any(isinstance(part, Text) for part in walk(value.tree)):
        return None
    return first, last


_AROUND = frozenset(" \t\r\n\u3000$，。；：！？、<>") | {"\u00a0"}


def all_bold(text: str, found: Extraction) -> Extraction:
    """The last value in bold with those joined to it: "**8** or **9**" must not pay for 9."""
    if found.span is None or found.rule != "last bold":
        return found
    first, items, either = found.span[0], [found.text or ""], False
    for other in found.refused:
        if other.span is None or not is_joint(text[other.span[1] : first]):
            break
        either = either or "or" in text[other.span[1] : first]
        first, items = other.span[0], [other.text, *items]
    if len(items) == 1:
        return found
    joined = (" or " if either else " ; ").join(items)
    return replace(found, text=joined, span=(first, found.span[1]), refused=())


def alone(
    text: str, found: Extraction, thinking: Thinking, retraction: Retraction = "ignore"
) -> Extraction:
    """A short text without a number or formula that states a value in words: "It is one half."."""
    whole = extract(text, "whole", thinking, retraction=retraction)
    if whole.text is None or "\n" in whole.text or in_sentence(whole.text) is None:
        return found
    return whole


def _listed(text: str, found: Extraction, start: int) -> tuple[int, int]:
    """Where a list begins that ends in the number found, and how many numbers came before."""
    first, kept = start, 0
    for other in found.refused:
        if other.span is None or first - other.span[1] > 16:
            break
        between = text[other.span[1] : first]
        joined = _JOINT.fullmatch(between) or (kept and _COMMA.fullmatch(between))
        if not (joined or _is_next_root(text, other.span[0], between)):
            break
        first, kept = other.span[0], kept + 1
    if not kept or _MONTH.search(text, max(0, first - 12), first):
        return start, 0
    name = _NAME.search(text, max(0, first - 12), first)
    return (name.start() if name else first), kept


def _is_next_root(text: str, before: int, between: str) -> bool:
    """True between the values of ``x₁ = 1, x₂ = 3``: one letter, numbered."""
    first = _NUMBERED.search(text, max(0, before - 12), before)
    second = _NUMBERED.search(between)
    return first is not None and second is not None and first[1] == second[1]
