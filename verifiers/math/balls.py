"""Numbers of many digits with a bound on their error: real and complex, of Decimal alone.

Every operation gives a ball: a centre and a radius that holds the true value. What differs by more
than the radii is certainly different; what agrees to fifty digits and more is taken as equal, with
digits enough that the numbers written in the two answers cannot hide a difference below them.
"""

from __future__ import annotations

from decimal import Decimal, getcontext, localcontext
from functools import lru_cache
from typing import NamedTuple

from rewardkit.verifiers.math.arithmetic import TooLarge

__all__ = ["Ball", "Outside", "Undecided", "epsilon", "pi"]

_ZERO, _ONE, _TWO = Decimal(0), Decimal(1), Decimal(2)


class Outside(Exception):  # noqa: N818 - says where the point lies
    """The function is not defined (or not real) at this point, or not known to be."""


class Undecided(Exception):  # noqa: N818 - no verdict; nothing failed
    """The digits, or the work, do not suffice."""


class Ball(NamedTuple):
    """``re + im i`` within ``err``; ``im`` is ``None`` for a real number."""

    re: Decimal
    err: Decimal
    im: Decimal | None = None

    def size(self) -> Decimal:
        """Absolute value of the centre."""
        if self.im is None:
            return abs(self.re)
        return (self.re * self.re + self.im * self.im).sqrt()

    def least(self) -> Decimal:
        """The least the absolute value can be; raises ``Outside`` if that is none."""
        least = self.size() - self.err
        if least <= 0:
            raise Outside("zero, or too near to tell")
        return least


def epsilon() -> Decimal:
    """Relative error granted to one operation at the current precision."""
    return _ONE.scaleb(3 - getcontext().prec)


def rounded(re: Decimal, err: Decimal, im: Decimal | None = None) -> Ball:
    size = abs(re) if im is None else abs(re) + abs(im)
    return Ball(re, err + size * epsilon(), im)


def add(a: Ball, b: Ball) -> Ball:
    if a.im is None and b.im is None:
        return rounded(a.re + b.re, a.err + b.err)
    return rounded(a.re + b.re, a.err + b.err, (a.im or _ZERO) + (b.im or _ZERO))


def neg(a: Ball) -> Ball:
    return Ball(-a.re, a.err, None if a.im is None else -a.im)


def mul(a: Ball, b: Ball) -> Ball:
    err = a.size() * b.err + b.size() * a.err + a.err * b.err
    if a.im is None and b.im is None:
        return rounded(a.re * b.re, err)
    ai, bi = a.im or _ZERO, b.im or _ZERO
    return rounded(a.re * b.re - ai * bi, err, a.re * bi + ai * b.re)


def inv(a: Ball) -> Ball:
    least = a.least()
    err = a.err / (least * a.size())
    if a.im is None:
        return rounded(_ONE / a.re, err)
    square = a.re * a.re + a.im * a.im
    return rounded(a.re / square, err, -a.im / square)


def whole_power(a: Ball, n: int) -> Ball:
    result = Ball(_ONE, _ZERO)
    base = a if n >= 0 else inv(a)
    n = abs(n)
    while n:
        if n & 1:
            result = mul(result, base)
        n >>= 1
        if n:
            base = mul(base, base)
    return result


def exp(a: Ball) -> Ball:
    if abs(a.re) > 2_000_000:
        raise TooLarge("too large (or small) to work out")
    if a.err > 1:
        raise Outside("an exponential of what is not known well enough")
    size = a.re.exp()
    err = size * a.err * 2
    if a.im is None:
        return rounded(size, err)
    turn = Ball(a.im, _ZERO)
    return rounded(size * cos(turn).re, err, size * sin(turn).re)


def ln(a: Ball) -> Ball:
    err = a.err / a.least()
    if a.im is None and a.re > 0:
        return rounded(a.re.ln(), err)
    im = angle(a)
    return rounded(a.size().ln(), err + im.err, im.re)


