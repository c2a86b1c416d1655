"""Which part of a completion is its code. One pass over its lines, linear in its length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from rewardkit.verdict import Refused
from rewardkit.verifiers import _scan
from rewardkit.verifiers.extraction import (
    THINK,
    Between,
    Extraction,
    Pattern,
    Thinking,
    extract,
    shorten,
)

__all__ = ["CodeExtract", "extract_code"]

CodeExtract = (
    Literal["auto", "first", "only", "python", "fence", "whole", "answer"] | Between | Pattern
)
"""Where the code is. The thinking is never searched.

- ``"python"``: the last fenced block marked as Python.
- ``"fence"``: the last fenced block, whatever its mark.
- ``"auto"``: the last block marked as Python, else the last without a mark; where there is no
  fence at all, the whole text.
- ``"first"``: the same with the first block for the last.
- ``"only"``: the same, if there is no second block that it could have been; else there is no code.
- ``"whole"``: the whole text.
- ``"answer"`` tags, :class:`Between`, :class:`Pattern`: the last such part; where that holds fenced
  blocks, the one that ``"auto"`` takes in it.

A fence that is opened and never closed holds all that follows: generation often stops at the
closing fence, and a program that was cut short fails by itself.
"""

MAX_REFUSED = 8

_PYTHON = frozenset({"python", "python3", "py", "py3"})
# No two neighbouring repeats may match the same character: a megabyte of spaces would take hours.
_OPENING = re.compile(r"([ \t]*)(?:(`{3,})([^`]*)|(~{3,})(.*))$")
# Not a fence in Markdown, but models do write "Answer: ```python".
_LATE = re.compile(r"(?<!`)(`{3,})[ \t]*(python3?|py3?)$", re.IGNORECASE)
# With whatever tag stands behind it on the same line: "```</answer>".
_CLOSING = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*(?:$|<)")
# CommonMark: indented further, it is content (such as a fence in the docstring of a function).
_FURTHER = 3
_MARK = re.compile(r"[{.\s]*([\w+#-]*)")


class _Fence(NamedTuple):
    """An opening fence: its characters, mark, indentation, and where its content starts."""

    marks: str
    mark: str
    indent: int
    start: int


class _Block(NamedTuple):
    """A fenced block: its fence, the end of its content, and whether it was closed."""

    fence: _Fence
    stop: int
    closed: bool


def extract_code(text: str, how: CodeExtract = "auto", thinking: Thinking = THINK) -> Extraction:
    """The code in a completion; ``raw`` is the text of the span, before indentation was taken off.

    Example:
        >>> extract_code("Like so:\\n```python\\nprint(1)\\n```\\nDone.").text
        'print(1)'
    """
    fenced = how in ("auto", "first", "only", "python", "fence")
    part = extract(text, "whole" if fenced else how, thinking)  # type: ignore[arg-type]
    if part.span is None or how == "whole":
        return part
    blocks = list(_blocks(text, *part.span))
    if not blocks:
        if how in ("python", "fence"):
            return Extraction(None, None, str(how), reason="no code: there is no fenced block")
        return replace(part, rule="whole text, without a fence") if fenced else part
    return _chosen(text, blocks, how if fenced else "auto", part)


def _chosen(text: str, blocks: list[_Block], how: object, part: Extraction) -> Extraction:
    """The block that the policy takes."""
    among, what = _candidates(blocks, how)
    if not among:
        refused = _refused(text, blocks, "not marked as Python")
        return Extraction(None, None, str(how), refused, "no code: no fenced block of Python")
    if how == "only" and len(among) > 1:
        refused = _refused(text, among, "not the only one")
        reason = f"no code: there are {len(among)} blocks that it could be"
        return Extraction(None, None, "only", refused, reason)
    block = among[0] if how == "first" else among[-1]
    which = how if how in ("first", "only") else "last"
    rule = f"{which} {what}" if block.closed else f"{which} {what}, left open"
    others = _refused(text, [b for b in blocks if b is not block], "another block was taken")
    raw = text[block.fence.start : block.stop]
    if _scan.is_blank(raw):
        return Extraction(None, None, rule, others, "no code: the block is empty")
    code = _dedented(raw, block.fence.indent)
    return Extraction(code, (block.fence.start, block.stop), rule, others + part.refused, raw=raw)


def _candidates(blocks: list[_Block], how: object) -> tuple[list[_Block], str]:
    """Blocks that the code could be, and what they are."""
    if how == "fence":
        return blocks, "fenced block"
    python = [block for block in blocks if block.fence.mark in _PYTHON]
    if python or how == "python":
        return python, "Python block"
    return [block for block in blocks if not block.fence.mark], "block without a mark"


def _refused(text: str, blocks: list[_Block], why: str) -> tuple[Refused, ...]:
    shown = blocks[: -MAX_REFUSED - 1 : -1]
    return tuple(
        Refused(shorten(text[b.fence.start : b.stop]), why, (b.fence.start, b.stop)) for b in shown
    )


def _dedented(raw: str, indent: int) -> str:
    """A block in a list is indented as a whole: by as much as its fence."""
    return re.sub(rf"(?m)^[ \t]{{1,{indent}}}", "", raw) if indent else raw


def _blocks(text: str, begin: int, stop: int) -> Iterator[_Block]:
    """Fenced blocks in their order."""
    fence: _Fence | None = None
    for start, end in _lines(text, begin, stop):
        line = text[start:end].rstrip()
        if fence is None:
            fence = _opening(line, min(end + 1, stop))
        elif _closes(line, fence):
            yield _Block(fence, max(fence.start, start - 1), True)
            fence = None
        elif (other := _anew(line, min(end + 1, stop), fence)) is not None:
            # It forgot to close the one before.
            yield _Block(fence, max(fence.start, start - 1), False)
            fence = other
    if fence is not None:
        yield _Block(fence, stop, False)


def _lines(text: str, begin: int, stop: int) -> Iterator[tuple[int, int]]:
    """Start and end of each line, without its line break."""
    while begin <= stop:
        end = text.find("\n", begin, stop)
        end = stop if end < 0 else end
        yield begin, end
        begin = end + 1


def _opening(line: str, start: int) -> _Fence | None:
    if found := _OPENING.match(line):
        info = found[3] if found[2] else found[5]
        mark = _MARK.match(info)
        name = mark[1].lower() if mark else ""
        return _Fence(found[2] or found[4], name, len(found[1]), start)
    if late := _LATE.search(line):
        return _Fence(late[1], late[2].lower(), 0, start)
    return None


def _anew(line: str, start: int, fence: _Fence) -> _Fence | None:
    """A fence marked as Python inside of one left open; not one in a comment or docstring."""
    found = _OPENING.match(line)
    if found is None or len(found[1]) > fence.indent + _FURTHER:
        return None
    other = _opening(line, start)
    return other if other is not None and other.mark in _PYTHON else None


def _closes(line: str, fence: _Fence) -> bool:
    found = _CLOSING.match(line)
    if found is None or len(found[1]) > fence.indent + _FURTHER:
        return False
    return found[2][0] == fence.marks[0] and len(found[2]) >= len(fence.marks)
