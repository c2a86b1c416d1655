r"""Arbitrary constants: the C of ``x^2 + C`` may have another name in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations

from rewardkit.verifiers.math.tree import Node, Op, Sym, free_symbols, substituted, walk

__all__ = ["renamings"]

MOST = 3
"""Most constants of one solution."""

_NUMBERED = re.compile(r"[CcKk]_?\{?[0-9]\}?")
_PLAIN = frozenset({"C", "c", "K"})
_OTHER = re.compile(r"[A-DKcCk](?:_?\{?[0-9]\}?)?")


def renamings(answer: Node, gold: Node) -> Iterator[Node]:
    """The answer with its constants called as the gold calls them, in every order."""
    mine, theirs = free_symbols(answer), free_symbols(gold)
    wanted = sorted(name for name in theirs - mine if _is_constant(name, gold))
    extra = sorted(name for name in mine - theirs if _OTHER.fullmatch(name))
    if not wanted and len(extra) > 1 and all(map(_NUMBERED.fullmatch, extra)):
        # y = A e^x + B e^{-x}; a lone A may be a choice, or an area.
        wanted = sorted(name for name in theirs - mine if _OTHER.fullmatch(name))
    if not wanted or len(wanted) != len(extra) or len(wanted) > MOST:
        return
    if mine - set(extra) != theirs - set(wanted):
        return
    for order in permutations(wanted):
        yield substituted(answer, dict(zip(extra, order, strict=True)))


def _is_constant(name: str, gold: Node) -> bool:
    """``C_1``; a plain C where it is added, or in a solution ``y = ...``: else it is a length."""
    if _NUMBERED.fullmatch(name):
        return True
    if name not in _PLAIN:
        return False
    if isinstance(gold, Op) and gold.kind == "rel":
        return Sym(name) not in gold.args
    return any(
        isinstance(part, Op) and part.kind == "add" and Sym(name) in part.args
        for part in walk(gold)
    )
