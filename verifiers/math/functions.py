"""Functions of one number, real or complex, on balls of many digits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from rewardkit.verifiers.math import balls
from rewardkit.verifiers.math.balls import Ball, Outside, Undecided

__all__ = ["FUNCTIONS"]


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


FUNCTIONS: dict[str, Callable[[Ball], Ball]] = {
    "sin": balls.sin, "cos": balls.cos, "tan": _tan, "cot": _over(_tan), "sec": _over(balls.cos),
    "csc": _over(balls.sin), "asin": _asin, "acos": _acos, "atan": balls.atan, "acot": _acot,
    "asec": lambda a: _acos(balls.inv(a)), "acsc": lambda a: _asin(balls.inv(a)),
    "sinh": _sinh, "cosh": _cosh, "tanh": _tanh, "coth": _over(_tanh), "sech": _over(_cosh),
    "csch": _over(_sinh), "asinh": _asinh, "acosh": _acosh, "atanh": _atanh, "abs": _abs,
    "re": lambda a: Ball(a.re, a.err), "im": lambda a: Ball(a.im or Decimal(0), a.err),
    "arg": balls.angle,
}  # fmt: skip
