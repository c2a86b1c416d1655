"""An answer as a tree: what the grammar makes of a text, and all that later tiers see of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from rewardkit.verifiers._decimal import show

__all__ = ["Kind", "Node", "Num", "Op", "plain", "write"]

Kind = Literal["neg", "add", "sub", "mul", "div", "pow", "root", "percent", "mixed"]


@dataclass(frozen=True, slots=True)
class Num:
    """A number as written, at least 0; ``whole`` if written without a decimal point."""

    value: Fraction
    whole: bool


@dataclass(frozen=True, slots=True)
class Op:
    """An operation: ``root`` has radicand and index, ``mixed`` a whole number and a fraction."""

    kind: Kind
    args: tuple[Node, ...]


Node = Num | Op

_SIGN = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^", "mixed": " "}


def write(node: Node) -> str:
    """The tree as text for people; brackets around every operation inside another."""
    if isinstance(node, Num):
        return show(node.value)
    args = [write(arg) if isinstance(arg, Num) else f"({write(arg)})" for arg in node.args]
    if node.kind == "neg":
        return f"-{args[0]}"
    if node.kind == "percent":
        return f"{args[0]}%"
    if node.kind == "root":
        return f"root({write(node.args[0])}, {write(node.args[1])})"
    return _SIGN[node.kind].join(args)


def plain(node: Node) -> tuple[Any, ...]:
    """The tree as nested tuples of text and integers, for another process."""
    if isinstance(node, Num):
        return ("num", node.value.numerator, node.value.denominator)
    return (node.kind, *(plain(arg) for arg in node.args))
