"""Number words, scale words and words that say nothing; English and Chinese."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["NOT_UNITS", "SCALES", "number_words", "plain_words"]

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = {
    word: 20 + 10 * i
    for i, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    )
}
_BIG = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
}  # fmt: skip
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip

SCALES = {
    "hundred": 100, "dozen": 12, **_BIG,
    "百": 100, "千": 1000, "万": 10**4, "亿": 10**8,
}  # fmt: skip
"""Words that multiply the number before them: they are part of the value, never decoration."""

_CHANGING = """
or and not no to than more less least most about over under between from is are was equals
equal wrong false incorrect half third quarter point minus plus times divided by if when either
neither maybe unless but hundred thousand million billion trillion dozen percent negative squared
cubed factorial approximately infinity zero one two three four five six seven eight nine ten
undefined some any other except without nor instead however because
"""
NOT_UNITS = frozenset(_CHANGING.split())
"""Words after a number that change what it says, so that they are no unit."""


def number_words(text: str) -> Fraction | None:
    """The value of a number written in words, such as "forty-two" or "two thirds"."""
    words = re.sub(r"[-\s]+", " ", text.strip().lower()).split(" ")
    if len(words) > 24 or not words:
        return _chinese(text.strip())
    sign = 1
    if len(words) > 1 and words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    if len(words) > 1 and words[0] in ("a", "an") and words[1] in ("hundred", "dozen", *_BIG):
        words = ["one", *words[1:]]  # a hundred and five
    if "and" in words and (mixed := _mixed(words)) is not None:
        return sign * mixed
    below = _PARTS.get(words[-1]) or _PARTS.get(words[-1].removesuffix("s"))
    if below and len(words) > 1:
        above = 1 if words[:-1] in (["a"], ["an"]) else _cardinal(words[:-1])
        return None if above is None or above >= 100 else Fraction(sign * above, below)
    value = _cardinal(words)
    return _chinese(text.strip()) if value is None else Fraction(sign * value)


def _mixed(words: list[str]) -> Fraction | None:
    """ "one and a half", "two and three quarters"."""
    at = words.index("and")
    whole, parts = _cardinal(words[:at]) if at else None, words[at + 1 :]
    below = _PARTS.get(parts[-1]) or _PARTS.get(parts[-1].removesuffix("s")) if parts else None
    if whole is None or not below or len(parts) < 2:
        return None
    above = 1 if parts[:-1] in (["a"], ["an"]) else _cardinal(parts[:-1])
    return None if above is None or above >= below else whole + Fraction(above, below)


def _cardinal(words: list[str]) -> int | None:
    total = current = 0
    last = 0  # what may come next: 0 anything, 1 a unit after tens, 2 nothing but a scale
    seen = False
    for at, word in enumerate(words):
        if word == "and" and seen and at + 1 < len(words) and last == 3:
            continue
        if (word in _SMALL and last in (0, 3)) or (
            word in _SMALL and last == 1 and 0 < _SMALL[word] < 10
        ):
            current, last = current + _SMALL[word], 2
        elif word in _TENS and last in (0, 3):
            current, last = current + _TENS[word], 1
        elif word == "hundred" and 0 < current < 100:
            current, last = current * 100, 3
        elif word == "dozen" and current and at == len(words) - 1:
            current, last = current * 12, 2
        elif word in _BIG and 0 < current < 1000:
            total, current, last = total + current * _BIG[word], 0, 3
        else:
            return None
        seen = True
    return total + current if seen else None


_HAN = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_HAN_SCALE = {"十": 10, "百": 100, "千": 1000}


def _chinese(text: str) -> Fraction | None:
    """Numerals such as 四十二 or 三分之一."""
    if not text or len(text) > 12 or text.isascii():
        return None
    if text[0] == "负":
        value = _chinese(text[1:])
        return None if value is None else -value
    if "分之" in text:
        below, _, above = text.partition("分之")
        a, b = _han(above), _han(below)
        return Fraction(a, b) if a is not None and b else None
    whole = _han(text)
    return None if whole is None else Fraction(whole)


def _han(text: str) -> int | None:
    total = digit = 0
    fresh = False
    for c in text:
        if c in _HAN and not fresh:
            digit, fresh = _HAN[c], _HAN[c] != 0
        elif c in _HAN_SCALE and (fresh or (c == "十" and not total)):
            total, digit, fresh = total + (digit or 1) * _HAN_SCALE[c], 0, False
        else:
            return None
    return total + digit if text else None


_ARTICLES = re.compile(r"\b(?:the|a|an)\s+")


def plain_words(text: str) -> str:
    """Text as compared: case, articles, quotes and runs of space say nothing."""
    text = re.sub(r"[\s_~]+", " ", text.strip().strip("\"'`“”‘’.;:!").strip()).casefold()
    plain = re.sub(r"\s*([,;])\s*", r"\1 ", _ARTICLES.sub("", text)).replace("’", "'").strip()
    return "does not exist" if plain == "dne" else plain