def angle(a: Ball) -> Ball:
    """The argument in (-pi, pi]; ``Outside`` where the cut cannot be told."""
    im = a.im or _ZERO
    if a.im is not None and a.re < 0 and 0 < abs(im) <= a.err:
        raise Outside("on the cut")
    if im == 0:
        return Ball(_ZERO if a.re > 0 else pi(), epsilon() * 4)
    if abs(a.re) >= abs(im):
        turn = _atan(im / a.re)
        if a.re < 0:
            turn += pi() if im > 0 else -pi()
    else:
        turn = (pi() / 2 if im > 0 else -pi() / 2) - _atan(a.re / im)
    return rounded(turn, a.err / a.least())


def sqrt(a: Ball) -> Ball:
    if a.re == 0 and a.im is None and a.err == 0:
        return a
    if a.im is None and a.re > 0:
        return rounded(a.re.sqrt(), a.err / a.least().sqrt())
    err = a.err / a.least().sqrt()
    if a.im is None:
        return rounded(_ZERO, err, (-a.re).sqrt())
    size = a.size()
    if a.re < 0 and abs(a.im) <= a.err:
        raise Outside("on the cut")
    re = ((size + a.re) / 2).sqrt() if a.re >= 0 else abs(a.im) / (2 * ((size - a.re) / 2).sqrt())
    return rounded(re, err * 2, a.im / (2 * re))


def sin(a: Ball) -> Ball:
    if a.im is not None:
        up, down = exp(mul(_I, a)), exp(neg(mul(_I, a)))
        return mul(add(up, neg(down)), Ball(_ZERO, _ZERO, Decimal("-0.5")))
    value, err = _sine(a.re)
    return rounded(value, a.err + err)


def cos(a: Ball) -> Ball:
    if a.im is not None:
        up, down = exp(mul(_I, a)), exp(neg(mul(_I, a)))
        return mul(add(up, down), Ball(Decimal("0.5"), _ZERO))
    value, err = _sine(a.re + pi() / 2)
    return rounded(value, a.err + err + epsilon() * (1 + abs(a.re)))


def atan(a: Ball) -> Ball:
    if a.im is not None:
        raise Outside("the arc tangent of a complex number")
    return rounded(_atan(a.re), a.err)


_I = Ball(_ZERO, _ZERO, _ONE)


@lru_cache(maxsize=16)
def _pi(digits: int) -> Decimal:
    """Machin's formula in integers."""
    one: int = 10 ** (digits + 10)

    def inverse_tangent(x: int) -> int:
        term: int = one // x
        total = term
        n, sign = 3, -1
        while term:
            term //= x * x
            total += sign * (term // n)
            n, sign = n + 2, -sign
        return total

    return Decimal(4 * (4 * inverse_tangent(5) - inverse_tangent(239))).scaleb(-digits - 10)


def pi() -> Decimal:
    """Pi at the current precision."""
    return +_pi(getcontext().prec)


def _sine(x: Decimal) -> tuple[Decimal, Decimal]:
    """The sine of a real number, and its error from reducing the argument."""
    if x.adjusted() > 1000:
        raise TooLarge("the sine of too large a number")
    digits = getcontext().prec
    with localcontext() as wide:  # the turns taken off must be known to as many digits as x has
        wide.prec = digits + max(0, x.adjusted()) + 5
        turn = pi() * 2
        x -= (x / turn).to_integral_value() * turn
    x, err = +x, epsilon()
    # Three halvings by sin(3y) = 3 sin y - 4 sin^3 y keep the series short.
    x /= 27
    square, term, total, n = x * x, x, x, 1
    limit = _ONE.scaleb(-getcontext().prec - 2)
    while abs(term) > limit:
        term = -term * square / ((n + 1) * (n + 2))
        n += 2
        total += term
    for _ in range(3):
        total = 3 * total - 4 * total**3
    return total, err + 100 * epsilon()


def _atan(x: Decimal) -> Decimal:
    if abs(x) > 1:
        half = pi() / 2
        return (half if x > 0 else -half) - _atan(_ONE / x)
    for _ in range(3):
        x = x / (1 + (1 + x * x).sqrt())
    square, power, total, n = x * x, x, x, 1
    limit = _ONE.scaleb(-getcontext().prec - 2)
    while abs(power) > limit:
        power = -power * square
        n += 2
        total += power / n
    return total * 8
