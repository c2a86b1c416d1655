"""Work that is left to do in an answer beyond arithmetic between numbers: like terms, matrices."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from rewardkit.verifiers.math.matrices import left_to_do as left_in_matrices
from rewardkit.verifiers.math.tree import Node, Num, Op, is_value, walk
from rewardkit.verifiers.math.values import TooLarge, Undefined, factors, study

__all__ = ["left_to_do"]

MAX_TERMS = 400
"""Longest sum in which like terms are looked for."""

Key = frozenset[tuple[Node, Fraction]]


def left_to_do(node: Node) -> set[str]:
    """Kinds of work left: "like" terms not added, sums ("add"), products ("mul") of matrices."""
    todo = set[str]()
    if not is_value(node):
        todo |= left_in_matrices(node)
    for part in walk(node):
        if isinstance(part, Op) and part.kind == "add" and _has_like_terms(part):
            todo.add("like")
    return todo


def _has_like_terms(node: Op) -> bool:
    """True for ``2x + 3x`` or ``\\sqrt2 + \\sqrt2``; ``x(x+1) + 2(x+1)`` may stay."""
    if len(node.args) > MAX_TERMS:
        return False
    keys = Counter(key for term in node.args if (key := _key(term)))
    return any(times > 1 for times in keys.values())


def _key(term: Node) -> Key:
    """What is multiplied by a number in a term; nothing for a number."""
    powers: dict[Node, Fraction] = {}
    while isinstance(term, Op) and term.kind == "neg":
        term = term.args[0]
    for factor, inverse in factors(term):
        while isinstance(factor, Op) and factor.kind == "neg":
            factor = factor.args[0]
        if _is_rational(factor):
            continue
        base, power = _powered(factor)
        powers[base] = powers.get(base, Fraction(0)) + (-power if inverse else power)
    return frozenset((base, power) for base, power in powers.items() if power)


def _is_rational(node: Node) -> bool:
    try:
        return study(node).value is not None
    except (TooLarge, Undefined):
        return False


def _powered(node: Node) -> tuple[Node, Fraction]:
    if isinstance(node, Op) and node.kind == "pow" and isinstance(node.args[1], Num):
        return node.args[0], node.args[1].value
    return node, Fraction(1)
