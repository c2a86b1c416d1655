r"""Which boxes of a text are its answer: the last one, or a list that words join.

``$x=\boxed{1}$ or $x=\boxed{3}$`` is one answer of two values, and ``\boxed{1}\boxed{3}`` commits
to nothing: a row of boxes with the right one among them must not pay.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal, NamedTuple

from rewardkit.verifiers import _scan
from rewardkit.verifiers._scan import Block

__all__ = ["Row", "as_list", "is_joint", "last_row", "opened_by", "outermost", "side_by_side"]

MAX_GAP = 120
"""Most characters between two boxes of one list."""

Gap = Literal["joint", "same", "nothing", "words"]


class Row(NamedTuple):
    """The boxes at the end of a text: how they are joined, and where the first of them is."""

    gap: Gap
    joints: int
    first: int


def outermost(closed: list[Block]) -> list[Block]:
    """Boxes that are in no other; a box is closed after those within it."""
    kept: list[Block] = []
    for block in closed:
        while kept and kept[-1].start > block.start:
            kept.pop()
        kept.append(block)
    return kept


def last_row(text: str, boxes: list[Block]) -> Row:
    """What stands before the last of these boxes; ``gap`` is what ended the row."""
    first, joints = len(boxes) - 1, 0
    found: Gap = "words"
    while first > 0:
        found = _gap(text, boxes[first - 1], boxes[first])
        if found == "joint":
            joints += 1
        elif found != "same":
            break
        first -= 1
    return Row(found, joints, first)


def side_by_side(text: str, closed: list[Block]) -> str | None:
    """Boxes of a gold with no word between them, as a list; a completion's commit to nothing."""
    boxes = outermost(closed)
    row = last_row(text, boxes)
    if not row.first or row.gap != "nothing":
        return None
    if any(_gap(text, a, b) == "words" for a, b in pairwise(boxes)):
        return None
    return " ; ".join(text[slice(*block)] for block in boxes)


def opened_by(text: str, block: Block) -> int:
    r"""Where the answer begins whose first box this is, ``x =`` before it included."""
    start = text.rfind("\\", 0, block.start)
    name = _NAME_BEFORE.search(text, max(0, start - 40), start)
    return name.start(1) if name else start


def as_list(text: str) -> str | None:
    """Boxes that are all joined, as a list without boxes; ``None`` for anything else."""
    boxes = outermost(_scan.boxed(text).closed)
    if len(boxes) < 2 or last_row(text, boxes).first:
        return None
    around = text[: opened_by(text, boxes[0])] + text[boxes[-1].stop + 1 :]
    if _DECORATION.sub("", around):
        return None
    items, either = [], False
    for at, block in enumerate(boxes):
        between = text[boxes[at - 1].stop + 1 if at else 0 : text.rfind("\\", 0, block.start)]
        name = _NAME_BEFORE.search(between.rstrip("\\"))
        items.append((name[1] if name else "") + text[slice(*block)])
        either = either or (at > 0 and _OR.search(between) is not None)
    return (" or " if either else " ; ").join(items)


_DECORATION = re.compile(r"\\(?:[,;:!()\[\]]|q?quad|text|boxed|fbox|displaystyle|\\)|[\s${}*&.|~]")
_JOINTS = frozenset({",", ";", "and", "or", ",and", ",or", "和", "或", "、", "，", "及", "或者"})
_OR = re.compile(r"\bor\b|或")
_NAME = r"[A-Za-z](?:_\{?[A-Za-z0-9]{1,3}\}?)?'?(?:\([a-z]\))?"
_NAME_BEFORE = re.compile(rf"(?<![A-Za-z\\_])({_NAME}\s*=\s*)[\s$({{]*$")
# "papers and", "for part (a) and", "or x =", ", y =": what joins two boxes, once dressing is off.
_JOINT = re.compile(
    rf"(?:[,;，、]\s*)?((?:\([a-z0-9]\)|[^\W\d_]|\s)*)(?:[,;，、]\s*)?(?:(?:\b(?:and|or)\b|[和或及、]|或者)\s*"
    rf"(?:{_NAME}\s*=)?|[,;，]\s*{_NAME}\s*=)\s*"
)
# Between an answer and its correction, or a step and the next, stand words such as these.
_MOVING_WORDS = """
so then thus hence therefore is are was were not no but wait actually correct wrong where gives
give get gets have has we which since because from to plus minus times more less than between as
i it this that final answer finally rather instead check checking again total
"""
_MOVING_ON = frozenset(_MOVING_WORDS.split())
_MAX_LEAD = 4


def is_joint(between: str) -> bool:
    """True if nothing but a comma, "and" or "or" is there, in whatever dress."""
    return len(between) < 40 and _DECORATION.sub("", between).lower() in _JOINTS


def _gap(text: str, before: Block, after: Block) -> Gap:
    """What is between two boxes; ``"same"``: nothing between two that say the same."""
    if after.start - before.stop > MAX_GAP:
        return "words"
    between = text[before.stop + 1 : after.start]
    bare = _DECORATION.sub("", between)
    if bare.lower() in _JOINTS or (bare and _joins(between)):
        return "joint"
    if bare:
        return "words"
    same = text[slice(*before)].strip() == text[slice(*after)].strip()
    return "same" if same else "nothing"


def _joins(between: str) -> bool:
    if "\n\n" in between or ". " in between:
        return False
    match = _JOINT.fullmatch(_DECORATION.sub(" ", between).strip())
    if match is None:
        return False
    lead = match[1].lower().split()
    return len(lead) <= _MAX_LEAD and _MOVING_ON.isdisjoint(lead)
