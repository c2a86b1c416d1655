"""Rewards that are numbers rather than verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from rewardkit.errors import RubricError
from rewardkit.rewards import Outcome, Reward, check_finite
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict

__all__ = ["TagCount"]


@dataclass(frozen=True, kw_only=True)
class TagCount(Reward):
    """Pays for each tag by itself, and takes off for text after the last one.

    Meant to lead a model to a format step by step. Pays for tags alone, whatever stands between
    them, and most for tags without any text: keep its sum well below what a right answer earns, or
    gate it behind :class:`~rewardkit.verifiers.TagFormat`, which refuses empty blocks.

    Args:
        tags: the tags; the last one named is the one after which text costs.
        each: value of each tag that is there.
        otherwise: value of each that is not.
        exactly_once: a tag is there if it occurs exactly once; else if it occurs at all.
        per_trailing_character: value of each character after the last occurrence of the last tag,
            whitespace at the end not counted.
        least: the value is never less; without it there is no least value if trailing text costs,
            and the part cannot stand behind a gate.

    Raises:
        RubricError: without tags, with an empty one, or with values that are not finite.

    Example:
        >>> TagCount(("<answer>", "</answer>")).value("<answer>4</answer>")
        0.25
    """

    tags: tuple[str, ...] = field(kw_only=False)
    each: float = 0.125
    otherwise: float = 0.0
    exactly_once: bool = True
    per_trailing_character: float = -0.001
    least: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.tags, str) or not self.tags or not all(self.tags):
            raise RubricError(f"tags must be a list of texts that are not empty, got {self.tags!r}")
        object.__setattr__(self, "tags", tuple(self.tags))  # a spec gives a list
        for name in ("each", "otherwise", "per_trailing_character"):
            check_finite(name, getattr(self, name))
        if self.least is not None:
            check_finite("least", self.least)

    def value(self, text: str) -> float:
        """What a text earns."""
        return self._paid(self._there(text), self._trailing(text))

    def outcomes(self, samples: Sequence[Sample], limit_s: float | None = None) -> list[Outcome]:
        return [self._outcome(sample.text) for sample in samples]

    @property
    def range(self) -> tuple[float, float] | None:
        ends = sorted((len(self.tags) * self.each, len(self.tags) * self.otherwise))
        if self.per_trailing_character > 0 or (self.per_trailing_character and self.least is None):
            return None
        low = ends[0] if not self.per_trailing_character else float(self.least or 0.0)
        least = low if self.least is None else max(low, self.least)
        return least, max(ends[1], least)

    def _outcome(self, text: str) -> Outcome:
        start = perf_counter()
        there, trailing = self._there(text), self._trailing(text)
        how = "exactly once" if self.exactly_once else "there"
        reason = f"{there} of {len(self.tags)} tags {how}, {trailing} characters after the last"
        # A verdict only so that the score explains itself; what is paid is the number.
        if there == len(self.tags) and not trailing:
            verdict = Verdict.correct(reason, rule="tag count")
        else:
            verdict = Verdict.incorrect(reason, rule="tag count")
        return Outcome(self._paid(there, trailing), verdict, perf_counter() - start)

    def _there(self, text: str) -> int:
        if self.exactly_once:
            return sum(text.count(tag) == 1 for tag in self.tags)
        return sum(tag in text for tag in self.tags)

    def _trailing(self, text: str) -> int:
        _, tag, after = text.rpartition(self.tags[-1])
        return len(after.rstrip()) if tag else 0

    def _paid(self, there: int, trailing: int) -> float:
        value = there * self.each + (len(self.tags) - there) * self.otherwise
        value += trailing * self.per_trailing_character
        return value if self.least is None else max(value, self.least)
