r"""Vectors by their unit vectors: ``2\mathbf{i} + 3\mathbf{j}`` beside ``(2, 3)``."""

from __future__ import annotations

from fractions import Fraction

from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, free_symbols, is_value
from rewardkit.verifiers.math.values import factors

__all__ = ["UNIT_VECTORS", "as_tuple"]

UNIT_VECTORS = {"i": "i⃗", "j": "j⃗", "k": "k⃗"}
"""Names of the symbols that bold or hatted letters are read as."""

_PLACES = {name: at for at, name in enumerate(UNIT_VECTORS.values())}
_PLAIN = {"i": 0, "j": 1, "k": 2}


def as_tuple(node: Node, other: Node) -> Node | None:
    """A sum over unit vectors as the tuple that the other side is; ``None`` if it is no such sum.

    Plain letters count where j or k is among them: 3 + 4i is a number.
    """
    size = _size(other)
    if size is None or not is_value(node):
        return None
    names = free_symbols(node)
    places = _PLACES if names & _PLACES.keys() else _PLAIN if names & {"j", "k"} else None
    if places is None:
        return None
    terms = node.args if isinstance(node, Op) and node.kind == "add" else (node,)
    found: dict[int, Node] = {}
    for term in terms:
        split = _split(term, places)
        if split is None or split[0] in found:
            return None
        found[split[0]] = split[1]
    if max(found) >= size:
        return None
    return Op("tuple", tuple(found.get(at, Num(Fraction(0))) for at in range(size)))


def _size(node: Node) -> int | None:
    """Components of a tuple, or of a matrix of one row or column, if they are two or three."""
    if not isinstance(node, Op) or node.kind not in ("tuple", "matrix", "bracket"):
        return None
    sizes = {len(row.args) for row in node.args if isinstance(row, Op) and row.kind == "row"}
    size = sizes.pop() if node.kind == "matrix" and len(node.args) == 1 else len(node.args)
    return size if size in (2, 3) and sizes <= {1} else None


def _split(term: Node, places: dict[str, int]) -> tuple[int, Node] | None:
    """The place of a term's unit vector, and what is before it."""
    if isinstance(term, Op) and term.kind == "neg":
        inner = _split(term.args[0], places)
        return None if inner is None else (inner[0], Op("neg", (inner[1],)))
    place: int | None = None
    rest: list[Node] = []
    for factor, inverse in factors(term):
        if isinstance(factor, Sym) and factor.name in places:
            if place is not None or inverse:
                return None
            place = places[factor.name]
        else:
            rest.append(Op("inv", (factor,)) if inverse else factor)
    if place is None or any(free_symbols(node) & places.keys() for node in rest):
        return None
    if not rest:
        return place, Num(Fraction(1))
    return place, rest[0] if len(rest) == 1 else Op("mul", tuple(rest))
