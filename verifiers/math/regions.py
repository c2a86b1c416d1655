"""Sets of real numbers: intervals, unions, inequalities, set-builders, brought to one form."""

from __future__ import annotations

from decimal import Decimal, DecimalException, localcontext
from fractions import Fraction
from functools import cmp_to_key
from typing import NamedTuple

from rewardkit.verifiers.math.balls import Outside, Undecided
from rewardkit.verifiers.math.probe import Probe, context_of, digits_of
from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    free_symbols,
    is_value,
    walk,
)
from rewardkit.verifiers.math.values import TooLarge, Undefined, study

__all__ = ["Region", "is_regional", "region", "same_region"]

MAX_PIECES = 2000
_NEAR = Decimal("1e-48")
_ZERO = Fraction(0)


class Edge(NamedTuple):
    """An end of an interval: near value, and exact one where that is rational."""

    near: Decimal
    exact: Fraction | None


class Piece(NamedTuple):
    """An interval; ``closed`` says whether each end belongs to it."""

    low: Edge
    low_closed: bool
    high: Edge
    high_closed: bool


class Region(NamedTuple):
    """Disjoint intervals in order, and the variable they are about, if it is named."""

    variable: str | None
    pieces: tuple[Piece, ...]


_LOWEST, _HIGHEST = Edge(Decimal("-Infinity"), None), Edge(Decimal("Infinity"), None)
_NOTHING = Edge(Decimal(0), Fraction(0))
_ALL = (Piece(_LOWEST, False, _HIGHEST, False),)
_ORDER = {"<", "<=", ">", ">="}


class _No(Exception):  # noqa: N818 - no region; nothing failed
    pass


def is_regional(node: Node) -> bool:
    """True if the tree speaks of a set of reals, not of single values."""
    for part in walk(node):
        if isinstance(part, Op):
            if part.kind in ("interval", "union", "meet", "minus", "reals", "builder"):
                return True
            if part.kind == "rel" and not _ORDER.isdisjoint(part.name.split(",")):
                return True
            if part.kind == "rel" and part.name in ("!=", "in"):
                return True
    return False


def region(node: Node) -> Region | None:
    """The set of reals that a tree describes, or ``None`` if it does not, plainly."""
    try:
        return _region(node)
    except (_No, Undecided, Outside, DecimalException, TooLarge, Undefined):
        return None


def same_region(a: Region, b: Region, tolerance: Fraction = _ZERO) -> bool:
    """True if two regions are the same set of the same variable, ends within a tolerance of b's."""
    if a.variable and b.variable and a.variable != b.variable:
        return False
    return len(a.pieces) == len(b.pieces) and all(
        _near(p.low, q.low, tolerance)
        and _near(p.high, q.high, tolerance)
        and p.low_closed == q.low_closed
        and p.high_closed == q.high_closed
        for p, q in zip(a.pieces, b.pieces, strict=True)
    )


def _near(a: Edge, b: Edge, tolerance: Fraction) -> bool:
    if not tolerance or not (a.near.is_finite() and b.near.is_finite()):
        return _compare(a, b) == 0
    with localcontext(context_of(80)):
        most = Decimal(tolerance.numerator) / Decimal(tolerance.denominator) * abs(b.near)
        return abs(a.near - b.near) <= most


def _region(node: Node) -> Region:
    if not isinstance(node, Op):
        raise _No
    match node.kind:
        case "reals":
            return Region(None, _ALL)
        case "interval":
            return Region(None, _interval(node.args, node.name[0] == "[", node.name[1] == "]"))
        case "tuple" | "bracket" if len(node.args) == 2:
            closed = node.kind == "bracket"
            return Region(None, _interval(node.args, closed, closed))
        case "set":
            edges = [_edge(arg) for arg in node.args]
            return Region(None, _merged([Piece(e, True, e, True) for e in edges]))
        case "union" | "meet" | "minus":
            return _combined(node.kind, [_region(arg) for arg in node.args])
        case "rel":
            return _relation(node)
        case "builder":
            head, body = node.args
            found = _region(body)
            if isinstance(head, Op) and head.kind == "rel" and head.args[1] == Op("reals", ()):
                head = head.args[0]
            if not isinstance(head, Sym):
                raise _No
            return Region(None, found.pieces)
        case "list":
            return _joined(node)
    raise _No


def _joined(node: Op) -> Region:
    """Regions in a list. A comma or "and" is read as the one reading that is not trivial."""
    regions = [_region(arg) for arg in node.args]
    relations = all(isinstance(arg, Op) and arg.kind == "rel" for arg in node.args)
    either = _combined("union", regions)
    if node.name == "or" or not relations:
        return either
    both = _combined("meet", regions)
    if node.name == "and":
        return both if both.pieces else either
    return both if same_region(either, Region(either.variable, _ALL)) else either


def _relation(node: Op) -> Region:
    signs = node.name.split(",")
    regions = [
        _pair(left, sign, right)
        for left, sign, right in zip(node.args[:-1], signs, node.args[1:], strict=True)
    ]
    return _combined("meet", regions)


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


