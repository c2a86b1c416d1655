"""Closed forms that come to a rational: factorials, binomials, sines, logarithms; and operators
such as gcd or floor, whose value is known but which restate a question."""

from __future__ import annotations

import math
from fractions import Fraction

from rewardkit.verifiers.math.arithmetic import MAX_BITS, TooLarge, Undefined, power
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym

__all__ = ["evaluated", "named_power", "pi_multiple"]

MAX_FACTORIAL = 3000
"""Greatest number whose factorial is worked out."""

Values = list[Fraction | None]


def evaluated(node: Op, values: Values) -> Fraction | None:
    """The rational value of an operation on rationals, or ``None`` if it has none we know."""
    match node.kind:
        case "fact":
            return _factorial(values[0])
        case "binom":
            return _binomial(values[0], values[1])
        case "abs":
            return None if values[0] is None else abs(values[0])
        case "sin" | "cos" | "tan" | "cot" | "sec" | "csc":
            return _trigonometric(node.kind, node.args[0])
        case "asin" | "atan" | "sinh" | "tanh" | "asinh" | "atanh":
            return Fraction(0) if values[0] == 0 else None
        case "acos" | "acosh":
            return Fraction(0) if values[0] == 1 else None
        case "cosh":
            return Fraction(1) if values[0] == 0 else None
        case "log":
            return _logarithm(node, values)
        case "gcd" | "lcm":
            return _divisor(node.kind, values)
        case "floor" | "ceil":
            return _rounded(node.kind, values[0])
        case "mod":
            return _remainder(values)
        case "max" | "min":
            known = [v for v in values if v is not None]
            if len(known) < len(values) or not known:
                return None
            return max(known) if node.kind == "max" else min(known)
    return None


def named_power(node: Op, values: Values) -> Fraction | None:
    """Powers that are rational though their base is not: ``i^2``, ``e^{\\ln 3}``."""
    base, exponent = node.args
    if base == Sym("i") and values[1] is not None and values[1].denominator == 1:
        return {0: Fraction(1), 2: Fraction(-1)}.get(int(values[1]) % 4)
    if base == Sym("e"):
        if values[1] == 0:
            return Fraction(1)
        if isinstance(exponent, Op) and exponent.kind == "log" and len(exponent.args) == 1:
            inner = exponent.args[0]
            return inner.value if isinstance(inner, Num) and inner.value > 0 else None
    return None


def pi_multiple(node: Node) -> Fraction | None:
    """The rational r if the tree is r times pi (an angle in radians), else ``None``."""
    if node == Sym("pi"):
        return Fraction(1)
    if isinstance(node, Num):
        return Fraction(0) if node.value == 0 else None
    if not isinstance(node, Op):
        return None
    if node.kind in ("degree", "quantity") and node.name in ("", "degrees"):
        inner = _rational(node.args[0])
        return None if inner is None else inner / 180
    if node.kind == "neg":
        inner = pi_multiple(node.args[0])
        return None if inner is None else -inner
    if node.kind == "div":
        below = _rational(node.args[1])
        inner = pi_multiple(node.args[0])
        return None if inner is None or not below else inner / below
    if node.kind == "mul":
        factors = [_rational(arg) for arg in node.args]
        odd = [i for i, f in enumerate(factors) if f is None]
        inner = pi_multiple(node.args[odd[0]]) if len(odd) == 1 else None
        if inner is not None:
            for factor in factors:
                inner *= factor if factor is not None else 1
        return inner
    return None


def _rational(node: Node) -> Fraction | None:
    """The value of a plain number or fraction."""
    if isinstance(node, Num):
        return node.value
    if not isinstance(node, Op):
        return None
    if node.kind == "div":
        above, below = _rational(node.args[0]), _rational(node.args[1])
        return None if above is None or not below else above / below
    if node.kind in ("neg", "inv"):
        inner = _rational(node.args[0])
        if inner is None or (node.kind == "inv" and not inner):
            return None
        return -inner if node.kind == "neg" else 1 / inner
    return None


