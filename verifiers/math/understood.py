"""A text as an answer: its tree, what it comes to, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rewardkit.verifiers.extraction import shorten
from rewardkit.verifiers.math.lexer import Unsupported
from rewardkit.verifiers.math.shapes import MAX_LENGTH, parse
from rewardkit.verifiers.math.spelling import bare, normal
from rewardkit.verifiers.math.tree import Node, number, write
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
    """A text as an answer, or why it is none."""
    if len(text) > MAX_LENGTH:
        return f"not supported: longer than {MAX_LENGTH} characters"
    # Long texts are read each time: four thousand of them would fill the memory.
    return _cached(text) if len(text) <= _CACHED_LENGTH else _read(text)


def studied(tree: Node) -> Understood:
    """A tree that was not read from a text."""
    return Understood(tree, study(tree), shorten(write(tree)))


def _read(text: str) -> Understood | str:
    if (plain := _plain(text)) is not None:
        tree = number(plain)
        return Understood(tree, Study(plain), shorten(write(tree)), text, text)
    try:
        spelled = bare(text)
        tree = parse(spelled)
        return Understood(tree, study(tree), shorten(write(tree)), spelled, normal(spelled))
    except Unsupported as error:
        return f"not supported: {error}"
    except (TooLarge, Undefined) as error:
        return str(error)
    except RecursionError:
        return "not supported: nested too deeply"


_cached = lru_cache(maxsize=4096)(_read)


def _plain(text: str) -> Fraction | None:
    """A whole number in plain digits: nine answers of ten need no more."""
    digits = text[1:] if text[:1] == "-" else text
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 300:
        return None
    return Fraction(int(text))
