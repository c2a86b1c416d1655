"""Finding marked blocks in hostile text: every scan here is one pass, linear in its length."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rewardkit.verdict import Span

__all__ = [
    "Block",
    "Blocks",
    "bold",
    "boxed",
    "each_number",
    "formulas",
    "hashes",
    "is_blank",
    "numbers",
    "phrases",
    "tagged",
]


class Block(NamedTuple):
    """Offsets of a block's content: first character, and one past the last."""

    start: int
    stop: int


class Blocks(NamedTuple):
    """Blocks in the order in which they were closed, and whether one was opened and left open.

    ``dangling`` is the offset of the last opening marker that was never closed, or ``None``.
    """

    closed: list[Block]
    dangling: int | None


_PIECE = 1 << 18
_REACH = 256

# Only the last few can be the answer. A million kept from a hostile text would fill the memory, and
# have the garbage collector go over all objects of the process, which holds the interpreter's lock.
_KEPT = 20
_KEPT_BOXES = 400  # a list may be written in as many boxes


def in_pieces(
    pattern: re.Pattern[str], text: str, begin: int = 0, reach: int = _REACH
) -> Iterator[re.Match[str]]:
    """All matches of ``pattern``, looked for in a piece of the text at a time.

    One search holds the interpreter's lock to its end: over a hundred megabytes no other thread of
    a trainer would run for seconds.

    Args:
        pattern: an expression whose matches are not empty.
        text: the text.
        begin: offset at which the first match may begin.
        reach: most characters of what begins a match and is none yet (the backslash and the name
            of a box before its brace), and of what a match looks ahead for.
    """
    least = max(_PIECE, 2 * reach)
    if len(text) - begin <= least:
        return pattern.finditer(text, begin)
    return _piecewise(pattern, text, begin, reach, least)


def _piecewise(
    pattern: re.Pattern[str], text: str, begin: int, reach: int, least: int
) -> Iterator[re.Match[str]]:
    at, size = begin, least
    while at < len(text):
        stop = min(at + size, len(text))
        edge = stop if stop == len(text) else stop - reach
        for mark in pattern.finditer(text, at, stop):
            if mark.end() > edge:
                break
            yield mark
            at = mark.end()
        else:
            at, size = max(at, edge), least
            continue
        # It may go on beyond the piece: again from its beginning, with twice as much where it
        # fills the piece, so that a long match is looked for a few times and not at every piece.
        size = 2 * size if mark.start() == at else least
        at = mark.start()


@lru_cache(maxsize=256)
def _either(opening: str, closing: str) -> re.Pattern[str]:
    longest_first = sorted({opening, closing}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def tagged(text: str, opening: str, closing: str, begin: int = 0) -> Blocks:
    """The last blocks between two markers, which do not nest: a second opening starts anew."""
    closed: deque[Block] = deque(maxlen=_KEPT)
    inside: int | None = None
    if text.find(opening, begin) < 0:
        return Blocks([], None)
    reach = max(_REACH, len(opening), len(closing))
    for mark in in_pieces(_either(opening, closing), text, begin, reach):
        if inside is not None and mark.group() == closing:
            closed.append(Block(inside, mark.start()))
            inside = None
        elif mark.group() == opening:
            inside = mark.end()
    return Blocks(list(closed), inside)


# Two backslashes: LaTeX that was escaped once too often on its way here.
_BRACES = re.compile(r"\\\\?(?:boxed|fbox)\s{0,99}\{|\\.|[{}]", re.DOTALL)


def boxed(text: str, begin: int = 0) -> Blocks:
    r"""Balanced ``\boxed{...}`` (and ``\fbox``); a box in a box comes before the outer one.

    Braces are matched with a stack in one pass: looking for the end of each box anew would be
    quadratic in a text of ten thousand boxes left open. Any box left open counts as dangling,
    also one with a complete box inside. The last few hundred boxes are kept.
    """
    closed: deque[Block] = deque(maxlen=_KEPT_BOXES)
    first, framed = text.find("\\boxed", begin), text.find("\\fbox", begin)
    if first < 0 or 0 <= framed < first:
        first = framed
    if first < 0:
        return Blocks([], None)
    stack: list[int] = []  # where each open box begins, -1 for other braces
    for mark in in_pieces(_BRACES, text, first):  # what is opened before it closes no box
        token = mark.group()
        if token == "}":
            if stack and (opened := stack.pop()) >= 0:
                closed.append(Block(opened, mark.start()))
        elif token[-1] == "{" and token != "\\{":
            stack.append(mark.end() if token != "{" else -1)
    dangling = max(stack, default=-1)  # the last one opened, since it begins last
    return Blocks(list(closed), None if dangling < 0 else dangling)


_HASHES = re.compile(r"(?<!#)####(?!#)")


def hashes(text: str, begin: int = 0) -> list[Block]:
    """What follows the last ``####``, to the end of its line or the next ``####``."""
    if (first := text.find("####", begin)) < 0:
        return []
    marks: deque[Span] = deque(maxlen=_KEPT)
    for mark in in_pieces(_HASHES, text, first):
        marks.append(mark.span())
    return [
        Block(after, _line_end(text, after, marks[i + 1][0] if i + 1 < len(marks) else len(text)))
        for i, (_, after) in enumerate(marks)
    ]


_PHRASE = re.compile(
    r"(?:\banswers?(?:\*\*)?\s{0,4}(?:is\b|are\b|:|=)|答案(?:\*\*)?(?:是|为|：|:)|答(?:：|:)"
    r"|(?:故|应|答案|所以|因此)选)"
    r"(?:\*\*)?[:：\s]{0,4}",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"\.(?=\s|$)|\n|。")


def phrases(text: str, begin: int = 0, most: int = 9) -> list[Block]:
    """What follows the last ``most`` "answer is" or "answer:", to the end of sentence or line."""
    ends = deque((mark.end() for mark in _PHRASE.finditer(text, begin)), most)
    found = []
    # Each looks at most a thousand characters ahead, and only the last few do: a megabyte of
    # phrases without a line break must not be scanned once per phrase.
    for start in ends:
        limit = min(len(text), start + 1000)
        end = _SENTENCE_END.search(text, start, limit)
        found.append(Block(start, end.start() if end else limit))
    return found


# ASCII digits only, never part of a word; commas, fractions and percent belong to the token, so
# that the 2 of "1/2" or the 3 of "1,2,3" is not mistaken for the answer.
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.,/^{０-９٠-٩])(?:(?<![)\]}])[-+−])?(?:[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[eE][-+]?[0-9]+)?(?:\s?/\s?[0-9]+)?(?!\d)(?:\s?\\?%|\s(?:percent|pct)\b)?"
)


