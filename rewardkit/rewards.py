"""Rewards: what turns a verdict (or any function of the user's) into a finite number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from rewardkit.errors import RewardError, RubricError, brief
from rewardkit.sample import Aspect, Sample, aspect_by
from rewardkit.verdict import Verdict

if TYPE_CHECKING:
    from rewardkit.verifier import Verifier

__all__ = ["OnUnscorable", "Outcome", "Reward", "VerifierReward", "check_finite"]

OnUnscorable = Literal["abstain", "skip"] | float
"""What an unscorable part does to the total: ``"abstain"`` makes the total ``None``; ``"skip"``
leaves the part out and scales the others up to the same sum of absolute weights; a number is taken
as the part's value. Whatever the policy, a part that *failed* (it raised, overran, gave NaN) counts
towards the share of failures that stops a run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reward made of one sample, before weighting.

    ``value`` is ``None`` exactly when the verdict is unscorable; ``error`` is set when the reward
    itself failed, and the scoring decides whether that is raised or abstained from.
    """

    value: float | None
    verdict: Verdict | None = None
    seconds: float = 0.0
    error: RewardError | None = None


@dataclass(frozen=True, kw_only=True)
class Reward(ABC):
    """One part of a rubric.

    Attributes:
        weight: factor of the value in the total; 0 makes the part a metric, logged and not
            learned from.
        unscorable: what an unscorable outcome does to the total, see :data:`OnUnscorable`.

    Raises:
        RubricError: for a weight or stated value that is NaN or infinite.
    """

    weight: float = 1.0
    unscorable: OnUnscorable = "abstain"

    def __post_init__(self) -> None:
        check_finite("weight", self.weight)
        if self.unscorable not in ("abstain", "skip"):
            check_finite("unscorable (a stated value)", self.unscorable)

    @abstractmethod
    def outcomes(self, samples: Sequence[Sample], limit_s: float | None = None) -> list[Outcome]:
        """One outcome per sample, in order. ``limit_s``: seconds per sample, where no own limit."""

    async def aoutcomes(
        self, samples: Sequence[Sample], limit_s: float | None = None
    ) -> list[Outcome]:
        """:meth:`outcomes` for async code."""
        return self.outcomes(samples, limit_s)

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and greatest value before weighting, or ``None`` if unknown."""
        return None

    @property
    def columns(self) -> frozenset[str]:
        """Names of the columns without which this reward cannot run."""
        return frozenset()

    @property
    def aspect(self) -> Aspect:
        """What of a completion it is paid for: see :attr:`rewardkit.Verifier.aspect`."""
        return aspect_by(self.columns)

    @property
    def waits(self) -> bool:
        """True if running it waits for something, so that others may run meanwhile."""
        return False

    @property
    def needs_group(self) -> bool:
        """True if it must see all completions of one prompt at once."""
        return False

    @property
    def gives_verdicts(self) -> bool:
        """True if it is paid by verdicts, so that "how many were correct" has a meaning."""
        return False

    def environment(self) -> dict[str, Any]:
        """What the values depend on that no spec holds, such as what a sandbox confines here."""
        return {}

    def with_weight(self, weight: float) -> Self:
        """The same reward with another weight."""
        return replace(self, weight=weight)


@dataclass(frozen=True, kw_only=True)
class VerifierReward(Reward):
    """Pays by a verifier's verdict.

    Args:
        verifier: says whether the property holds.
        correct: value of a correct verdict.
        incorrect: value of an incorrect one.
        partial: pay an incorrect verdict with credit ``c`` the value
            ``incorrect + c * (correct - incorrect)``.
        values: value by the verdict's label; wins over all of the above.

    Example:
        ``MathVerifier().reward(correct=3.0, incorrect=-3.0)``
    """

    verifier: Verifier = field(kw_only=False)
    correct: float = field(default=1.0, kw_only=False)
    incorrect: float = field(default=0.0, kw_only=False)
    partial: bool = False
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("correct", self.correct)
        check_finite("incorrect", self.incorrect)
        for label, value in self.values.items():
            check_finite(f"values[{label!r}]", value)
            if self.verifier.labels and label not in self.verifier.labels:
                raise RubricError(
                    f"{type(self.verifier).__name__} never says {label!r}; its labels are: "
                    f"{', '.join(self.verifier.labels)}"
                )

    def outcomes(self, samples: Sequence[Sample], limit_s: float | None = None) -> list[Outcome]:
        return self._paid(self.verifier.verify_many(samples))

    async def aoutcomes(
        self, samples: Sequence[Sample], limit_s: float | None = None
    ) -> list[Outcome]:
        return self._paid(await self.verifier.averify_many(samples))

    def pay(self, verdict: Verdict) -> float | None:
        """The value of a verdict; ``None`` if it is unscorable."""
        if verdict.status == "unscorable":
            return None
        if verdict.label is not None and verdict.label in self.values:
            return self.values[verdict.label]
        if verdict.status == "correct":
            return self.correct
        if self.partial and verdict.credit is not None:
            return self.incorrect + float(verdict.credit) * (self.correct - self.incorrect)
        return self.incorrect

    @property
    def range(self) -> tuple[float, float]:
        reachable = (self.correct, self.incorrect, *self.values.values())
        return min(reachable), max(reachable)

    @property
    def columns(self) -> frozenset[str]:
        return self.verifier.columns

    @property
    def aspect(self) -> Aspect:
        return self.verifier.aspect

    @property
    def waits(self) -> bool:
        return self.verifier.blocking or self.verifier.is_async

    @property
    def gives_verdicts(self) -> bool:
        return True

    def environment(self) -> dict[str, Any]:
        return self.verifier.environment()

    def _paid(self, verdicts: Iterable[Verdict]) -> list[Outcome]:
        pay = self.pay
        return [Outcome(pay(v), v, v.evidence.seconds) for v in verdicts]


def check_finite(what: str, value: object) -> None:
    """Raises ``RubricError`` unless the value is a finite number (a bool is none)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        finite = number and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number that no float can hold
        finite = False
    if not finite:
        raise RubricError(f"{what} must be a finite number, got {brief(value)}")
