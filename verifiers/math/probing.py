"""Whether two trees have the same value, by fifty and more digits at seeded points.

A mismatch at one point is a certain no. A match at all of them is a yes: by then the two agree to
more digits than the numbers written in them could feign.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, DecimalException, localcontext
from fractions import Fraction

from rewardkit.verifiers.math import balls
from rewardkit.verifiers.math.arithmetic import MAX_BITS, TooLarge, Undefined
from rewardkit.verifiers.math.balls import Ball, Outside, Undecided
from rewardkit.verifiers.math.bends import differ_in_logs, reach
from rewardkit.verifiers.math.probe import Probe, context_of, digits_of, substituted
from rewardkit.verifiers.math.tree import CONSTANTS, Node, Op, free_symbols, symbols, walk
from rewardkit.verifiers.math.values import study

__all__ = ["POINTS", "close", "over_points", "points", "same"]

MAX_DIGITS = 700
_EXACT_DIGITS = MAX_BITS * 2 // 3
"""Decimal digits that hold any two exact values and their difference."""
POINTS, WANTED = 12, 3
"""Points tried, and points where both are defined that make a yes."""
_FAR = range(4, 8)
"""Which points lie beyond all numbers written, where something bends."""

_AGREE = Decimal("1e-50")

_SIZES = (3, 3, 4, 4, 6, 6, 10, 10, 20, 20, 150, 50_000)
"""Ranges of the whole numbers that are tried: small ones first, of which factorials are known."""
_INTEGER_KINDS = frozenset({"fact", "binom", "gcd", "lcm", "mod", "floor", "ceil", "max", "min"})


def _has_whole(node: Node) -> bool:
    """True for functions of whole numbers, such as n!, of variables."""
    return any(
        isinstance(part, Op) and part.kind in _INTEGER_KINDS and free_symbols(part)
        for part in walk(node)
    )


def _alternates(node: Node) -> bool:
    """True for (-1)^n, whose variable must be whole for it to be real."""
    return any(
        isinstance(part, Op)
        and part.kind == "pow"
        and isinstance(part.args[0], Op)
        and part.args[0].kind == "neg"
        and not free_symbols(part.args[0])
        and free_symbols(part.args[1])
        for part in walk(node)
    )


def points(
    names: list[str], seed: str, integers: bool, count: int, far: Decimal | None = None
) -> Iterator[dict[str, Ball]]:
    """Seeded points: the same for the same pair, no two variables alike, four of them ``far``."""
    draw = random.Random(seed)
    for at in range(count):
        point = {}
        for nth, name in enumerate(names):
            if integers:
                # Even and odd in turn: on even ones alone (-1)^n is 1. Some large, which no product
                # (n-2)(n-3)(n-4)... of bearable length makes zero.
                size = _SIZES[at % len(_SIZES)]
                value = Decimal(2 + 2 * draw.randrange(size) + (at >> nth) % 2)
            else:
                part = Decimal(draw.randrange(10**29, 10**30)).scaleb(-30)
                # In turn: positive below 1, larger, negative, of either sign.
                value = (part, part * 5 + 1, -part, part * 7 - 3)[at % 4]
                if far is not None and at in _FAR:
                    value *= far
            point[name] = Ball(value, Decimal(0))
        yield point


def same(a: Node, b: Node) -> bool | None:
    """True or False if the digits settle it, else ``None``."""

    def agrees(x: Ball, y: Ball, _: dict[str, object]) -> bool | None:
        return close(x, y)

    return over_points(a, b, agrees)


def close(x: Ball, y: Ball) -> bool | None:
    """False if certainly different, True if equal to fifty digits, ``None`` in between."""
    off = balls.add(x, balls.neg(y))
    if off.size() > off.err * 2:
        return False
    scale = max(x.size(), y.size(), Decimal(1) if not x.size() or not y.size() else Decimal(0))
    return True if off.err <= scale * _AGREE else None


Judge = Callable[[Ball, Ball, dict[str, object]], bool | None]


def over_points(a: Node, b: Node, judge: Judge) -> bool | None:
    """Ask the judge at points where both trees are defined, until it says no; it may keep a state.

    Whole numbers are few, and could be guessed: there all points are asked about, and which they
    are depends on the trees.

    Raises:
        TooLarge: if no point gives a value that can be worked out.
    """
    everything = symbols(a) | symbols(b)
    names = sorted(everything - CONSTANTS)
    digits = digits_of(a, b)
    if digits > MAX_DIGITS or len(names) > 12:
        return None
    whole = bool(names) and (_has_whole(a) or _has_whole(b))
    exact = bool(names) and not whole and (_alternates(a) or _alternates(b))
    seed = f"{a}{b}" if whole or exact else ",".join(names)
    probe = Probe(digits, "i" in everything or not names)
    state: dict[str, object] = {}
    far = reach(a, b) if names else None
    wanted = (POINTS if whole or exact else _FAR.stop if far else WANTED) if names else 1
    one_sided = bool(names) and differ_in_logs(a, b)
    valid, large = 0, False
    with localcontext(context_of(digits)):
        for at, point in enumerate(
            points(names, seed, whole or exact, POINTS if names else 1, far)
        ):
            try:
                verdict = _at_point(probe, a, b, point, judge, state, exact)
            except Outside:
                if one_sided and _is_defined(probe, a, point) != _is_defined(probe, b, point):
                    return False
                continue
            except TooLarge:
                large = True
                continue
            except (Undecided, DecimalException, MemoryError, OverflowError):
                if far and at in _FAR:
                    continue
                return None
            if not verdict:
                return verdict
            valid += 1
            if valid >= wanted:
                break
    if valid >= min(wanted, WANTED):
        return True if probe.proves else None
    if large and not valid:
        raise TooLarge("too large (or small) to work out")
    return None


def _is_defined(probe: Probe, node: Node, point: Mapping[str, Ball]) -> bool | None:
    try:
        probe.of(node, point)
    except Outside:
        return False
    except (TooLarge, Undecided, DecimalException):
        return None
    return True


def _at_point(
    probe: Probe, a: Node, b: Node, point: Mapping[str, Ball], judge: Judge,
    state: dict[str, object], exact: bool,
) -> bool | None:  # fmt: skip
    """What the judge says of the values at a point; exact ones, where they are asked for and known:
    the digits of (-3)^n hide all that is small beside it."""
    if exact and (values := _exact_at(a, b, point)) is not None:
        with localcontext(context_of(_EXACT_DIGITS)):
            return judge(_as_ball(values[0]), _as_ball(values[1]), state)
    return judge(probe.of(a, point), probe.of(b, point), state)


def _exact_at(a: Node, b: Node, point: Mapping[str, Ball]) -> tuple[Fraction, Fraction] | None:
    try:
        x, y = study(substituted(a, point)).value, study(substituted(b, point)).value
    except TooLarge:
        return None
    except Undefined as error:
        raise Outside(str(error)) from None
    return None if x is None or y is None else (x, y)


def _as_ball(value: Fraction) -> Ball:
    near = Decimal(value.numerator) / Decimal(value.denominator)
    return Ball(near, Decimal(0)) if value.denominator == 1 else balls.rounded(near, Decimal(0))
