r"""Which part of a completion is its answer. Shared by every verifier that judges an answer.

Every rule is one pass, linear in the length of the text, and says what it took and what it refused.
A marker that is there but broken (a box left open, an empty tag) means "no answer": falling back to
some other number in the text would pay for a number that nobody gave as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import regex
from pydantic import ConfigDict

from rewardkit.errors import UsageError
from rewardkit.verdict import Refused, Span
from rewardkit.verifiers import _scan
from rewardkit.verifiers._scan import Block, Blocks

__all__ = [
    "THINK",
    "Between",
    "Extract",
    "Extraction",
    "Pattern",
    "Thinking",
    "extract",
    "gold_text",
]

MAX_REFUSED = 8
"""Most candidates listed as refused (the last ones)."""
MAX_SHOWN = 500
"""Most characters of judged text copied into evidence; the span tells where the rest is."""

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Between:
    """Text between two markers, such as ``<SOLUTION>`` and ``</SOLUTION>``; the last such block.

    Raises:
        UsageError: for a marker that is empty.
    """

    __pydantic_config__ = _STRICT

    start: str
    end: str

    def __post_init__(self) -> None:
        if not self.start or not self.end:
            raise UsageError(f"markers must not be empty, got {self!r}")


@dataclass(frozen=True)
class Pattern:
    """Text of a group in the last match of a regular expression (module ``regex``).

    Args:
        regex: the expression; ``.`` matches line breaks.
        group: number of the group, 0 for the whole match.
        timeout_s: seconds after which the search ends without an answer.

    Raises:
        UsageError: for an expression that does not compile or lacks the group.
    """

    __pydantic_config__ = _STRICT

    regex: str
    group: int = 1
    timeout_s: float = 1.0

    def __post_init__(self) -> None:
        groups = compiled(self.regex).groups
        if not 0 <= self.group <= groups:
            raise UsageError(
                f"group {self.group} of {self.regex!r} does not exist: it has {groups} "
                f"(group=0 is the whole match)"
            )
        if not self.timeout_s > 0:
            raise UsageError(f"timeout_s must be a positive number of seconds, got {self!r}")


Extract = Literal["auto", "answer", "boxed", "hash", "last_number", "whole"] | Between | Pattern
"""Where the answer is: in ``"answer"`` tags, the last ``"boxed"``, after ``####`` (``"hash"``), the
``"last_number"``, the ``"whole"`` text, :class:`Between` markers, a :class:`Pattern`, or
``"auto"``: the first of tags, box, ``####``, "the answer is" and last number of which there is any
trace."""

Thinking = Between | None
"""Markers of the part that is not the answer; ``None`` if there is no such part."""

THINK = Between("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was taken as the answer.

    Attributes:
        text: the answer without surrounding whitespace; ``None`` if there is none.
        span: its character offsets into the text searched.
        rule: what found it, in a few words.
        refused: what else was considered, last first, at most ``MAX_REFUSED``.
        reason: why there is no answer.
        raw: the answer with its surrounding whitespace.
    """

    text: str | None
    span: Span | None
    rule: str
    refused: tuple[Refused, ...] = ()
    reason: str = ""
    raw: str | None = None

    @property
    def evidence(self) -> dict[str, Any]:
        """Keyword arguments for a verdict."""
        shown = None if self.text is None else shorten(self.text)
        return {"rule": self.rule, "span": self.span, "text": shown, "refused": self.refused}


def extract(text: str, how: Extract = "auto", thinking: Thinking = THINK) -> Extraction:
    r"""The answer in a completion.

    Only the text after the last end-of-thinking marker is searched; a thinking block that is opened
    and never closed has no answer.

    Example:
        >>> extract(r"<think>5?</think> It is \boxed{4}.").text
        '4'
    """
    begin = _after_thinking(text, thinking)
    if isinstance(begin, Extraction):
        return begin
    if how == "auto":
        for rule in _AUTO:
            if (found := rule(text, begin)) is not None:
                return found
        return _none("auto", "the text holds neither an answer marker nor a number")
    if isinstance(how, Between):
        return _between(text, begin, how) or _none(how.start, f"no {how.start}...{how.end}")
    if isinstance(how, Pattern):
        return _pattern(text, begin, how)
    rule, missing = _RULES[how]
    return rule(text, begin) or _none(how, missing)


def gold_text(answer: str) -> str:
    r"""A gold answer without the solution around it: what follows the last ``####``, else the last
    ``\boxed{}``, else all of it; stripped. Datasets keep golds in these three ways."""
    if after := _scan.hashes(answer):
        return answer[slice(*after[-1])].strip()
    found = _scan.boxed(answer)
    if found.closed and found.dangling is None:
        return answer[slice(*_outer(answer, found.closed))].strip()
    return answer.strip()


