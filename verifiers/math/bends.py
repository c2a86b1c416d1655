r"""Where to look so that two functions that differ on a part of the line are told apart.

``|x - 10^9| + x - 10^9`` vanishes at every small point, and ``\ln x`` is ``\ln |x|`` wherever it is
defined.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from rewardkit.verifiers.math.arithmetic import TooLarge, Undefined
from rewardkit.verifiers.math.tree import Node, Op, free_symbols, walk
from rewardkit.verifiers.math.values import study

__all__ = ["differ_in_logs", "reach"]

_FARTHEST = Fraction(10**60)


def reach(*nodes: Node) -> Decimal | None:
    """A distance from zero beyond every number written, if some part may bend; else ``None``."""
    if not any(map(_bends, nodes)):
        return None
    largest = max((_largest(node) for node in nodes), default=Fraction(0))
    return Decimal(int(min(max(largest, Fraction(1)), _FARTHEST)) + 1) * 16


def _bends(node: Node) -> bool:
    """True for an absolute value, or the root of a power, of a variable."""
    return any(
        isinstance(part, Op)
        and (part.kind == "abs" or (part.kind == "root" and _has_power(part.args[0])))
        and bool(free_symbols(part))
        for part in walk(node)
    )


def _has_power(node: Node) -> bool:
    return any(isinstance(part, Op) and part.kind == "pow" for part in walk(node))


def _largest(node: Node) -> Fraction:
    """The size of the greatest constant part; what is too large or irrational counts nothing."""
    if not free_symbols(node):
        try:
            value = study(node).value
        except (TooLarge, Undefined):
            return Fraction(0)
        if value is not None:
            return abs(value)
    if not isinstance(node, Op):
        return Fraction(0)
    return max((_largest(part) for part in node.args), default=Fraction(0))


def differ_in_logs(a: Node, b: Node) -> bool:
    """True if one of the two alone has the logarithm of an absolute value."""
    return _logs_of_abs(a) != _logs_of_abs(b)


def _logs_of_abs(node: Node) -> bool:
    return any(
        isinstance(part, Op)
        and part.kind == "log"
        and any(isinstance(inner, Op) and inner.kind == "abs" for inner in walk(part.args[0]))
        and bool(free_symbols(part))
        for part in walk(node)
    )
