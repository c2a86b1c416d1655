"""What a tree comes to: its exact value where that is rational, and what is left to work out.

Every integer is bounded in bits before it is computed, so that ``9^{9^{9}}`` ends at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rewardkit.verifiers.math.tree import Node, Num, Op

__all__ = ["Study", "TooLarge", "Undefined", "study"]

MAX_BITS = 8192
"""Largest numerator or denominator computed."""
MAX_INDEX = 1000
"""Greatest index of a root, and greatest exponent of something irrational."""


class TooLarge(Exception):  # noqa: N818 - says what the value is, not that anything failed
    """The value is larger than anything that is worked out."""


class Undefined(Exception):  # noqa: N818 - as above
    """The expression has no (real) value; the message says why."""


@dataclass(frozen=True, slots=True)
class Study:
    """What is known of a tree.

    Attributes:
        value: the exact value; ``None`` where it is irrational, or rational only after algebra.
        todo: kinds of operations left to do between rational values ("add", "mul", "div").
        closed: a power or root in it comes to a rational value but is not worked out.
    """

    value: Fraction | None
    todo: frozenset[str] = frozenset()
    closed: bool = False


def study(node: Node) -> Study:
    """Work out a tree exactly.

    Raises:
        TooLarge: for values beyond the limits.
        Undefined: for a division by zero or an even root of a negative number.
    """
    if isinstance(node, Num):
        return Study(node.value)
    if node.kind in ("add", "sub"):
        return _sum(node)
    if node.kind in ("mul", "div"):
        return _product(node)
    parts = [study(arg) for arg in node.args]
    todo = frozenset[str]().union(*(part.todo for part in parts))
    closed = any(part.closed for part in parts)
    values = [part.value for part in parts]
    if node.kind == "mixed":
        return Study(_added(values))
    if node.kind in ("neg", "percent"):
        factor = Fraction(-1) if node.kind == "neg" else Fraction(1, 100)
        return Study(_multiplied([values[0], factor]), todo, closed)
    value = _power(*values) if node.kind == "pow" else _root(*values)
    return Study(value, todo, closed or value is not None)


def _sum(node: Op) -> Study:
    terms = _spine(node, ("add", "sub"))
    parts = [study(term) for term, _ in terms]
    signed = [
        None if part.value is None else part.value * (-1 if inverse else 1)
        for part, (_, inverse) in zip(parts, terms, strict=True)
    ]
    todo = frozenset[str]().union(*(part.todo for part in parts))
    if sum(value is not None for value in signed) > 1:
        todo |= {"add"}
    return Study(_added(signed), todo, any(part.closed for part in parts))


def _product(node: Op) -> Study:
    factors = _spine(node, ("mul", "div"))
    parts = [study(factor) for factor, _ in factors]
    values: list[Fraction | None] = []
    for part, (_, inverse) in zip(parts, factors, strict=True):
        if inverse and part.value == 0:
            raise Undefined("a division by zero")
        values.append(1 / part.value if inverse and part.value is not None else part.value)
    value = _multiplied(values)
    if _is_scientific(node):
        return Study(value)
    todo = frozenset[str]().union(*(part.todo for part in parts))
    rational = [f for f, v in zip(factors, values, strict=True) if v is not None]
    return Study(value, todo | _left_to_do(rational, value), any(p.closed for p in parts))


def _left_to_do(rational: list[tuple[Node, bool]], value: Fraction | None) -> set[str]:
    """What is left to do among the rational factors of a product (the irrational ones may stay)."""
    above = [node for node, inverse in rational if not inverse]
    below = [node for node, inverse in rational if inverse]
    todo = {"mul"} if len(above) > 1 or len(below) > 1 else set()
    if len(above) == 1 and below:
        fraction = all(_is_integer(node) for node in above + below)
        # 84/2 asks for a division; 2/4 is a fraction, if not in lowest terms.
        if not fraction or (value is not None and value.denominator == 1):
            todo.add("div")
    return todo


def _spine(node: Node, kinds: tuple[str, str]) -> list[tuple[Node, bool]]:
    """Operands of a chain of operations of the two kinds; True for subtracted or divided ones."""
    operands: list[tuple[Node, bool]] = []
    pending: list[tuple[Node, bool]] = [(node, False)]
    while pending:
        current, inverse = pending.pop()
        if isinstance(current, Op) and current.kind in kinds:
            left, right = current.args
            pending += [(right, inverse != (current.kind == kinds[1])), (left, inverse)]
        else:
            operands.append((current, inverse))
    return operands


def _is_integer(node: Node) -> bool:
    if isinstance(node, Op) and node.kind == "neg":
        node = node.args[0]
    return isinstance(node, Num) and node.whole


def _is_scientific(node: Op) -> bool:
    r"""``6.02 \times 10^{23}`` is a way to write a number, not a product left to do."""
    left, right = node.args
    number = left.args[0] if isinstance(left, Op) and left.kind == "neg" else left
    if node.kind != "mul" or not isinstance(number, Num):
        return False
    if not (isinstance(right, Op) and right.kind == "pow"):
        return False
    base, exponent = right.args
    return isinstance(base, Num) and base.whole and base.value == 10 and _is_integer(exponent)


def _added(values: list[Fraction | None]) -> Fraction | None:
    total = Fraction(0)
    for value in values:
        if value is None:
            return None
        total = _bounded(total + value)
    return total


def _multiplied(values: list[Fraction | None]) -> Fraction | None:
    product = Fraction(1)
    for value in values:
        if value is None:
            return None
        product = _bounded(product * value)
    return product


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge("too large to work out")
    return value


def _power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    if exponent is None:
        return None
    if base is None:
        if max(abs(exponent.numerator), exponent.denominator) > MAX_INDEX:
            raise TooLarge("too large to work out")
        return None
    if base == 0 and exponent <= 0:
        raise Undefined("a power of zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) == 1 and exponent.denominator == 1:
        return base if exponent % 2 else Fraction(1)
    if base not in (0, 1) and bits * abs(exponent) > 2 * MAX_BITS:
        raise TooLarge("too large to work out")
    if exponent.denominator == 1:
        return _bounded(base ** int(exponent))
    if base < 0:
        raise Undefined("a broken power of a negative number")
    root = _root(base, Fraction(exponent.denominator))
    return None if root is None else _bounded(root**exponent.numerator)


def _root(radicand: Fraction | None, index: Fraction | None) -> Fraction | None:
    if index is None or index.denominator != 1 or not 2 <= index <= MAX_INDEX:
        raise Undefined("a root whose index is not a whole number from 2 to 1000")
    if radicand is None:
        return None
    n = int(index)
    if radicand < 0:
        if n % 2 == 0:
            raise Undefined("an even root of a negative number")
        root = _root(-radicand, index)
        return None if root is None else -root
    above, below = _integer_root(radicand.numerator, n), _integer_root(radicand.denominator, n)
    return None if above is None or below is None else Fraction(above, below)


def _integer_root(value: int, n: int) -> int | None:
    """The exact n-th root of a natural number by Newton's method, or ``None`` if it has none."""
    if value < 2:
        return value
    root = 1 << -(-value.bit_length() // n)
    while (nearer := ((n - 1) * root + value // root ** (n - 1)) // n) < root:
        root = nearer
    return root if root**n == value else None