def shorten(text: str) -> str:
    """Judged text for evidence: a megabyte of it must not fill the run folder."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def compiled(pattern: str) -> regex.Pattern[str]:
    """A compiled expression in which ``.`` matches line breaks (cached by ``regex``).

    Raises:
        UsageError: if it does not compile.
    """
    try:
        return regex.compile(pattern, regex.DOTALL)
    except regex.error as error:
        raise UsageError(f"the pattern {pattern!r} does not compile: {error}") from None


def _after_thinking(text: str, thinking: Thinking) -> int | Extraction:
    """Offset of the first character after the thinking, or why there is no answer."""
    if thinking is None:
        return 0
    ended = text.rfind(thinking.end)
    begin = 0 if ended < 0 else ended + len(thinking.end)
    if text.find(thinking.start, begin) >= 0:
        return _none("thinking", f"{thinking.start} is opened and never closed")
    return begin


def _none(rule: str, reason: str, refused: tuple[Refused, ...] = ()) -> Extraction:
    return Extraction(None, None, rule, refused, f"no answer: {reason}")


def _taken(
    text: str, block: Block, rule: str, others: list[Block], why: str = "not the last one"
) -> Extraction:
    """The block as the answer, unless it is empty."""
    refused = _refused(text, others, why)
    raw = text[block.start : block.stop]
    inner = raw.strip()
    if _scan.is_blank(inner):
        return _none(rule, "it is empty", refused)
    start = block.start + len(raw) - len(raw.lstrip())
    return Extraction(inner, (start, start + len(inner)), rule, refused, raw=raw)


def _refused(text: str, blocks: list[Block], why: str) -> tuple[Refused, ...]:
    shown = blocks[: -MAX_REFUSED - 1 : -1]
    return tuple(Refused(shorten(text[slice(*b)]), why, (b.start, b.stop)) for b in shown)


def _last(text: str, blocks: Blocks, rule: str) -> Extraction | None:
    """The last closed block; ``None`` if there is no trace of any."""
    if blocks.dangling is not None:
        return _none(rule, "the last one is left open", _refused(text, blocks.closed, "not last"))
    if not blocks.closed:
        return None
    return _taken(text, blocks.closed[-1], rule, blocks.closed[:-1])


def _between(text: str, begin: int, how: Between) -> Extraction | None:
    rule = f"last {how.start}...{how.end}"
    return _last(text, _scan.tagged(text, how.start, how.end, begin), rule)


def _answer(text: str, begin: int) -> Extraction | None:
    return _between(text, begin, Between("<answer>", "</answer>"))


def _boxed(text: str, begin: int) -> Extraction | None:
    found = _scan.boxed(text, begin)
    if found.dangling is not None or not found.closed:
        return _last(text, found, "last \\boxed{}")
    inner = _outer(text, found.closed)
    others = [b for b in found.closed if b.stop < inner.start]
    return _taken(text, inner, "last \\boxed{}", others)


def _outer(text: str, closed: list[Block]) -> Block:
    """The last outermost box; where it holds nothing but a box, that one."""
    block = closed[-1]
    for other in reversed(closed[:-1]):
        if other.start < block.start:
            break
        around = text[block.start : other.start] + text[other.stop + 1 : block.stop]
        if len(around) > 64 or not _BOX_ONLY.fullmatch(around):
            break
        block = other
    return block


_BOX_ONLY = re.compile(r"[\s$]*\\(?:boxed|fbox)\s*\{[\s$]*")


def _hash(text: str, begin: int, headings: bool = False) -> Extraction | None:
    blocks = _scan.hashes(text, begin)
    if headings:
        blocks = [b for b in blocks if not _is_heading(text, b)]
    return _taken(text, blocks[-1], "last ####", blocks[:-1]) if blocks else None


def _is_heading(text: str, block: Block) -> bool:
    """``#### Step 1`` is a heading of Markdown, not an answer in the manner of GSM8K."""
    line = text[block.start : min(block.stop, block.start + 64)].strip()
    return len(line) > 1 and (line[0].isalpha() or line[0] == "*")


def _phrase(text: str, begin: int) -> Extraction | None:
    blocks = _scan.phrases(text, begin)
    if not blocks:
        return None
    start, stop = blocks[-1]
    line = text[start:stop]
    kept = _LEADING_NUMBER.fullmatch(line)
    line_end = kept.end(1) if kept else len(line.rstrip(" \t\r*"))
    lead = len(line) - len(line.lstrip(" \t*"))
    block = Block(start + min(lead, line_end), start + line_end)
    return _taken(text, block, 'last "answer is"', blocks[:-1])


# "42 apples" but not "42 or 43", "42 million", "42 percent": those are other values.
_LEADING_NUMBER = re.compile(
    r"[\s*$]*([-+−]?[0-9][0-9,]*(?:\.[0-9]+)?)(?!.*\b(?:or|and|to|not|no|hundred|thousand|million"
    r"|billion|trillion|dozen|percent|half|third|quarter|point)\b)[\s*$]+[A-Za-z][A-Za-z\s*]*"
)


def _last_number(text: str, begin: int) -> Extraction | None:
    blocks = _scan.numbers(text, begin)
    return _taken(text, blocks[-1], "last number", blocks[:-1]) if blocks else None


def _whole(text: str, begin: int) -> Extraction | None:
    return _taken(text, Block(begin, len(text)), "whole text", [])


def _pattern(text: str, begin: int, how: Pattern) -> Extraction:
    rule = f"last match of {how.regex!r}"
    blocks: list[Block] = []
    try:
        for match in compiled(how.regex).finditer(text, begin, timeout=how.timeout_s):
            if match.start(how.group) >= 0:
                blocks.append(Block(*match.span(how.group)))
    except TimeoutError:
        return _none(rule, f"the pattern ran past {how.timeout_s:g} s on this text")
    return _taken(text, blocks[-1], rule, blocks[:-1]) if blocks else _none(rule, "no match")


Rule = Callable[[str, int], Extraction | None]

_AUTO: tuple[Rule, ...] = (
    _answer,
    _boxed,
    lambda text, begin: _hash(text, begin, headings=True),
    _phrase,
    _last_number,
)
_RULES: dict[str, tuple[Rule, str]] = {
    "answer": (_answer, "no <answer>...</answer>"),
    "boxed": (_boxed, "no \\boxed{}"),
    "hash": (_hash, "no ####"),
    "last_number": (_last_number, "no number"),
    "whole": (_whole, "the text is empty"),
}
