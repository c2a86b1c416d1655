r"""Which part of a completion is its answer. Shared by every verifier that judges an answer.

Every rule is one pass, linear in the length of the text, and says what it took and what it refused.
A marker that is there but broken (a box left open, an empty tag) means "no answer": falling back to
some other number in the text would pay for a number that nobody gave as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from rewardkit.errors import UsageError
from rewardkit.verdict import Refused, Span
from rewardkit.verifiers import _boxes, _scan
from rewardkit.verifiers._scan import Block, Blocks

if TYPE_CHECKING:
    import regex
    from pydantic import ConfigDict

__all__ = [
    "AUTO",
    "AUTO_MATH",
    "THINK",
    "Between",
    "Boxes",
    "Extract",
    "Extraction",
    "Pattern",
    "Retraction",
    "Thinking",
    "extract",
    "gold_text",
]

MAX_REFUSED = 8
"""Most candidates listed as refused (the last ones)."""
MAX_SHOWN = 500
"""Most characters of judged text copied into evidence; the span tells where the rest is."""
MAX_UNMARKED = 1 << 18
"""Characters at the end of a text in which an answer without a marker (after a phrase, in bold, a
formula, a number) is looked for. One scan holds the interpreter's lock to its end, some 50 ms for a
megabyte, and no other thread of a trainer would run meanwhile."""

_STRICT: ConfigDict = {"extra": "forbid"}


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


RuleName = Literal["answer", "boxed", "hash", "phrase", "bold", "latex", "last_number", "whole"]
Extract = Literal["auto"] | RuleName | Between | Pattern | tuple[RuleName, ...]
"""Where the answer is: in ``"answer"`` tags, the last ``"boxed"``, after ``####`` (``"hash"``),
after "the answer is" or 答案是 (``"phrase"``), in the last ``"bold"``, the last formula
(``"latex"``), the ``"last_number"``, the ``"whole"`` text, :class:`Between` markers, a
:class:`Pattern`; a tuple of names: the first of which there is any trace; ``"auto"``: the order
:data:`AUTO`."""

AUTO: tuple[RuleName, ...] = ("answer", "boxed", "hash", "phrase", "bold", "last_number")
"""The order of ``"auto"``."""
AUTO_MATH: tuple[RuleName, ...] = (*AUTO[:-1], "latex", "last_number")
"""The order of ``"auto"`` where formulas are read as such."""

Boxes = Literal["last", "only"]
"""Several boxes, with words between them: the ``"last"`` counts, since a correction is honest, or
the ``"only"`` one, so that boxes that differ commit to nothing."""
Retraction = Literal["refuse", "ignore"]
"""What words such as "actually no" after the answer do: ``"refuse"`` it, or nothing."""

Thinking = Between | None
"""Markers of the part that is not the answer; ``None`` if there is no such part."""

THINK = Between("<think>", "</think>")
_ANSWER = Between("<answer>", "</answer>")


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


def extract(
    text: str,
    how: Extract = "auto",
    thinking: Thinking = THINK,
    *,
    boxes: Boxes = "last",
    retraction: Retraction = "ignore",
) -> Extraction:
    r"""The answer in a completion.

    Only the text after the last end-of-thinking marker is searched; a thinking block that is opened
    and never closed has no answer.

    Args:
        text: the completion.
        how: where the answer is.
        thinking: markers of the part that is not the answer.
        boxes: which of several boxes counts, see :data:`Boxes`.
        retraction: what words that take the answer back do, see :data:`Retraction`.

    Example:
        >>> extract(r"<think>5?</think> It is \boxed{4}.").text
        '4'
    """
    begin = _after_thinking(text, thinking)
    if isinstance(begin, Extraction):
        return begin
    found = _by(text, begin, AUTO if how == "auto" else how, boxes)
    if retraction == "refuse" and found.span is not None:
        # The whole text holds its retraction; one that it begins with is all that it says.
        start, stop = found.span
        if _taken_back(text, start + 1 if found.rule == "whole text" else stop):
            return _none(found.rule, "it is taken back after it", found.refused)
    return found


def _by(text: str, begin: int, how: Any, boxes: Boxes) -> Extraction:
    if isinstance(how, tuple):
        for name in how:
            where = _begin(text, begin, name)
            if (found := _rule(name, len(how) > 1, boxes)(text, where)) is not None:
                return _restated(text, found) if name == "boxed" and "phrase" in how else found
        return _none("auto", "the text holds neither an answer marker nor a number")
    if isinstance(how, Between):
        return _between(text, begin, how) or _none(how.start, f"no {how.start}...{how.end}")
    if isinstance(how, Pattern):
        return _pattern(text, begin, how)
    where = _begin(text, begin, how)
    return _rule(how, False, boxes)(text, where) or _none(how, _MISSING[how])


def _begin(text: str, begin: int, name: str) -> int:
    """Where a rule starts to look."""
    return max(begin, len(text) - MAX_UNMARKED) if name in _WITHOUT_MARKER else begin


def _rule(name: str, one_of_many: bool, boxes: Boxes) -> Rule:
    if name == "hash" and one_of_many:
        return _hash_beside_headings
    if name == "boxed" and boxes == "only":
        return _only_box
    return _RULES[name]


def _restated(text: str, box: Extraction) -> Extraction:
    """The "final answer" that follows a box: the box was of a step, or is corrected by it."""
    if box.span is None or (at := text.rfind("inal answer", box.span[1])) < 0:
        return box
    found = _phrase(text, _begin(text, max(at - 1, 0), "phrase"))
    if found is None or found.text is None or not _COMMITTED.match(found.text):
        return box
    last = Refused(shorten(text[slice(*box.span)]), "not the final answer", box.span)
    return replace(found, refused=(last, *box.refused)[:MAX_REFUSED])


_COMMITTED = re.compile(r"\\?[$({[]?\s*[-+−]?(?:[0-9]|\\[a-z]*frac|\\sqrt|\\pi|[a-zA-Z]\s*=)")


# What stands between an answer and its retraction is short; a megabyte is not searched for one.
_RETRACTION = re.compile(
    r"\b(?:actually,? no\b|no,? wait\b|wait,? (?:no|that|actually|this)\b|scratch that|"
    r"never mind|(?:disregard|forget) (?:that|this)|i take (?:that|it) back|"
    r"i (?:was|am) (?:wrong|mistaken)|(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|not right|"
    r"a mistake)|on second thought|i made (?:a mistake|an error)|correction:)",
    re.IGNORECASE,
)


def _taken_back(text: str, end: int) -> bool:
    return _RETRACTION.search(text, end, end + 4000) is not None


def gold_text(answer: str) -> str:
    r"""A gold answer without the solution around it: what follows the last ``####``, else the last
    ``\boxed{}``, else all of it; stripped. Datasets keep golds in these three ways.

    A gold commits to all that it boxes: boxes side by side are a list.
    """
    if after := _scan.hashes(answer):
        return answer[slice(*after[-1])].strip()
    if "boxed" not in answer and "fbox" not in answer:
        return answer.strip()
    found = _scan.boxed(answer)
    if found.dangling is None and (row := _boxes.side_by_side(answer, found.closed)) is not None:
        return row
    taken = _boxed(answer, 0)
    return answer.strip() if taken is None or taken.text is None else taken.text


def shorten(text: str) -> str:
    """Judged text for evidence: a megabyte of it must not fill the run folder."""
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def compiled(pattern: str) -> regex.Pattern[str]:
    """A compiled expression in which ``.`` matches line breaks (cached by ``regex``).

    Raises:
        UsageError: if it does not compile.
    """
    import regex  # its import takes longer than a thousand verdicts, and few patterns are given

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
    return _between(text, begin, _ANSWER)


def _boxed(text: str, begin: int) -> Extraction | None:
    rule = "last \\boxed{}"
    found = _scan.boxed(text, begin)
    if found.dangling is not None or not found.closed:
        return _last(text, found, rule)
    outermost = _boxes.outermost(found.closed)
    row = _boxes.last_row(text, outermost)
    if row.first > 0 and row.gap == "nothing":
        # A row of boxes with the right one among them is no answer.
        others = _refused(text, outermost, "side by side")
        return _none(rule, "boxes stand side by side with no word between them", others)
    if not row.joints:
        inner = _outer(text, found.closed)
        return _taken(text, inner, rule, [b for b in found.closed if b.stop < inner.start])
    start = _boxes.opened_by(text, outermost[row.first])
    block = Block(start, outermost[-1].stop + 1)
    return _taken(text, block, "last boxes, as a list", outermost[: row.first])


def _only_box(text: str, begin: int) -> Extraction | None:
    """The box, if all boxes say the same."""
    found = _boxed(text, begin)
    if found is None or found.text is None:
        return found
    if any(other.text.strip() != found.text for other in found.refused):
        return _none(found.rule, "boxes that differ", found.refused)
    return found


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


def _hash_beside_headings(text: str, begin: int) -> Extraction | None:
    return _hash(text, begin, headings=True)


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
    if formula := _LEADING_FORMULA.match(line):
        group = formula.lastindex or 1
        reason = _REASON.search(line, formula.end(), formula.end() + 200)
        limit = reason.start() if reason else formula.end() + 200
        if not _CHANGES.search(line, formula.end(), limit):
            block = Block(start + formula.start(group), start + formula.end(group))
            return _taken(text, block, 'last "answer is"', blocks[:-1])
    kept = _LEADING_NUMBER.fullmatch(line)
    line_end = kept.end(1) if kept else len(line.rstrip(" \t\r*"))
    lead = len(line) - len(line.lstrip(" \t*"))
    block = Block(start + min(lead, line_end), start + line_end)
    return _taken(text, block, 'last "answer is"', blocks[:-1])


_LEADING_FORMULA = re.compile(
    r"[\s*]*(?:\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\])(?![A-Za-z0-9$])"
)
# Words after a formula that change what it says; the whole line is then the answer.
_CHANGES = re.compile(
    r"\b(?:or|and|not|no|million|billion|thousand|hundred|dozen|percent|to)\b|[0-9$\\%]",
    re.IGNORECASE,
)

_REASON = re.compile(r"\b(?:since|because|where)\b", re.IGNORECASE)

# "42 apples" but not "42 or 43", "42 million", "42 percent": those are other values.
_LEADING_NUMBER = re.compile(
    r"[\s*$]*([-+−]?[0-9][0-9,]*(?:\.[0-9]+)?)(?!.*\b(?:or|and|to|not|no|hundred|thousand|million"
    r"|billion|trillion|dozen|percent|half|third|quarter|point)\b)[\s*$]+[A-Za-z][A-Za-z\s*]*"
)


def _last_number(text: str, begin: int) -> Extraction | None:
    blocks = _scan.numbers(text, begin)
    return _taken(text, blocks[-1], "last number", blocks[:-1]) if blocks else None


def _bold(text: str, begin: int) -> Extraction | None:
    blocks = _scan.bold(text, begin)
    return _taken(text, blocks[-1], "last bold", blocks[:-1]) if blocks else None


_DIGIT = re.compile("[0-9]")


def _latex(text: str, begin: int) -> Extraction | None:
    """The last formula, unless a number comes after it."""
    blocks = _scan.formulas(text, begin)
    if not blocks or _DIGIT.search(text, blocks[-1].stop):
        return None
    first = len(blocks) - 1
    while first > 0 and _boxes.is_joint(text[blocks[first - 1].stop : blocks[first].start]):
        first -= 1  # "$x = 2$ and $x = 3$" is one list
    block = Block(blocks[first].start, blocks[-1].stop)
    return _taken(text, block, "last formula", blocks[:first])


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

_RULES: dict[str, Rule] = {
    "answer": _answer,
    "boxed": _boxed,
    "hash": _hash,
    "phrase": _phrase,
    "bold": _bold,
    "latex": _latex,
    "last_number": _last_number,
    "whole": _whole,
}
_WITHOUT_MARKER = frozenset({"phrase", "bold", "latex", "last_number"})
_MISSING = {
    "answer": "no <answer>...</answer>",
    "boxed": "no \\boxed{}",
    "hash": "no ####",
    "phrase": 'no "the answer is"',
    "bold": "nothing in bold that looks like an answer",
    "latex": "no formula",
    "last_number": "no number",
    "whole": "the text is empty",
}