def _factorial(n: Fraction | None) -> Fraction | None:
    if n is None:
        return None
    if n.denominator != 1 or n < 0:
        raise Undefined("the factorial of what is no natural number")
    if n > MAX_FACTORIAL:
        raise TooLarge("too large to work out")
    return Fraction(math.factorial(int(n)))


def _binomial(n: Fraction | None, k: Fraction | None) -> Fraction | None:
    if n is None or k is None or n.denominator != 1 or k.denominator != 1:
        return None
    if n < 0 or k < 0:
        raise Undefined("a binomial of negative numbers")
    if n > 10**6 or min(k, n - k) > MAX_FACTORIAL:
        raise TooLarge("too large to work out")
    return Fraction(math.comb(int(n), int(k)))


# By Niven's theorem the sine of a rational multiple of pi is rational only where it is 0, 1/2 or 1.
_SINES = {0: Fraction(0), 1: Fraction(1, 2), 3: Fraction(1), 5: Fraction(1, 2), 6: Fraction(0)}


def _sine(turns: Fraction) -> Fraction | None:
    sixths = turns % 2 * 6
    if sixths.denominator != 1:
        return None
    at = int(sixths)
    value = _SINES.get(at % 6 if at != 6 else 6)
    return None if value is None else (-value if at > 6 else value)


def _trigonometric(kind: str, node: Node) -> Fraction | None:
    r = pi_multiple(node)
    if r is None:
        return None
    half = Fraction(1, 2)
    if kind == "sin":
        return _sine(r)
    if kind == "cos":
        return _sine(r + half)
    if kind in ("tan", "cot"):
        quarters = r % 1 * 4
        if quarters.denominator != 1:
            return None
        at = int(quarters) if kind == "tan" else (2 - int(quarters)) % 4
        if at == 2:
            raise Undefined(f"the {kind} of a pole")
        return Fraction({0: 0, 1: 1, 3: -1}[at])
    below = _sine(r + half) if kind == "sec" else _sine(r)
    if below == 0:
        raise Undefined(f"the {kind} of a pole")
    return None if below is None else 1 / below


def _logarithm(node: Op, values: Values) -> Fraction | None:
    """The rational logarithm of a rational to a rational base; ``ln`` of a power of e."""
    of = values[0]
    if of is not None and of <= 0:
        return None
    if of == 1:
        return Fraction(0)
    base = node.args[1] if len(node.args) > 1 else Sym("e")
    if base == Sym("e") or node.name == "log10?":
        inner = node.args[0]
        if inner == base:
            return Fraction(1)
        if isinstance(inner, Op) and inner.kind == "pow" and inner.args[0] == base == Sym("e"):
            return _rational(inner.args[1])
    if len(values) < 2 or of is None or values[1] is None:
        return None
    to = values[1]
    if to <= 0 or to == 1:
        raise Undefined("a logarithm to such a base")
    ratio = (_ln(of) / _ln(to)) if _ln(to) else 0.0
    near = Fraction(ratio).limit_denominator(24)
    bits = max(of.numerator.bit_length(), of.denominator.bit_length())
    if bits * near.denominator > MAX_BITS or abs(near) > MAX_BITS:
        return None
    return near if of**near.denominator == power(to, Fraction(near.numerator)) else None


def _ln(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)


def _divisor(kind: str, values: Values) -> Fraction | None:
    if any(v is None or v.denominator != 1 for v in values):
        return None
    whole = [int(v) for v in values if v is not None]
    return Fraction(math.gcd(*whole) if kind == "gcd" else math.lcm(*whole))


def _rounded(kind: str, value: Fraction | None) -> Fraction | None:
    if value is None:
        return None
    return Fraction(math.floor(value) if kind == "floor" else math.ceil(value))


def _remainder(values: Values) -> Fraction | None:
    a, b = values
    return None if a is None or b is None or b == 0 else a % b
