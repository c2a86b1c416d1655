"""What a tree comes to: its exact value where that is rational, and what is left to work out.

Every integer is bounded in bits before it is computed, so that ``9^{9^{9}}`` ends at once, and the
work on large ones is counted, so that ten thousand of them end too.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers.math import closed_forms
from rewardkit.verifiers.math.arithmetic import (
    MAX_BITS,
    MAX_INDEX,
    TooLarge,
    Undefined,
    bounded,
    power,
    root,
)
from rewardkit.verifiers.math.tree import UNEVALUATED, Node, Num, Op

__all__ = ["MAX_BITS", "MAX_INDEX", "Study", "TooLarge", "Undefined", "factors", "study"]

MAX_LARGE_STEPS = 3000
"""Most operations on numbers of more than 512 bits in one tree."""


class Study(NamedTuple):
    """What is known of a tree.

    Attributes:
        value: the exact value; ``None`` where it is irrational, or rational only after algebra.
        todo: kinds of operations left to do between rational values ("add", "mul", "div"), and of
            operators not evaluated ("sum", "int", ...).
        closed: a closed form in it (power, root, factorial, sine, ...) comes to a rational value
            but is not worked out.
    """

    value: Fraction | None
    todo: frozenset[str] = frozenset()
    closed: bool = False


_NONE: frozenset[str] = frozenset()
_NOTHING = Study(None)


def study(node: Node) -> Study:
    """Work out a tree exactly.

    Raises:
        TooLarge: for values beyond the limits.
        Undefined: for a division by zero.
    """
    if isinstance(node, Num):
        return Study(node.value)
    return _Student().of(node)


class _Student:
    """One walk over one tree, with its budget of work."""

    def __init__(self) -> None:
        self._large = 0

    def of(self, node: Node) -> Study:
        if isinstance(node, Num):
            return Study(node.value)
        if not isinstance(node, Op):
            return _NOTHING
        if node.kind == "add":
            return self._sum(node)
        if node.kind in ("mul", "div"):
            return self._product(node)
        parts = [self.of(arg) for arg in node.args]
        todo, closed = _joined(parts)
        values = [part.value for part in parts]
        if node.kind in UNEVALUATED:
            return Study(closed_forms.evaluated(node, values), todo | {node.kind}, closed)
        return self._single(node, values, todo, closed)

    def _single(
        self, node: Op, values: list[Fraction | None], todo: frozenset[str], closed: bool
    ) -> Study:
        match node.kind:
            case "mixed":
                return Study(self._total(values))
            case "base":
                # The value of 42_{16} is 66, which the question may ask for.
                open_ = todo if node.name.endswith("_10") else todo | {"base"}
                return Study(values[0], open_, closed)
            case "quantity":
                return Study(values[0], todo, closed)
            case "neg":
                return Study(None if values[0] is None else -values[0], todo, closed)
            case "percent":
                return Study(self._multiplied([values[0], Fraction(1, 100)]), todo, closed)
            case "scaled":
                return Study(self._multiplied(values), todo, closed)
            case "pow":
                value = closed_forms.named_power(node, values) or power(values[0], values[1])
            case "root":
                value = root(values[0], values[1])
            case _:
                value = closed_forms.evaluated(node, values)
                if value is not None and value.numerator.bit_length() > MAX_BITS:
                    value = None  # a factorial of thousands: its digits will do
        return Study(value, todo, closed or value is not None)

    def _sum(self, node: Op) -> Study:
        parts = [self.of(term) for term in node.args]
        todo, closed = _joined(parts)
        values = [part.value for part in parts]
        if len(values) - values.count(None) > 1:
            todo |= {"add"}
        return Study(self._total(values), todo, closed)

    def _product(self, node: Op) -> Study:
        chain = factors(node)
        parts = [self.of(factor) for factor, _ in chain]
        values: list[Fraction | None] = []
        for part, (_, inverse) in zip(parts, chain, strict=True):
            if inverse and part.value == 0:
                raise Undefined("a division by zero")
            values.append(1 / part.value if inverse and part.value is not None else part.value)
        known = [value for value in values if value is not None]
        whole = self._multiplied(known)
        value = whole if len(known) == len(values) else None
        if _is_scientific(node):
            return Study(value)
        todo, closed = _joined(parts)
        if len(known) > 1:
            rational = [f for f, v in zip(chain, values, strict=True) if v is not None]
            todo |= _left_to_do(rational, whole)
        return Study(value, todo, closed)

    def _total(self, values: Iterable[Fraction | None]) -> Fraction | None:
        total: Fraction | None = None
        for value in values:
            if value is None:
                return None
            total = value if total is None else self._checked(total + value)
        return total

    def _multiplied(self, values: Iterable[Fraction | None]) -> Fraction | None:
        product: Fraction | None = None
        for value in values:
            if value is None:
                return None
            product = value if product is None else self._checked(product * value)
        return product

    def _checked(self, value: Fraction) -> Fraction:
        if value.denominator.bit_length() + value.numerator.bit_length() <= 512:
            return value
        self._large += 1
        if self._large > MAX_LARGE_STEPS:
            raise TooLarge("too much to work out")
        return bounded(value)


def _joined(parts: list[Study]) -> tuple[frozenset[str], bool]:
    todo, closed = _NONE, False
    for part in parts:
        todo = todo | part.todo if part.todo else todo
        closed = closed or part.closed
    return todo, closed


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


def factors(node: Node) -> list[tuple[Node, bool]]:
    """Factors of a chain of products and quotients; True for those divided by."""
    found: list[tuple[Node, bool]] = []
    pending: list[tuple[Node, bool]] = [(node, False)]
    while pending:
        current, inverse = pending.pop()
        if isinstance(current, Op) and current.kind == "div":
            pending += [(current.args[1], not inverse), (current.args[0], inverse)]
        elif isinstance(current, Op) and current.kind == "mul":
            pending += [(arg, inverse) for arg in reversed(current.args)]
        elif isinstance(current, Op) and current.kind == "inv":
            pending.append((current.args[0], not inverse))
        else:
            found.append((current, inverse))
    return found


def _is_integer(node: Node) -> bool:
    if isinstance(node, Op) and node.kind == "neg":
        node = node.args[0]
    return isinstance(node, Num) and node.whole


def _is_scientific(node: Op) -> bool:
    r"""``6.02 \times 10^{23}`` is a way to write a number, not a product left to do."""
    if node.kind != "mul" or len(node.args) != 2:
        return False
    left, right = node.args
    mantissa = left.args[0] if isinstance(left, Op) and left.kind == "neg" else left
    if not isinstance(mantissa, Num) or not (isinstance(right, Op) and right.kind == "pow"):
        return False
    base, exponent = right.args
    return isinstance(base, Num) and base.whole and base.value == 10 and _is_integer(exponent)
