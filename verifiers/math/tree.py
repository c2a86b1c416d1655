"""An answer as a tree: what the grammar makes of a text, and all that later tiers see of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rewardkit.verifiers._decimal import show

__all__ = [
    "CONSTANTS",
    "STRUCTURES",
    "UNEVALUATED",
    "Node",
    "Num",
    "Op",
    "Sym",
    "Text",
    "free_symbols",
    "is_value",
    "number",
    "plain",
    "substituted",
    "symbols",
    "walk",
    "write",
]

CONSTANTS = frozenset({"pi", "e", "i", "inf"})
"""Names of symbols that stand for one number (``inf`` for none, but it is no variable)."""
UNEVALUATED = frozenset(
    {"sum", "prod", "int", "lim", "diff", "det", "gcd", "lcm", "mod", "floor", "ceil", "max", "min"}
)
"""Kinds of operations that restate a question: their value is left to be worked out."""
STRUCTURES = frozenset(
    {
        "list", "tuple", "bracket", "set", "interval", "union", "meet", "minus", "rel", "or", "and",
        "matrix", "builder", "family", "reals", "pm", "mp", "quantity", "ratio", "time", "date",
        "congruent",
    }
)  # fmt: skip
"""Kinds that are compared part by part, not by one value."""


@dataclass(frozen=True, slots=True)
class Num:
    """A number as written, at least 0; ``whole`` if written without a decimal point."""

    value: Fraction
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Sym:
    """A variable or constant; case counts, since R and r are two lengths."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """Words, lower-cased, without articles and marks."""

    words: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operation or structure.

    ``add`` and ``mul`` have any number of operands; ``root`` has radicand and index, ``log``
    argument and base, ``rel`` its sides, with the signs between them in ``name`` ("<,<=").
    """

    kind: str
    args: tuple[Node, ...]
    name: str = ""


Node = Num | Sym | Text | Op


def number(value: int | Fraction) -> Node:
    """An exact number as a tree."""
    value = Fraction(value)
    whole = Num(abs(value), value.denominator == 1)
    return Op("neg", (whole,)) if value < 0 else whole


def walk(node: Node) -> Iterator[Node]:
    """Every node of a tree; without recursion, since a tree may be deep."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, Op):
            pending.extend(current.args)


def symbols(node: Node) -> set[str]:
    """Names of the variables and constants in it."""
    found: set[str] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Op):
            pending.extend(current.args)
        elif isinstance(current, Sym):
            found.add(current.name)
    return found


def free_symbols(node: Node) -> set[str]:
    """Names of the variables in it."""
    return symbols(node) - CONSTANTS


def substituted(node: Node, names: Mapping[str, str]) -> Node:
    """The tree with other names for its symbols."""
    if isinstance(node, Sym):
        return Sym(names.get(node.name, node.name))
    if not isinstance(node, Op):
        return node
    return Op(node.kind, tuple(substituted(arg, names) for arg in node.args), node.name)


def is_value(node: Node) -> bool:
    """True if the tree stands for one number or function, so that it can be probed."""
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Text):
            return False
        if isinstance(current, Op):
            if current.kind in STRUCTURES:
                return False
            # The "k = 1" below a sum is no relation of the answer.
            indexed = current.kind in ("sum", "prod")
            pending.extend(current.args[:1] + current.args[2:] if indexed else current.args)
    return True


_SIGN = {"div": "/", "pow": "^", "mixed": " ", "mul": "*", "list": ", ", "or": " or ",
         "and": " and ", "union": " ∪ ", "meet": " ∩ ", "minus": " \\ ", "ratio": ":",
         "time": ":", "date": "-"}  # fmt: skip
_AROUND = {"tuple": "()", "set": "{}", "bracket": "[]"}


def write(node: Node, room: int = 600) -> str:
    """The tree as text for people; brackets around every operation inside another.

    Stops at about ``room`` characters: a tree of ten thousand parts is shown by its first.
    """
    if isinstance(node, Num):
        return show(node.value)
    if isinstance(node, Sym):
        return node.name
    if isinstance(node, Text):
        return node.words
    parts: list[str] = []
    for arg in node.args:
        if room <= 0:
            parts.append("…")
            break
        bare = not isinstance(arg, Op) or node.kind in _BARE
        parts.append(write(arg, room - 2) if bare else f"({write(arg, room - 2)})")
        room -= len(parts[-1]) + 2
    return _written(node, parts)


_BARE = frozenset({"list", "tuple", "set", "bracket", "or", "and", "root", "matrix", "interval"})


def _written(node: Op, parts: list[str]) -> str:
    match node.kind:
        case "neg":
            return f"-{parts[0]}"
        case "percent":
            return f"{parts[0]}%"
        case "add":
            return "+".join(parts).replace("+(-", "-(").replace("+-", "-")
        case "quantity" | "base":
            return f"{parts[0]} {node.name}"
        case "interval":
            return f"{node.name[0]}{', '.join(parts)}{node.name[1]}"
        case "rel":
            signs = node.name.split(",")
            return parts[0] + "".join(f" {s} {p}" for s, p in zip(signs, parts[1:], strict=False))
    if node.kind in _AROUND:
        return _AROUND[node.kind][0] + ", ".join(parts) + _AROUND[node.kind][1]
    if node.kind in _SIGN:
        return _SIGN[node.kind].join(parts)
    return f"{node.name or node.kind}({', '.join(parts)})"


def plain(node: Node) -> tuple[Any, ...]:
    """The tree as nested tuples of text and integers, for another process."""
    if isinstance(node, Num):
        return ("num", node.value.numerator, node.value.denominator)
    if isinstance(node, Sym):
        return ("sym", node.name)
    if isinstance(node, Text):
        return ("text", node.words)
    return (node.kind, node.name, *(plain(arg) for arg in node.args))
