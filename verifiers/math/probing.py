"""Whether two trees have the same value, by fifty and more digits at seeded points.

A mismatch at one point is a certain no. A match at all of them is a yes: by then the two agree to
more digits than the numbers written in them could feign.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DecimalException, localcontext
from fractions import Fraction

from rewardkit.verifiers.math import balls
from rewardkit.verifiers.math.arithmetic import TooLarge
from rewardkit.verifiers.math.balls import Ball, Outside
from rewardkit.verifiers.math.closed_forms import evaluated
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, free_symbols, walk

__all__ = [
    "Outside",
    "Probe",
    "Undecided",
    "close",
    "context_of",
    "digits_of",
    "over_points",
    "same",
]

DIGITS = 64
"""Decimal digits of a value, besides as many as the numbers written in the two trees have."""
MAX_DIGITS = 700
MAX_WORK = 1500
"""Most functions, roots and powers worked out for one pair, in units of 100 digits."""
POINTS, WANTED = 12, 3
"""Points tried, and points where both are defined that make a yes."""

_AGREE = Decimal("1e-50")
_SMALLEST = Decimal("1e-16")
_SPREAD = Decimal("1e-40")
_CONTEXT = Context(prec=DIGITS, Emax=999_999_999, Emin=-999_999_999)


class Undecided(Exception):  # noqa: N818 - no verdict; nothing failed
    """The digits, or the work, do not suffice."""


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
    """Evaluates trees at one point, under one budget of work for the pair."""

    def __init__(self, digits: int, is_complex: bool) -> None:
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
        return self._function(node, args)

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

    def _function(self, node: Op, args: list[Ball]) -> Ball:
        if node.kind == "pow":
            return self._power(*args)
        if node.kind == "root":
            return self._root(*args)
        if node.kind in ("fact", "binom", "gcd", "lcm", "mod", "floor", "ceil", "max", "min"):
            return self._whole(node, args)
        a = args[0]
        _ordinary(a)
        if node.kind == "log":
            if len(args) == 1:
                return self._real(balls.ln(a))
            return self._real(balls.mul(balls.ln(a), balls.inv(balls.ln(args[1]))))
        if node.kind not in _FUNCTIONS:
            raise Undecided(f"{node.kind} is beyond us")
        return self._real(_FUNCTIONS[node.kind](a))

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

    def _whole(self, node: Op, args: list[Ball]) -> Ball:
        """Functions of whole numbers, at points that are whole."""
        if any(a.im is not None or a.err or a.re != a.re.to_integral_value() for a in args):
            raise Undecided(f"{node.kind} of what is not whole")
        if node.kind == "fact" and not 0 <= args[0].re <= 3000:
            raise Outside("a factorial")
        if node.kind == "binom" and not 0 <= args[1].re <= args[0].re <= 300:
            raise Outside("a binomial")
        value = evaluated(node, [Fraction(int(a.re)) for a in args])
        if value is None:
            raise Outside(node.kind)
        return balls.rounded(Decimal(value.numerator) / Decimal(value.denominator), Decimal(0))


def _ordinary(a: Ball) -> None:
    """Refuse arguments so small or large that a function hides them: cos(10^{-40}) is not 1."""
    if a.size() and not _SMALLEST < a.size() < 1 / _SMALLEST:
        raise Undecided("an argument too small or too large")


def _tan(a: Ball) -> Ball:
    return balls.mul(balls.sin(a), balls.inv(balls.cos(a)))


def _asin(a: Ball) -> Ball:
    rest = balls.add(Ball(Decimal(1), Decimal(0)), balls.neg(balls.mul(a, a)))
    if a.im is not None or rest.re < -rest.err:
        raise Outside("the arc sine of more than one")
    if rest.re <= rest.err:
        half = balls.rounded(balls.pi() / 2, Decimal(0))
        return half if a.re > 0 else balls.neg(half)
    return balls.atan(balls.mul(a, balls.inv(balls.sqrt(rest))))


def _acos(a: Ball) -> Ball:
    return balls.add(balls.rounded(balls.pi() / 2, Decimal(0)), balls.neg(_asin(a)))


def _acot(a: Ball) -> Ball:
    return balls.add(balls.rounded(balls.pi() / 2, Decimal(0)), balls.neg(balls.atan(a)))


def _abs(a: Ball) -> Ball:
    return Ball(a.size(), a.err)


def _half(sign: int) -> Callable[[Ball], Ball]:
    def of(a: Ball) -> Ball:
        if abs(a.re) > 40:
            raise Undecided("a hyperbolic function that is all but its limit")
        up, down = balls.exp(a), balls.exp(balls.neg(a))
        both = balls.add(up, down if sign > 0 else balls.neg(down))
        return balls.mul(both, Ball(Decimal("0.5"), Decimal(0)))

    return of


def _over(f: Callable[[Ball], Ball]) -> Callable[[Ball], Ball]:
    return lambda a: balls.inv(f(a))


def _asinh(a: Ball) -> Ball:
    one = Ball(Decimal(1), Decimal(0))
    return balls.ln(balls.add(a, balls.sqrt(balls.add(balls.mul(a, a), one))))


def _acosh(a: Ball) -> Ball:
    one = Ball(Decimal(1), Decimal(0))
    return balls.ln(balls.add(a, balls.sqrt(balls.add(balls.mul(a, a), balls.neg(one)))))


def _atanh(a: Ball) -> Ball:
    one = Ball(Decimal(1), Decimal(0))
    ratio = balls.mul(balls.add(one, a), balls.inv(balls.add(one, balls.neg(a))))
    return balls.mul(balls.ln(ratio), Ball(Decimal("0.5"), Decimal(0)))


_sinh, _cosh = _half(-1), _half(1)


def _tanh(a: Ball) -> Ball:
    return balls.mul(_sinh(a), balls.inv(_cosh(a)))


_FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "sin": balls.sin, "cos": balls.cos, "tan": _tan, "cot": _over(_tan), "sec": _over(balls.cos),
    "csc": _over(balls.sin), "asin": _asin, "acos": _acos, "atan": balls.atan, "acot": _acot,
    "asec": lambda a: _acos(balls.inv(a)), "acsc": lambda a: _asin(balls.inv(a)),
    "sinh": _sinh, "cosh": _cosh, "tanh": _tanh, "coth": _over(_tanh), "sech": _over(_cosh),
    "csch": _over(_sinh), "asinh": _asinh, "acosh": _acosh, "atanh": _atanh, "abs": _abs,
    "re": lambda a: Ball(a.re, a.err), "im": lambda a: Ball(a.im or Decimal(0), a.err),
    "arg": balls.angle,
}  # fmt: skip

_INTEGER_KINDS = frozenset({"fact", "binom", "gcd", "lcm", "mod", "floor", "ceil", "max", "min"})


def _wants_integers(node: Node) -> bool:
    """True if variables must be whole numbers for the tree to have a value: n!, (-1)^n."""
    for part in walk(node):
        if isinstance(part, Op) and part.kind in _INTEGER_KINDS and free_symbols(part):
            return True
        if isinstance(part, Op) and part.kind == "pow" and free_symbols(part.args[1]):
            base = part.args[0]
            if isinstance(base, Op) and base.kind == "neg" and not free_symbols(base):
                return True
    return False


def points(names: list[str], seed: str, integers: bool, count: int) -> list[dict[str, Ball]]:
    """Seeded points: the same for the same pair, and no two variables alike."""
    draw = random.Random(seed)
    found = []
    for at in range(count):
        point = {}
        for name in names:
            if integers:
                value = Decimal(draw.randrange(2 + at, 9 + 3 * at))
            else:
                size = Decimal(draw.randrange(10**29, 10**30)).scaleb(-30)
                # In turn: positive below 1, larger, negative, of either sign.
                value = (size, size * 5 + 1, -size, size * 7 - 3)[at % 4]
            point[name] = Ball(value, Decimal(0))
        found.append(point)
    return found


def context_of(digits: int) -> Context:
    """A decimal context of so many digits, with room for the sizes of hostile powers."""
    context = _CONTEXT.copy()
    context.prec = digits
    return context


def same(a: Node, b: Node, seed: str = "") -> bool | None:
    """True or False if the digits settle it, else ``None``."""

    def agrees(x: Ball, y: Ball, _: dict[str, object]) -> bool | None:
        return close(x, y)

    return over_points(a, b, agrees, seed)


def close(x: Ball, y: Ball) -> bool | None:
    """False if certainly different, True if equal to fifty digits, ``None`` in between."""
    off = balls.add(x, balls.neg(y))
    if off.size() > off.err * 2:
        return False
    scale = max(x.size(), y.size(), Decimal(1) if not x.size() or not y.size() else Decimal(0))
    return True if off.err <= scale * _AGREE else None


Judge = Callable[[Ball, Ball, dict[str, object]], bool | None]


def over_points(a: Node, b: Node, judge: Judge, seed: str = "") -> bool | None:
    """Ask the judge at every point where both trees are defined; it may keep a state.

    Raises:
        TooLarge: if no point gives a value that can be worked out.
    """
    names = sorted(free_symbols(a) | free_symbols(b))
    digits = digits_of(a, b)
    if digits > MAX_DIGITS or len(names) > 12:
        return None
    is_complex = any(part == Sym("i") for node in (a, b) for part in walk(node))
    is_complex = is_complex or (not names)
    integers = bool(names) and (_wants_integers(a) or _wants_integers(b))
    probe = Probe(digits, is_complex)
    state: dict[str, object] = {}
    valid, large = 0, False
    with localcontext(context_of(digits)):
        for point in points(names, seed + ",".join(names), integers, POINTS if names else 1):
            try:
                x, y = probe.of(a, point), probe.of(b, point)
            except Outside:
                continue
            except TooLarge:
                large = True
                continue
            except (Undecided, DecimalException, MemoryError, OverflowError):
                return None
            verdict = judge(x, y, state)
            if verdict is None:
                return None
            if not verdict:
                return False
            valid += 1
            if valid >= WANTED or not names:
                return True
    if large and not valid:
        raise TooLarge("too large (or small) to work out")
    return None
