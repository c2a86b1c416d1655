"""Equations and inequalities: which value they give, and which are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rewardkit.verifiers.math.balls import Ball
from rewardkit.verifiers.math.probing import close, over_points
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, Text, free_symbols, is_value

__all__ = ["False_", "Given", "given", "is_equation", "is_name", "is_solved", "same_relation"]

Equal = Callable[[Node, Node], bool | None]


class False_(Exception):  # noqa: N801, N818 - a statement that does not hold; nothing failed
    """An equation between numbers that does not hold: it commits to nothing."""


class Given(NamedTuple):
    """What an equation gives: a name, and values (several, if written as approximately equal)."""

    name: Node | None
    values: tuple[Node, ...]


def is_equation(node: Node) -> bool:
    """True for a chain of ``=`` and at most ``\\approx``."""
    return isinstance(node, Op) and node.kind == "rel" and set(node.name.split(",")) <= {"=", "~"}


def given(node: Op, equal: Equal) -> Given | None:
    """The value that ``x = 3``, ``6 \\cdot 7 = 42`` or ``A = \\pi r^2 = 25\\pi`` gives.

    ``None`` for an equation that is not solved, such as ``x + 2 = 7``.

    Raises:
        False_: for an equation between numbers that does not hold, such as ``43 = 42``.
    """
    sides, signs = list(node.args), node.name.split(",")
    name: Node | None = None
    if is_name(sides[0]) and not _mentions(sides[1:], sides[0]):
        name, sides, signs = sides[0], sides[1:], signs[1:]
    elif len(sides) == 2 and is_name(sides[1]) and not _mentions(sides[:1], sides[1]):
        name, sides, signs = sides[1], sides[:1], []
    elif any(free_symbols(side) for side in sides):
        return None
    last = sides[-1]
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        if sign == "~":
            if not _rounds_to(left, right):
                raise False_("an approximation that does not round so")
        elif not (free_symbols(left) and not free_symbols(last)) and equal(left, right) is not True:
            raise False_("an equation that does not hold")
    if "~" in signs:
        return Given(name, (sides[signs.index("~")], last))
    return Given(name, (last,))


def is_name(node: Node) -> bool:
    """A name that an answer may be given: x, f(x), AB, angle ABC, Area."""
    if isinstance(node, Sym):
        return node.name not in ("pi", "e", "i", "inf")
    if isinstance(node, Text):
        return True
    if isinstance(node, Op) and node.kind == "mul":
        return all(isinstance(arg, Sym) and arg.name[:1].isupper() for arg in node.args)
    if isinstance(node, Op) and node.kind == "abs":
        return is_name(node.args[0]) and isinstance(node.args[0], Op)
    if isinstance(node, Op) and node.kind in ("tuple", "list"):
        return all(isinstance(arg, Sym) and is_name(arg) for arg in node.args)
    if isinstance(node, Op) and node.kind in ("ratio", "div"):  # V_1 : V_2 = 11 : 21
        return all(is_name(arg) for arg in node.args)
    return isinstance(node, Op) and node.kind in ("call", "mark")


def _mentions(sides: list[Node], name: Node) -> bool:
    """True if a side uses the name; an equation such as ``x = x + 1`` gives nothing."""
    if not isinstance(name, Sym):
        return any(side == name for side in sides)
    return any(name.name in free_symbols(side) for side in sides)


def _rounds_to(exact: Node, near: Node) -> bool:
    """True if a decimal is the rounding of a value to the places that it shows."""
    if isinstance(near, Op) and near.kind == "neg" and isinstance(near.args[0], Num):
        near, exact = near.args[0], Op("neg", (exact,))
    if not isinstance(near, Num) or not is_value(exact) or free_symbols(exact):
        return False
    places = 0
    while places < 60 and near.value.denominator != 1 and 10**places % near.value.denominator:
        places += 1
    half = Num(near.value.__class__(51, 100 * 10**places))
    low = Op("add", (exact, Op("neg", (near,))))
    found: list[bool] = []

    def within(off: Ball, most: Ball, _: dict[str, object]) -> bool:
        found.append(off.size() <= most.re + off.err)
        return True

    over_points(low, half, within)
    return bool(found) and all(found)


def is_solved(node: Node) -> bool:
    """True if it says what one name is: ``x = 5``, ``x > 3``."""
    if not (isinstance(node, Op) and node.kind == "rel"):
        return True
    lone = [side for side in node.args if is_name(side)]
    return bool(lone) and not any(free_symbols(side) for side in node.args if side not in lone)


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def same_relation(a: Op, b: Op) -> bool | None:
    """Whether two relations are the same up to a factor; a positive one for inequalities."""
    if "," in a.name or "," in b.name:
        return None
    if a.name not in _FLIPPED or b.name not in _FLIPPED:
        return None
    if a.name != b.name and a.name != _FLIPPED[b.name]:
        return False
    turned = a.name != b.name
    if not all(is_value(side) for side in (*a.args, *b.args)):
        return None
    f, g = _difference(a), _difference(b)
    if free_symbols(f) != free_symbols(g):
        return False
    ordered = a.name in ("<", ">", "<=", ">=")

    def constant_ratio(x: Ball, y: Ball, state: dict[str, object]) -> bool | None:
        from rewardkit.verifiers.math import balls

        if x.size() <= x.err or y.size() <= y.err:
            # A side that vanishes everywhere says nothing: 0 = 0 is no answer.
            return bool(x.size() <= x.err and y.size() <= y.err and state.get("ratio"))
        ratio = balls.mul(x, balls.inv(y))
        if ordered and (ratio.re < 0) != turned:
            return False
        first = state.setdefault("ratio", ratio)
        return close(ratio, first) if isinstance(first, Ball) else None

    return over_points(f, g, constant_ratio)


def _difference(node: Op) -> Node:
    return Op("add", (node.args[0], Op("neg", (node.args[1],))))