def _pair(left: Node, sign: str, right: Node) -> Region:
    if sign == "in" and isinstance(left, Sym):
        return Region(left.name, _region(right).pieces)
    if not isinstance(left, Op | Sym) or free_symbols(right) or not free_symbols(left):
        left, sign, right = right, _FLIPPED.get(sign, ""), left
    if isinstance(left, Op) and left.kind == "abs":
        return _distance(left.args[0], sign, right)
    if not isinstance(left, Sym) or not free_symbols(left) or free_symbols(right) or not sign:
        raise _No
    edge = _edge(right)
    pieces: tuple[Piece, ...]
    match sign:
        case "<" | "<=":
            pieces = (Piece(_LOWEST, False, edge, sign == "<="),)
        case ">" | ">=":
            pieces = (Piece(edge, sign == ">=", _HIGHEST, False),)
        case "=":
            pieces = (Piece(edge, True, edge, True),)
        case _:
            pieces = _complement((Piece(edge, True, edge, True),))
    return Region(left.name, _merged(list(pieces)))


def _distance(inside: Node, sign: str, right: Node) -> Region:
    """``|x - 2| < 3`` as -1 < x < 5, ``> 3`` as the two rays outside; not for a negative bound."""
    name, centre = _centred(inside)
    if sign not in _ORDER or _compare(_edge(right), _NOTHING) <= 0:
        raise _No
    low, high = (_edge(Op("add", (centre, end))) for end in (Op("neg", (right,)), right))
    closed = sign in ("<=", ">=")
    if sign in ("<", "<="):
        return Region(name, _merged([Piece(low, closed, high, closed)]))
    below = Piece(_LOWEST, False, low, closed)
    return Region(name, _merged([below, Piece(high, closed, _HIGHEST, False)]))


def _centred(inside: Node) -> tuple[str, Node]:
    """The variable of ``x - 2``, and where it is nothing."""
    terms = inside.args if isinstance(inside, Op) and inside.kind == "add" else (inside,)
    names = [term.name for term in terms if isinstance(term, Sym) and free_symbols(term)]
    rest = [term for term in terms if not (isinstance(term, Sym) and free_symbols(term))]
    if len(names) != 1 or any(free_symbols(term) for term in rest):
        raise _No
    return names[0], Op("neg", (Op("add", tuple(rest)),)) if rest else Num(Fraction(0))


def _interval(ends: tuple[Node, ...], low_closed: bool, high_closed: bool) -> tuple[Piece, ...]:
    low, high = _edge(ends[0]), _edge(ends[1])
    if _compare(low, high) > 0:
        raise _No
    # A bracket beside infinity is sloppy, not wrong.
    low_closed &= low.near.is_finite()
    high_closed &= high.near.is_finite()
    return _merged([Piece(low, low_closed, high, high_closed)])


def _edge(node: Node) -> Edge:
    if node == Sym("inf") or node == Op("pm", (Sym("inf"),)):
        return _HIGHEST
    if node == Op("neg", (Sym("inf"),)):
        return _LOWEST
    if isinstance(node, Op) and node.kind == "quantity":
        node = node.args[0]
    if free_symbols(node) or not is_value(node):
        raise _No
    exact = study(node).value
    tree = node if exact is None else Num(abs(exact))
    digits = digits_of(tree)
    with localcontext(context_of(min(digits, 700))):
        value = Probe(digits, True).of(tree, {})
        if value.im is not None and abs(value.im) > value.err:
            raise _No
        return Edge(-value.re if exact is not None and exact < 0 else value.re, exact)


def _compare(a: Edge, b: Edge) -> int:
    if a.exact is not None and b.exact is not None:
        return (a.exact > b.exact) - (a.exact < b.exact)
    if not (a.near.is_finite() and b.near.is_finite()):
        return (a.near > b.near) - (a.near < b.near)
    with localcontext(context_of(80)):
        if abs(a.near - b.near) <= max(abs(a.near), abs(b.near)) * _NEAR:
            return 0
    return 1 if a.near > b.near else -1


def _combined(kind: str, regions: list[Region]) -> Region:
    names = {r.variable for r in regions if r.variable}
    if len(names) > 1:
        raise _No
    name = names.pop() if names else None
    if kind == "union":
        return Region(name, _merged([p for r in regions for p in r.pieces]))
    if kind == "minus":
        regions = [regions[0], Region(None, _complement(regions[1].pieces))]
    outside = [p for r in regions for p in _complement(r.pieces)]
    return Region(name, _complement(_merged(outside)))


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    left: list[Piece] = []
    low, closed = _LOWEST, False
    for piece in pieces:
        left.append(Piece(low, closed, piece.low, not piece.low_closed))
        low, closed = piece.high, not piece.high_closed
    left.append(Piece(low, closed and low.near.is_finite(), _HIGHEST, False))
    return _merged(left)


def _starts(a: Piece, b: Piece) -> int:
    return _compare(a.low, b.low) or (b.low_closed - a.low_closed)


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """In order and disjoint, without empty ones."""
    if len(pieces) > MAX_PIECES:
        raise _No
    found: list[Piece] = []
    for piece in sorted(pieces, key=cmp_to_key(_starts)):
        low_closed = piece.low_closed and piece.low.near.is_finite()
        high_closed = piece.high_closed and piece.high.near.is_finite()
        piece = Piece(piece.low, low_closed, piece.high, high_closed)
        width = _compare(piece.low, piece.high)
        if width > 0 or (width == 0 and not (low_closed and high_closed)):
            continue
        last = found[-1] if found else None
        gap = _compare(piece.low, last.high) if last else 1
        if last is None or gap > 0 or (gap == 0 and not (last.high_closed or piece.low_closed)):
            found.append(piece)
            continue
        ends = _compare(piece.high, last.high)
        if ends > 0:
            found[-1] = Piece(last.low, last.low_closed, piece.high, piece.high_closed)
        elif ends == 0:
            high_closed = last.high_closed or piece.high_closed
            found[-1] = Piece(last.low, last.low_closed, last.high, high_closed)
    return tuple(found)
