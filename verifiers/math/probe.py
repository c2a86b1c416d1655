"""The value of a tree at a point, as a ball of many digits."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from fractions import Fraction

from rewardkit.verifiers.math import balls
from rewardkit.verifiers.math.arithmetic import Undefined
from rewardkit.verifiers.math.balls import Ball, Outside, Undecided
from rewardkit.verifiers.math.closed_forms import evaluated
from rewardkit.verifiers.math.functions import FUNCTIONS
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, free_symbols, number, walk
from rewardkit.verifiers.math.values import study

__all__ = ["Probe", "context_of", "digits_of", "substituted"]

DIGITS = 64
"""Decimal digits of a value, besides as many as the numbers written in the two trees have."""
MAX_WORK = 1500
"""Most functions, roots and powers worked out for one pair, in units of 100 digits."""

_SMALLEST = Decimal("1e-16")
_SPREAD = Decimal("1e-40")
# Every field is named: what is left out would come from decimal.DefaultContext, which is anybody's.
_CONTEXT = Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emax=999_999_999,
    Emin=-999_999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero, Overflow],
)


def context_of(digits: int) -> Context:
    """A decimal context of so many digits, with room for the sizes of hostile powers."""
    context = _CONTEXT.copy()
    context.prec = digits
    return context


def digits_of(*nodes: Node) -> int:
    """Digits that keep apart whatever the written numbers can bring near to each other."""
    bits = 0
    for node in nodes:
        for part in walk(node):
            if isinstance(part, Num):
                size = part.value.numerator.bit_length() + part.value.denominator.bit_length()
                bits += size if size > 12 else 0
    return DIGITS + bits * 3 // 10


class Probe:
    """Evaluates trees at points, under one budget of work for the pair.

    Attributes:
        proves: False if values that agree at a few points may yet be those of two functions: of
            factorials and the like there are only whole numbers to ask about, and few small ones.
    """

    def __init__(self, digits: int, is_complex: bool) -> None:
        self.proves = True
        self._work = 0.0
        self._cost = digits / 100
        self._complex = is_complex

    def of(self, node: Node, point: Mapping[str, Ball]) -> Ball:
        """The value of the tree. Raises ``Outside`` or ``Undecided``."""
        if isinstance(node, Num):
            value = Decimal(node.value.numerator) / Decimal(node.value.denominator)
            exact = node.value.denominator == 1 and node.value.numerator < 10**50
            return Ball(value, Decimal(0)) if exact else balls.rounded(value, Decimal(0))
        if isinstance(node, Sym):
            return self._symbol(node.name, point)
        if not isinstance(node, Op):
            raise Undecided("words")
        args = [self.of(arg, point) for arg in node.args]
        self._spend(0.02)
        match node.kind:
            case "add":
                return self._sum(args)
            case "mul":
                product = args[0]
                for arg in args[1:]:
                    product = balls.mul(product, arg)
                return product
            case "neg":
                return balls.neg(args[0])
            case "div":
                return balls.mul(args[0], balls.inv(args[1]))
            case "inv":
                return balls.inv(args[0])
            case "mixed":
                return balls.add(*args)
            case "percent":
                return balls.mul(args[0], balls.inv(Ball(Decimal(100), Decimal(0))))
            case "scaled":
                return balls.mul(*args)
            case "base":
                return args[0]
            case "degree":
                return balls.mul(args[0], balls.rounded(balls.pi() / 180, Decimal(0)))
        self._spend(1)
        return self._function(node, args, point)

    def _spend(self, much: float) -> None:
        self._work += much * self._cost
        if self._work > MAX_WORK:
            raise Undecided("too much to work out")

    def _symbol(self, name: str, point: Mapping[str, Ball]) -> Ball:
        if name == "pi":
            return balls.rounded(balls.pi(), Decimal(0))
        if name == "e":
            return balls.rounded(Decimal(1).exp(), Decimal(0))
        if name == "i":
            return Ball(Decimal(0), Decimal(0), Decimal(1))
        if name == "inf":
            raise Undecided("infinity")
        return point[name]

    def _sum(self, args: list[Ball]) -> Ball:
        total = args[0]
        for arg in args[1:]:
            a, b = total.size(), arg.size()
            # 1 + e^{-1000} looks like 1 at any number of digits we take: no verdict by digits.
            if a and b and not _SPREAD < a / b < 1 / _SPREAD:
                raise Undecided("terms of sizes too different")
            total = balls.add(total, arg)
        return total

    def _function(self, node: Op, args: list[Ball], point: Mapping[str, Ball]) -> Ball:
        if node.kind == "pow":
            return self._power(*args)
        if node.kind == "root":
            return self._root(*args)
        if node.kind in ("fact", "binom", "gcd", "lcm", "mod", "floor", "ceil", "max", "min"):
            return self._whole(node, args, point)
        a = args[0]
        _ordinary(a)
        if node.kind == "log":
            if len(args) == 1:
                return self._real(balls.ln(a))
            return self._real(balls.mul(balls.ln(a), balls.inv(balls.ln(args[1]))))
        if node.kind not in FUNCTIONS:
            raise Undecided(f"{node.kind} is beyond us")
        return self._real(FUNCTIONS[node.kind](a))

    def _real(self, value: Ball) -> Ball:
        if value.im is None or self._complex:
            return value
        if abs(value.im) <= value.err:
            return Ball(value.re, value.err)
        raise Outside("not real")

    def _power(self, base: Ball, exponent: Ball) -> Ball:
        if (
            exponent.im is None
            and exponent.err == 0
            and exponent.re == exponent.re.to_integral_value()
        ):
            if abs(exponent.re) > 10**6:
                raise Undecided("a large power")
            if base.size() == 0 and exponent.re <= 0:
                raise Outside("a power of zero")
            return balls.whole_power(base, int(exponent.re))
        if base.size() == 0 and base.err == 0 and exponent.re > 0:
            return base
        _ordinary(exponent)
        return self._real(balls.exp(balls.mul(exponent, balls.ln(base))))

    def _root(self, radicand: Ball, index: Ball) -> Ball:
        if index.im is not None or index.err or index.re != index.re.to_integral_value():
            return self._power(radicand, balls.inv(index))
        if index.re == 2:
            return self._real(balls.sqrt(radicand))
        if radicand.im is None and radicand.re < 0 and index.re % 2 == 1:
            return balls.neg(self._power(balls.neg(radicand), balls.inv(index)))
        return self._power(radicand, balls.inv(index))

    def _whole(self, node: Op, args: list[Ball], point: Mapping[str, Ball]) -> Ball:
        """Functions of whole numbers, worked out exactly."""
        values = [
            self._exactly(arg, ball, point) for arg, ball in zip(node.args, args, strict=True)
        ]
        if node.kind in ("fact", "binom") and free_symbols(node):
            self.proves = False
        if node.kind == "fact" and not 0 <= values[0] <= 3000:
            raise Outside("a factorial")
        if node.kind == "binom" and not 0 <= values[1] <= values[0] <= 300:
            raise Outside("a binomial")
        try:
            value = evaluated(node, list(values))
        except Undefined as error:
            raise Outside(str(error)) from None
        if value is None:
            raise Outside(node.kind)
        return balls.rounded(Decimal(value.numerator) / Decimal(value.denominator), Decimal(0))

    def _exactly(self, node: Node, ball: Ball, point: Mapping[str, Ball]) -> Fraction:
        """The rational value of a tree at a point; the digits of its ball may be rounded."""
        if ball.im is None and not ball.err and ball.re == ball.re.to_integral_value():
            return Fraction(int(ball.re))
        self.proves = False
        try:
            value = study(substituted(node, point)).value
        except Undefined as error:
            raise Outside(str(error)) from None
        if value is None:
            raise Undecided("a function of whole numbers, of what is irrational")
        return value


def substituted(node: Node, point: Mapping[str, Ball]) -> Node:
    """The tree with the values of a point in place of its variables."""
    if isinstance(node, Sym) and node.name in point:
        return number(Fraction(point[node.name].re))
    if not isinstance(node, Op):
        return node
    return Op(node.kind, tuple(substituted(arg, point) for arg in node.args), node.name)


def _ordinary(a: Ball) -> None:
    """Refuse arguments so small or large that a function hides them: cos(10^{-40}) is not 1."""
    if a.size() and not _SMALLEST < a.size() < 1 / _SMALLEST:
        raise Undecided("an argument too small or too large")
