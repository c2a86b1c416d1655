"""Equations and inequalities: which value they give, and which are the same."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers.math.balls import Ball
from rewardkit.verifiers.math.probing import close, over_points
from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    Text,
    free_symbols,
    is_value,
    substituted,
)

__all__ = [
    "False_",
    "Given",
    "given",
    "is_equation",
    "is_name",
    "is_solved",
    "renamed",
    "same_name",
    "same_relation",
    "summed",
]

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
    elif "~" not in signs and all(_same_number(side, sides[0]) for side in sides):
        raise False_("an equation that says nothing: both sides are written the same")
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


def _same_number(a: Node, b: Node) -> bool:
    return a == b or (isinstance(a, Num) and isinstance(b, Num) and a.value == b.value)


def summed(node: Op) -> Node | None:
    """The value that ``m + n = 13`` gives to a sum of names, where that is what was asked for.

    Not for a gold, where it is the equation of a line, nor for 0, as any equation ends.
    """
    if node.name != "=":
        return None
    left, right = node.args
    if not (isinstance(left, Op) and left.kind == "add" and not free_symbols(right)):
        return None
    if right == Num(Fraction(0)):
        return None
    names = {arg.name for arg in left.args if isinstance(arg, Sym) and is_name(arg)}
    return right if len(names) == len(left.args) else None


def same_name(a: Node, g: Node) -> bool:
    """Whether an answer may be given the name that the gold has: x is not y, f not its derivative.

    A letter beside ``f(x)`` may be the same function, as in ``y = x^2``.
    """
    if isinstance(a, Sym) and isinstance(g, Sym):
        return a.name == g.name
    if isinstance(a, Op) and isinstance(g, Op) and a.kind == g.kind == "call":
        if _order(a) and _order(g):
            return _order(a) == _order(g) and (a.args == g.args or a.name != g.name)
        return a.name == g.name and a.args == g.args
    if isinstance(a, Op) and a.kind == "call" and isinstance(g, Sym):
        return _order(g) == _order(a) or (not _order(g) and g not in a.args)
    if isinstance(g, Op) and g.kind == "call" and isinstance(a, Sym):
        return same_name(g, a)
    return True


def _order(name: Sym | Op) -> int:
    """How often a name says that it is derived: by primes, or as ``dy/dx``."""
    text = name.name
    return int(text[1:]) if text[:1] == "d" and text[1:].isdecimal() else text.count("'")


def renamed(answer: Node, gold: Node) -> Node:
    """``f(t) = t^2`` in the letters of a gold ``f(x) = x^2``; else the answer as it is."""
    if not (is_equation(answer) and is_equation(gold)):
        return answer
    mine, theirs = _arguments(answer), _arguments(gold)
    if mine == theirs or len(mine) != len(theirs) or not mine:
        return answer
    # A letter of the gold's that means something else in the answer must not be captured.
    if set(theirs) & free_symbols(answer) - set(mine):
        return answer
    return substituted(answer, dict(zip(mine, theirs, strict=True)))


def _arguments(node: Node) -> list[str]:
    """The letters that the defined function is given, if all are different."""
    name = node.args[0] if isinstance(node, Op) else node
    if not (isinstance(name, Op) and name.kind == "call"):
        return []
    letters = [arg.name for arg in name.args[1:] if isinstance(arg, Sym) and is_name(arg)]
    return letters if len(set(letters)) == len(name.args) - 1 else []


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
    lone = [side for side in node.args if is_name(side) or _is_distance(side)]
    return bool(lone) and not any(free_symbols(side) for side in node.args if side not in lone)


def _is_distance(node: Node) -> bool:
    """The ``|x|`` of ``|x| < 3``, which is solved as it stands."""
    return isinstance(node, Op) and node.kind == "abs" and is_name(node.args[0])


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
