"""When a printed text is the expected one. One pass over each."""

from __future__ import annotations

import math
import re

from rewardkit.verifiers.code.compare import Close, Compare

__all__ = ["same_output"]


def same_output(expected: str, got: str, how: Compare) -> bool:
    """Whether a printed text is the expected one."""
    if how == "exact":
        return expected == got
    if how in ("auto", "lines"):
        return _lines(expected) == _lines(got)
    wanted, words = expected.split(), got.split()
    if len(wanted) != len(words):
        return False
    if not isinstance(how, Close):
        return wanted == words
    return all(a == b or _near(a, b, how) for a, b in zip(wanted, words, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(" \t\r\f\v") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][-+]?[0-9]+)?")
_LONGEST = 400  # digits beyond which a word is compared as text only


def _near(expected: str, got: str, how: Close) -> bool:
    numbers = [_DECIMAL.fullmatch(word[:_LONGEST]) for word in (expected, got)]
    if None in numbers or not any(m.lastindex for m in numbers if m is not None):
        return False
    if max(len(expected), len(got)) > _LONGEST:
        return False
    wanted, number = float(expected), float(got)
    # Both too large for a double: they would be the same infinity.
    return math.isfinite(wanted) and math.isfinite(number) and how.holds(wanted, number)
