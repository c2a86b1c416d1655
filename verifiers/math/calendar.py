"""Dates and times of day."""

from __future__ import annotations

import re

from rewardkit.verifiers.math.tree import Node, Op, Sym, number

__all__ = ["read"]

_MONTHS = {
    name: i // 2 + 1
    for i, name in enumerate(
        [
            "january",
            "jan",
            "february",
            "feb",
            "march",
            "mar",
            "april",
            "apr",
            "may",
            "may",
            "june",
            "jun",
            "july",
            "jul",
            "august",
            "aug",
            "september",
            "sep",
            "october",
            "oct",
            "november",
            "nov",
            "december",
            "dec",
        ]
    )
} | {"sept": 9}
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_CLOCK = re.compile(
    r"(?:at )?([0-9]{1,2})(?::([0-5][0-9]))?(?::([0-5][0-9]))?\s*([ap])\.?\s?m\.?", re.IGNORECASE
)
_DAY_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_HAN_CLOCK = re.compile(r"(上午|下午)?([0-9]{1,2})[点时](?:([0-9]{1,2})分?)?")
_ISO = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_HAN = re.compile(r"(?:([0-9]{4})年)?([0-9]{1,2})月([0-9]{1,2})[日号]")
_MONTH_FIRST = re.compile(r"([a-z]{3,9})\.? ([0-9]{1,2})(?:st|nd|rd|th)?(?:,? ([0-9]{4}))?")
_DAY_FIRST = re.compile(
    r"(?:the )?([0-9]{1,2})(?:st|nd|rd|th)?(?: of)? ([a-z]{3,9})\.?(?:,? ([0-9]{4}))?"
)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_MATHEMATICS = re.compile(r"[\^_+*=<>()|]|\\(?!text)")  # and no date or time


def read(text: str) -> Node | None:
    """A date or time of day, or ``None``."""
    if len(text) > 60 or _MATHEMATICS.search(text) or not any(c.isdigit() for c in text):
        return None
    if not (":" in text or any(c.isalpha() for c in text) or text.count("-") == 2 or "/" in text):
        return None
    plain = re.sub(r"\s+", " ", _TEXT.sub(r" \1 ", text)).strip().lower()
    return _time(plain) or _date(plain)


_NAMED = {"noon": 12, "12 noon": 12, "midnight": 0, "12 midnight": 0}


def _time(text: str) -> Node | None:
    if text in _NAMED:
        return _clock(_NAMED[text], None, None, "half")
    if match := _CLOCK.fullmatch(text):
        hour = int(match[1])
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[4] in "pP" else 0)
        return _clock(hour, match[2], match[3], "half")
    if match := _HAN_CLOCK.fullmatch(text):
        hour = int(match[2]) + (12 if match[1] == "下午" and int(match[2]) < 12 else 0)
        return _clock(hour, match[3], None, "half" if match[1] else "")
    if (match := _DAY_CLOCK.fullmatch(text)) and (match[3] or len(match[1]) == 2):
        return _clock(int(match[1]), match[2], match[3], "")
    return None


def _clock(hour: int, minute: str | None, second: str | None, name: str) -> Node:
    return Op("time", (number(hour), number(int(minute or 0)), number(int(second or 0))), name)


def _date(text: str) -> Node | None:
    if match := _ISO.fullmatch(text):
        return _day(int(match[1]), int(match[2]), int(match[3]))
    if match := _HAN.fullmatch(text):
        return _day(int(match[1] or 0), int(match[2]), int(match[3]))
    if (match := _MONTH_FIRST.fullmatch(text)) and match[1] in _MONTHS:
        return _day(int(match[3] or 0), _MONTHS[match[1]], int(match[2]))
    if (match := _DAY_FIRST.fullmatch(text)) and match[2] in _MONTHS:
        return _day(int(match[3] or 0), _MONTHS[match[2]], int(match[1]))
    for day in _DAYS:
        if text.startswith(day + ", ") and (rest := _date(text[len(day) + 2 :])) is not None:
            return rest
    return None


def _day(year: int, month: int, day: int) -> Node | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return Op("date", (number(year) if year else Sym("?"), number(month), number(day)))