def each_number(text: str, begin: int = 0) -> Iterator[Block]:
    """Tokens that look like numbers, without the comma or period that ends a sentence."""
    for mark in in_pieces(_NUMBER, text, begin):
        token = mark.group().rstrip(",.")
        yield Block(mark.start(), mark.start() + len(token))


def numbers(text: str, begin: int = 0) -> list[Block]:
    """The last few of :func:`each_number`."""
    return list(deque(each_number(text, begin), _KEPT))


_BOLD = re.compile(r"\*\*(?=[^\s*])([^*\n]{1,200}?)\*\*")
_ANSWER_LIKE = re.compile(
    r"\(?[A-J]\)?[.)]?|(?![0-9]{1,2}[.)]\s)[-+−(\[]?\s?[$€£\\√πx0-9].*", re.DOTALL
)


def bold(text: str, begin: int = 0) -> list[Block]:
    """Markdown's bold that looks like an answer: a letter of a choice, or mathematics.

    Headings ("**Step 1**", "**1. Setup**") are no answers.
    """
    marks = deque(_BOLD.finditer(text, begin), maxlen=_KEPT)
    return [
        Block(*mark.span(1))
        for mark in marks
        if _ANSWER_LIKE.fullmatch(mark[1]) and not mark[1].rstrip().endswith(":")
    ]


# An escaped dollar is money, within a formula and outside. The dollar stands before what looks back
# from it: so plain text is skipped at the speed of a search for one character.
_FORMULA = re.compile(
    r"\$(?<!\\\$)\$((?:[^$\\]++|\\.)++)\$\$|\$(?<!\\\$)((?:[^$\n\\]++|\\[^\n])++)\$"
    r"|\\\(|\\\)|\\\[|\\\]",
    re.DOTALL,
)


def formulas(text: str, begin: int = 0) -> list[Block]:
    r"""Mathematics between ``$``, ``$$``, ``\(`` and ``\)``, ``\[`` and ``\]``."""
    found: deque[Block] = deque(maxlen=_KEPT)
    opened: int | None = None
    for mark in _FORMULA.finditer(text, begin):
        if mark.lastindex:
            found.append(Block(*mark.span(mark.lastindex)))
        elif mark.group() in ("\\(", "\\["):
            opened = mark.end()
        elif opened is not None:
            found.append(Block(opened, mark.start()))
            opened = None
    return list(found)


# Letters by category that nevertheless show nothing.
_INVISIBLE = frozenset("\u2800\u3164\u115f\u1160\uffa0")
_ASCII_INVISIBLE = "".join(map(chr, range(33))) + "\x7f"


def is_blank(text: str) -> bool:
    """True if nothing in the text can be seen: spaces, controls, zero-width, lone surrogates."""
    if text.isascii():
        return not text.strip(_ASCII_INVISIBLE)
    return all(not c.isprintable() or c.isspace() or c in _INVISIBLE for c in text)


def _line_end(text: str, start: int, limit: int) -> int:
    end = text.find("\n", start, limit)
    return limit if end < 0 else end
