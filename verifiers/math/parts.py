"""What the comparison of two answers asks of their parts: names, signs, rows, hours, units."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rewardkit.verifiers.math.relations import is_equation, is_name
from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    Text,
    free_symbols,
    is_value,
    symbols,
    walk,
)
from rewardkit.verifiers.math.values import TooLarge, Undefined, study

__all__ = [
    "are_tuples",
    "base_of",
    "digits_of",
    "expanded",
    "has_infinity",
    "has_two",
    "hours_of",
    "is_clock",
    "is_empty",
    "is_percent",
    "labelled",
    "names_of",
    "opaque",
    "parts_of",
    "rows_of",
    "unlabelled",
    "wholes_of",
    "without_common",
]


def expanded(node: Node) -> Node:
    r"""``a \pm b`` as the two values it stands for; every sign is taken the same way."""
    if not any(isinstance(n, Op) and n.kind in ("pm", "mp") for n in walk(node)):
        return node
    if isinstance(node, Op) and node.kind in ("list", "set"):
        parts: list[Node] = []
        for arg in node.args:
            wide = expanded(arg)
            many = isinstance(wide, Op) and wide.kind == "list" and wide is not arg
            parts += wide.args if many and isinstance(wide, Op) else (wide,)
        return Op(node.kind, tuple(parts), node.name)
    if isinstance(node, Op) and node.kind == "rel" and node.name == "=":
        wide = expanded(node.args[1])
        if isinstance(wide, Op) and wide.kind == "list":
            return Op("list", tuple(Op("rel", (node.args[0], v), "=") for v in wide.args), "or")
    return Op("list", (_signed(node, "pm"), _signed(node, "mp")), "or")


def _signed(node: Node, plus: str) -> Node:
    if not isinstance(node, Op):
        return node
    args = tuple(_signed(arg, plus) for arg in node.args)
    if node.kind in ("pm", "mp"):
        return args[0] if node.kind == plus else Op("neg", args)
    return Op(node.kind, args, node.name)


def has_two(node: Node) -> bool:
    return len(free_symbols(node)) > 1


_NO_SOLUTION = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "empty set", "none"}
)


def is_empty(node: Node) -> bool:
    """The empty set, or words that say the same of an equation."""
    return node == Op("set", ()) or (isinstance(node, Text) and node.words in _NO_SOLUTION)


def are_tuples(parts: Sequence[Node]) -> bool:
    return all(isinstance(part, Op) and part.kind == "tuple" for part in parts)


def is_percent(node: Node) -> bool:
    return isinstance(node, Op) and node.kind == "percent"


def names_of(parts: Sequence[Node]) -> set[Node]:
    return {p.args[0] for p in parts if is_equation(p) and isinstance(p, Op)}


def labelled(parts: Sequence[Node]) -> Sequence[Node]:
    """``x = 1, 2`` says x = 1 or x = 2; ``x = 1 or x = 2`` says 1 and 2 of one name."""
    names = [p.args[0] if is_equation(p) and isinstance(p, Op) else None for p in parts]
    indexed = {n.name.partition("_")[0] if isinstance(n, Sym) else None for n in names}
    if len(indexed) == 1 and None not in indexed:  # x_1 = 5, x_2 = -2
        return [p.args[-1] if isinstance(p, Op) else p for p in parts]
    if names[0] is not None and all(n in (None, names[0]) for n in names):
        return [p.args[-1] if is_equation(p) and isinstance(p, Op) else p for p in parts]
    return parts


def unlabelled(a: Node, g: Node) -> tuple[Node, Node]:
    """Names on one side only are no part of the value."""
    if is_equation(a) and not is_equation(g) and isinstance(a, Op) and is_name(a.args[0]):
        return (a.args[-1] if len(a.args) == 2 else a), g
    if is_equation(g) and not is_equation(a) and isinstance(g, Op) and is_name(g.args[0]):
        return a, (g.args[-1] if len(g.args) == 2 else g)
    return a, g


def without_common(
    a: Sequence[Node], g: Sequence[Node], multiset: bool = True
) -> tuple[tuple[list[Node], list[Node]], bool]:
    """What is left of both lists after equal exact values are taken out of them.

    A thousand numbers are compared by their values at once, not each with each.
    """
    keys = [_key(x) for x in a], [_key(y) for y in g]
    counts: dict[object, int] = {}
    for key in keys[1]:
        counts[key] = counts.get(key, 0) + 1
    rest: list[Node] = []
    seen: set[object] = set()
    for x, key in zip(a, keys[0], strict=True):
        seen.add(key)
        if counts.get(key, 0) > 0:
            counts[key] -= 1 if multiset else 0
        else:
            rest.append(x)
    left = []
    for y, key in zip(g, keys[1], strict=True):
        if multiset and counts.get(key, 0) > 0:
            counts[key] -= 1
            left.append(y)
        elif not multiset and key not in seen:
            left.append(y)
    return (rest, left), False


def _key(node: Node) -> object:
    if is_value(node):
        try:
            value = study(node).value
        except (TooLarge, Undefined):
            return node
        return node if value is None else value
    return node


def opaque(node: Node) -> Node:
    """Functions and marks that we know nothing of, as variables of their own."""
    if not isinstance(node, Op):
        return node
    if node.kind in ("call", "mark"):
        return Sym(repr(node)[:200])
    if not any(isinstance(n, Op) and n.kind in ("call", "mark") for n in walk(node)):
        return node
    return Op(node.kind, tuple(opaque(arg) for arg in node.args), node.name)


def has_infinity(node: Node) -> bool:
    """True unless infinity is but a bound of an operator, as in a limit."""
    if "inf" not in symbols(node):
        return False
    if not isinstance(node, Op):
        return True
    return any(has_infinity(arg) for arg in (node.args[:1] if _is_bounded(node) else node.args))


def _is_bounded(node: Op) -> bool:
    return node.kind in ("lim", "sum", "prod", "int")


def base_of(node: Node) -> str:
    """The base that a number is marked with, or ``""``."""
    return node.name.partition("_")[2] if isinstance(node, Op) and node.kind == "base" else ""


def digits_of(node: Node) -> str:
    if isinstance(node, Op) and node.kind == "base":
        return node.name.partition("_")[0].lstrip("0")
    return str(node.value.numerator) if isinstance(node, Num) and node.whole else ""


def rows_of(node: Op) -> list[tuple[Node, ...]] | None:
    if node.kind == "matrix":
        return [row.args for row in node.args if isinstance(row, Op)]
    if node.kind not in ("tuple", "bracket", "list"):
        return None
    inner = [arg for arg in node.args if isinstance(arg, Op) and arg.kind in ("tuple", "bracket")]
    if len(inner) == len(node.args):
        return [arg.args for arg in inner]
    return [node.args] if not inner else None


def parts_of(node: Node) -> list[Node] | None:
    if isinstance(node, Op) and node.kind == "ratio":
        return list(node.args)
    if isinstance(node, Op) and node.kind == "time" and not study(node.args[2]).value:
        return list(node.args[:2])
    if isinstance(node, Op) and node.kind == "div":
        return list(node.args)
    return [node, Num(Fraction(1))] if is_value(node) else None


def wholes_of(node: Op) -> list[Fraction]:
    return [study(arg).value or Fraction(0) for arg in node.args]


def is_clock(node: Node) -> bool:
    return isinstance(node, Op) and node.kind == "time" and bool(node.name)


def hours_of(parts: list[Node] | None) -> list[Fraction]:
    return [study(part).value or Fraction(0) for part in parts or []][:2]
