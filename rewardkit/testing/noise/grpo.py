"""What wrong verdicts do to the advantages of GRPO: exact, by adding up every group there can be.

A group has ``n`` completions, each of them truly correct with probability ``p`` (the policy's pass
rate on the prompt), all independent. The verifier takes a wrong one for correct with the
false-positive rate and a correct one for wrong with the false-negative rate. So a group is three
numbers: how many are truly correct (binomial in ``n`` and ``p``), how many of these are missed, and
how many of the others are let through (binomial again). Advantages are those of the trainer:
``(r - mean) / (std + 1e-4)``, ddof 1, of rewards 1 and 0 (arXiv 2402.03300).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rewardkit.errors import UsageError

__all__ = ["Effect", "effect"]

EPSILON = 1e-4
"""Added to the standard deviation, as in the trainer and in TRL."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What wrong verdicts do to groups of one prompt.

    Attributes:
        pass_rate: probability that a completion is truly correct.
        group_size: completions in a group.
        false_positive: probability that a wrong completion is judged correct.
        false_negative: probability that a correct one is judged incorrect.
        touched: share of groups with at least one wrong verdict.
        flipped: share of groups in which some wrong completion out-scores some correct one.
        error: expected error of an advantage, ``E |observed - true|``, mean over completions.
        size: expected size of a true advantage, ``E |true|``: what ``error`` compares with.
        kept: ``E[observed * true] / E[true ** 2]``: the share of the true signal that is left in
            the update; below 0 the policy is taught the opposite. ``None`` where no group can
            have a signal (pass rate 0 or 1, groups of one).
        lost: share of groups with a signal that the verifier leaves without any.
        invented: share of groups without a signal in which it makes one up.
    """

    pass_rate: float
    group_size: int
    false_positive: float
    false_negative: float
    touched: float
    flipped: float
    error: float
    size: float
    kept: float | None
    lost: float
    invented: float


def effect(
    pass_rate: float, group_size: int, false_positive: float, false_negative: float
) -> Effect:
    """What verdicts that are wrong at these rates do to groups of a size.

    Args:
        pass_rate: of the policy on a prompt, in [0, 1].
        group_size: completions of a prompt, at least 1.
        false_positive: rate among wrong completions, in [0, 1].
        false_negative: rate among correct completions, in [0, 1].

    Raises:
        UsageError: for a rate outside of [0, 1] or a group without completions.

    Example:
        >>> round(effect(0.5, 8, false_positive=0.1, false_negative=0.1).kept, 1)
        0.8
    """
    for name, rate in (("pass_rate", pass_rate), ("false_positive", false_positive),
                       ("false_negative", false_negative)):  # fmt: skip
        if not 0.0 <= rate <= 1.0:
            raise UsageError(f"{name} is a share from 0 to 1, got {rate}")
    if group_size < 1:
        raise UsageError(f"group_size is at least 1, got {group_size}")
    weights = _binomial(group_size, pass_rate)
    by_correct = _by_correct(group_size, false_positive, false_negative)
    means = _mixed(zip(weights, by_correct, strict=True))
    kept = means.product / means.square if means.square else None
    return Effect(
        pass_rate, group_size, false_positive, false_negative,
        means.touched, means.flipped, means.error, means.size, kept, means.lost, means.invented,
    )  # fmt: skip


class _Means(NamedTuple):
    """Means over groups; ``product`` and ``square`` are those of advantages, over completions."""

    touched: float
    flipped: float
    error: float
    size: float
    product: float
    square: float
    lost: float
    invented: float


@lru_cache(maxsize=64)
def _by_correct(n: int, positive: float, negative: float) -> tuple[_Means, ...]:
    """Means over groups of ``n`` with 0, 1, ... ``n`` truly correct: no pass rate in them yet."""
    return tuple(_given(k, n, positive, negative) for k in range(n + 1))


def _given(k: int, n: int, positive: float, negative: float) -> _Means:
    """Means over groups of ``n`` with ``k`` truly correct, over all the ways to misjudge them."""
    missed, passed = _binomial(k, negative), _binomial(n - k, positive)
    cases = [
        (x * y, _group(k, n, b, c))
        for b, x in enumerate(missed)
        for c, y in enumerate(passed)
        if x * y > 0.0
    ]
    return _mixed(cases)


def _mixed(cases: Iterable[tuple[float, _Means]]) -> _Means:
    """Means over cases of which each has a probability."""
    weighted = [[w * value for value in means] for w, means in cases]
    return _Means(*(math.fsum(column) for column in zip(*weighted, strict=True)))


def _group(k: int, n: int, missed: int, passed: int) -> _Means:
    """One group: ``k`` of ``n`` correct, ``missed`` of these and ``passed`` others misjudged."""
    seen = k - missed + passed
    (right, wrong), (up, down) = _advantages(k, n), _advantages(seen, n)
    kinds = (  # how many, their true advantage, the one they get
        (k - missed, right, up),
        (missed, right, down),
        (passed, wrong, up),
        (n - k - passed, wrong, down),
    )
    signal, taught = 0 < k < n, 0 < seen < n
    return _Means(
        float(missed + passed > 0),
        float(missed > 0 and passed > 0),
        sum(m * abs(got - true) for m, true, got in kinds) / n,
        sum(m * abs(true) for m, true, _ in kinds) / n,
        sum(m * got * true for m, true, got in kinds) / n,
        sum(m * true * true for m, true, _ in kinds) / n,
        float(signal and not taught),
        float(taught and not signal),
    )


def _advantages(k: int, n: int) -> tuple[float, float]:
    """Advantages of reward 1 and of reward 0 in a group with ``k`` ones."""
    if k in (0, n):
        return 0.0, 0.0
    mean = k / n
    scale = math.sqrt(k * (n - k) / (n * (n - 1))) + EPSILON
    return (1.0 - mean) / scale, -mean / scale


def _binomial(n: int, p: float) -> list[float]:
    """Probabilities of 0, 1, ... ``n`` successes."""
    return [math.comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(n + 1)]
