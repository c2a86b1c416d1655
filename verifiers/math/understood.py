"""A text as an answer: its tree, what it comes to, and how it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rewardkit.verifiers._decimal import show
from rewardkit.verifiers.extraction import shorten
from rewardkit.verifiers.math.tree import Node, Num, Op, write
from rewardkit.verifiers.math.values import Study, TooLarge, Undefined, study

__all__ = ["Understood", "studied", "understood"]

_CACHED_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Understood:
    """An answer as understood."""

    tree: Node
    study: Study
    shown: str
    text: str = ""
    normal: str = ""


def understood(text: str) -> Understood | str:
    """A text as an answer, or why it is none.

    Raises ``RecursionError`` where the caller's stack is nearly full: the grammar's own depth is
    bounded, so no text is to blame for it, nor may it be remembered of one.
    """
    # Long texts are read each time: four thousand of them would fill the memory.
    return _cached(text) if len(text) <= _CACHED_LENGTH else _read(text)


def studied(tree: Node) -> Understood:
    """A tree that was not read from a text."""
    return Understood(tree, study(tree), shorten(write(tree)))


def _read(text: str) -> Understood | str:
    return _plain(text) or _parsed(text)


_cached = lru_cache(maxsize=4096)(_read)


def _parsed(text: str) -> Understood | str:
    # Imported by the first answer that is no plain number: many a run never has one.
    from rewardkit.verifiers.math.lexer import Unsupported
    from rewardkit.verifiers.math.shapes import MAX_LENGTH, parse
    from rewardkit.verifiers.math.spelling import bare, normal

    if len(text) > MAX_LENGTH:
        return f"not supported: longer than {MAX_LENGTH} characters"
    try:
        spelled = bare(text)
        tree = parse(spelled)
        return Understood(tree, study(tree), shorten(write(tree)), spelled, normal(spelled))
    except Unsupported as error:
        return f"not supported: {error}"
    except (TooLarge, Undefined) as error:
        return str(error)


_PLAIN = re.compile(r"(-?)([0-9]{1,300}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,90})(\.[0-9]{1,90})?")


def _plain(text: str) -> Understood | None:
    """A number in plain digits, as the grammar reads it: nine answers of ten are one."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    sign, digits, after = match.groups()
    whole = int(digits.replace(",", "") if "," in digits else digits)
    if after is None:
        value = Fraction(whole)
    else:
        value = Fraction(int(f"{whole}{after[1:]}"), 10 ** (len(after) - 1))
    tree: Node = Num(value, after is None)
    if sign and value:
        value, tree = -value, Op("neg", (tree,))
    return Understood(tree, Study(value), show(value), text, text)
