"""Whether two trees have the same value, by computer algebra. Runs in a worker that can be killed.

This is the only module that imports sympy, and it is imported in the worker alone. It is given
trees that our grammar built, never text, so nothing here parses or evaluates what was judged.

A question's answer, and what it costs, do not depend on the questions before it nor on the process:
sympy draws random points and keeps caches, which are set back each time, and what it imports when
first needed is imported with this module, so that no question's budget pays for it.
"""

from __future__ import annotations

from typing import Any

import sympy
import sympy.combinatorics
import sympy.sets.setexpr
from sympy.core import random
from sympy.core.cache import clear_cache

__all__ = ["same_value"]

_X = sympy.Symbol("x")


def same_value(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool | None:
    """True or False if it can be proved, else ``None``; arguments as by :func:`tree.plain`."""
    clear_cache()
    random.seed(0)
    difference = _built(a) - _built(b)
    if difference == 0 or sympy.radsimp(difference) == 0:
        return True
    if not difference.free_symbols and difference.is_algebraic:
        # The minimal polynomial is a proof: only zero has x.
        return bool(sympy.minimal_polynomial(difference, _X) == _X)
    simple = sympy.simplify(difference)
    if simple == 0:
        return True
    equal = simple.equals(0)
    return None if equal is None else bool(equal)


_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}
_FUNCTIONS = {
    name: getattr(sympy, name)
    for name in (
        "sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "acot", "asec", "acsc",
        "sinh", "cosh", "tanh", "coth", "sech", "csch", "asinh", "acosh", "atanh", "factorial",
        "binomial", "floor", "gcd", "lcm", "re", "im", "arg", "Mod", "Abs",
    )
} | {"ceil": sympy.ceiling, "max": sympy.Max, "min": sympy.Min}  # fmt: skip
_NAMES = {"fact": "factorial", "binom": "binomial", "abs": "Abs", "mod": "Mod"}


def _built(tree: tuple[Any, ...]) -> Any:
    kind, *rest = tree
    if kind == "num":
        return sympy.Rational(*rest)
    if kind == "sym":
        return _CONSTANTS.get(rest[0]) or sympy.Symbol(rest[0])
    if kind in ("int", "sum", "prod"):
        return _bounded_operator(kind, rest[1:])
    args = [_built(arg) for arg in rest[1:]]
    if kind == "lim":
        # A two-sided limit is asked for from both sides; where they differ there is none.
        side = rest[0] or ("+" if args[2].is_infinite else "+-")
        return sympy.limit(*args, side)
    if kind == "diff":
        return sympy.diff(args[0], args[1], int(args[2]))
    match kind:
        case "neg":
            return -args[0]
        case "percent":
            return args[0] / 100
        case "add" | "mixed":
            return sympy.Add(*args)
        case "mul" | "scaled":
            return sympy.Mul(*args)
        case "inv":
            return 1 / args[0]
        case "div":
            return args[0] / args[1]
        case "pow":
            return args[0] ** args[1]
        case "root":
            return sympy.real_root(args[0], args[1])
        case "degree":
            return args[0] * sympy.pi / 180
        case "log":
            return sympy.log(*args)
        case "base":
            return args[0]
    return _FUNCTIONS[_NAMES.get(kind, kind)](*args)


def _bounded_operator(kind: str, parts: list[Any]) -> Any:
    """``\\sum_{k=a}^{b}``, ``\\prod``, ``\\int_a^b ... dx``; anything else is not known."""
    body, low, high = parts
    if kind != "int":
        index, start = low[2:]
        variable = sympy.Symbol(index[1])
        make = sympy.Sum if kind == "sum" else sympy.Product
        return make(_built(body), (variable, _built(start), _built(high))).doit()
    kind_of, _, *factors = body
    if kind_of != "mul" or factors[-2] != ("sym", "d"):
        raise ValueError("an integral without its differential")
    variable = sympy.Symbol(factors[-1][1])
    integrand = sympy.Mul(*(_built(f) for f in factors[:-2]))
    return sympy.integrate(integrand, (variable, _built(low), _built(high)))
