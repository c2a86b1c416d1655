"""Sixty decimal digits of a tree, with a bound on the error: enough for a no, never for a yes.

It settles nearly every wrong irrational answer in microseconds, so that computer algebra is left
with those that are right (or made to look so).
"""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Overflow, Underflow, localcontext
from typing import NamedTuple

from rewardkit.verifiers.math.tree import Node, Num
from rewardkit.verifiers.math.values import TooLarge

__all__ = ["Approximation", "approximate", "differ"]

_CONTEXT = Context(prec=60)
_EPSILON = Decimal("1e-55")


class Approximation(NamedTuple):
    """A value and the greatest amount by which it may be off."""

    value: Decimal
    error: Decimal


def approximate(node: Node) -> Approximation | None:
    """The value of a tree to about 55 digits; ``None`` where they do not settle anything.

    Raises:
        TooLarge: for values beyond ``1e±999999``.
    """
    context = _CONTEXT.copy()
    context.traps[Underflow] = True
    with localcontext(context):
        try:
            return _of(node)
        except (Overflow, Underflow):
            raise TooLarge("too large (or small) to work out") from None
        except DecimalException:
            return None


def differ(a: Approximation, b: Approximation) -> bool:
    """True if the values are certainly different."""
    with localcontext(_CONTEXT):
        return abs(a.value - b.value) > a.error + b.error


def _of(node: Node) -> Approximation:
    if isinstance(node, Num):
        value = Decimal(node.value.numerator) / Decimal(node.value.denominator)
        return Approximation(value, abs(value) * _EPSILON)
    args = [_of(arg) for arg in node.args]
    a = args[0]
    match node.kind:
        case "neg":
            return Approximation(-a.value, a.error)
        case "percent":
            return Approximation(a.value / 100, a.error / 100)
        case "add" | "mixed":
            return _rounded(a.value + args[1].value, a.error + args[1].error)
        case "sub":
            return _rounded(a.value - args[1].value, a.error + args[1].error)
        case "mul":
            b = args[1]
            return _rounded(
                a.value * b.value,
                abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error,
            )
        case "div":
            b = args[1]
            value = a.value / b.value
            return _rounded(value, (a.error + abs(value) * b.error) / _above_zero(b))
        case "pow":
            return _power(a, args[1])
        case "root":
            return _root(a, args[1])


def _rounded(value: Decimal, error: Decimal) -> Approximation:
    return Approximation(value, error + abs(value) * _EPSILON)


def _above_zero(x: Approximation) -> Decimal:
    """The least the absolute value can be; a division by zero (so: undecided) if that is none."""
    least = abs(x.value) - x.error
    return least if least > 0 else Decimal(1) / Decimal(0)


def _power(base: Approximation, exponent: Approximation) -> Approximation:
    value = base.value**exponent.value
    size = abs(base.value)
    relative = (
        abs(exponent.value) * base.error / _above_zero(base) + abs(size.ln()) * exponent.error
    )
    return _rounded(value, 2 * abs(value) * relative)


def _root(radicand: Approximation, index: Approximation) -> Approximation:
    """A root of whole index; negative under an odd one (an even one is refused before)."""
    value = abs(radicand.value) ** (1 / index.value)
    relative = radicand.error / _above_zero(radicand) + abs(abs(radicand.value).ln()) * _EPSILON
    return _rounded(value.copy_sign(radicand.value), 2 * value * relative)
