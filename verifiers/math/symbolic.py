"""Whether two trees have the same value, by computer algebra. Runs in a worker that can be killed.

This is the only module that imports sympy, and it is imported in the worker alone. It is given
trees that our grammar built, never text, so nothing here parses or evaluates what was judged.
"""

from __future__ import annotations

from typing import Any

import sympy

__all__ = ["same_value"]

_X = sympy.Symbol("x")


def same_value(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool | None:
    """True or False if it can be proved, else ``None``; arguments as by :func:`tree.plain`."""
    difference = _built(a) - _built(b)
    if difference == 0 or sympy.radsimp(difference) == 0:
        return True
    if difference.is_algebraic:
        # The minimal polynomial is a proof: only zero has x.
        return bool(sympy.minimal_polynomial(difference, _X) == _X)
    equal = difference.equals(0)
    return None if equal is None else bool(equal)


def _built(tree: tuple[Any, ...]) -> Any:
    kind, *rest = tree
    if kind == "num":
        return sympy.Rational(*rest)
    args = [_built(arg) for arg in rest]
    match kind:
        case "neg":
            return -args[0]
        case "percent":
            return args[0] / 100
        case "add" | "mixed":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "div":
            return args[0] / args[1]
        case "pow":
            return args[0] ** args[1]
        case "root":
            return sympy.real_root(args[0], args[1])
    raise ValueError(f"unknown kind of node: {kind!r}")
