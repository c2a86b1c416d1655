"""How often verdicts are wrong, counted on rows whose truth is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rewardkit._near import meant
from rewardkit.errors import DataError, RewardKitError
from rewardkit.rubric import Rubric
from rewardkit.testing.check import Checker
from rewardkit.testing.expect import outcome
from rewardkit.testing.fixtures import Fixtures
from rewardkit.testing.row import Fixture, Truth

__all__ = ["PartNoise", "Rate", "measure", "wilson"]

Z = 1.959963984540054
"""The normal quantile of an interval that covers 95%."""


def wilson(errors: int, of: int, z: float = Z) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), within [0, 1].

    Unlike the normal approximation it is no point where no error was seen: of 0 errors in 50 rows
    the rate may well be 7%. Of no rows at all it is (0, 1).

    Example:
        >>> [round(end, 3) for end in wilson(0, 50)]
        [0.0, 0.071]
    """
    if not 0 <= errors <= of:
        raise ValueError(f"{errors} errors of {of} rows")
    if of == 0:
        return 0.0, 1.0
    share, weight = errors / of, z * z / of
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / of + weight / (4 * of)) / (1 + weight)
    # At the ends rounding would leave 1e-18 where the formula gives 0.
    low = 0.0 if errors == 0 else max(0.0, middle - half)
    high = 1.0 if errors == of else min(1.0, middle + half)
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors among rows.

    Attributes:
        errors: rows judged wrongly.
        of: rows that could have been.
        ids: which rows were.
    """

    errors: int
    of: int
    ids: tuple[str, ...] = ()

    @property
    def value(self) -> float | None:
        """The share, ``None`` where there was no row."""
        return self.errors / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval, by :func:`wilson`."""
        return wilson(self.errors, self.of)


@dataclass(frozen=True, slots=True)
class PartNoise:
    """How one part judged the rows that say the truth about it.

    Attributes:
        part: its name.
        false_positive: rows that are incorrect and were judged correct.
        false_negative: rows that are correct and were judged incorrect.
        unscorable: rows that could not be judged, by fault; neither right nor wrong.
        gated: rows for which the part was not asked, behind a closed gate.
    """

    part: str
    false_positive: Rate
    false_negative: Rate
    unscorable: Mapping[str, int] = field(default_factory=dict)
    gated: int = 0


def measure(
    fixtures: Fixtures, rubric: Rubric | None = None, *, part: str | None = None,
    allow_code: bool = False,
) -> list[PartNoise]:  # fmt: skip
    """False positives and negatives of every part that some row says the truth about.

    Args:
        fixtures: rows with a ``truth``; the others are left out.
        rubric: what judges; ``None``: the rubric that the file names.
        part: the part that a truth without a name is about; needed where several give verdicts.
        allow_code: let the file's rubric name functions in Python files.

    Raises:
        DataError: if no row says a truth, or one (or ``part``) is about a part that gives no
            verdicts.
        RewardKitError: if a row cannot be scored, since a function of the rubric fails.
    """
    checker = Checker(fixtures, rubric, allow_code=allow_code)
    labelled = [row for row in fixtures.rows if row.truth is not None]
    if not labelled:
        raise DataError(
            f"no row of {fixtures.path} says how it really is: add "
            f'"truth": "correct" (or "incorrect", or by part {{"answer": "correct"}}) to its rows'
        )
    checker.score_all(labelled)
    judging = [name for name, reward in checker.rubric.parts.items() if reward.gives_verdicts]
    if part is not None and part not in judging:
        raise DataError(
            f"no part {part!r} gives verdicts; those that do are: {', '.join(judging) or 'none'}"
            f"{meant(part, judging)}"
        )
    seen: dict[str, list[tuple[Fixture, Truth, str, str]]] = {}
    for row in labelled:
        score = checker.score(row.id)
        if isinstance(score, RewardKitError):
            raise score
        for name, truth in _truths(row, part, judging, fixtures):
            came = outcome(score[name])
            seen.setdefault(name, []).append((row, truth, came, score[name].fault or ""))
    return [_counted(name, seen[name]) for name in judging if name in seen]


def _truths(
    row: Fixture, part: str | None, judging: Sequence[str], fixtures: Fixtures
) -> Iterator[tuple[str, Truth]]:
    where = f"{fixtures.path}:{row.line}"
    truth = row.truth
    if isinstance(truth, str):
        if part is None and len(judging) != 1:
            raise DataError(
                f"{where}: a truth about which part? Say --part NAME, or write it by part, as in "
                f'{{"answer": "correct"}}; parts that give verdicts: {", ".join(judging) or "none"}'
            )
        truth = {part or judging[0]: truth}
    for name, each in (truth or {}).items():
        if name not in judging:
            raise DataError(
                f"{where}: no part {name!r} gives verdicts; those that do are: "
                f"{', '.join(judging) or 'none'}{meant(name, judging)}"
            )
        yield name, each


def _counted(name: str, seen: Sequence[tuple[Fixture, Truth, str, str]]) -> PartNoise:
    def rate(truth: Truth) -> Rate:
        mine = [(row, came) for row, t, came, _ in seen if t == truth]
        judged = [(row, came) for row, came in mine if came in ("correct", "incorrect")]
        wrong = tuple(row.id for row, came in judged if came != truth)
        return Rate(len(wrong), len(judged), wrong)

    faults = Counter(fault for *_, came, fault in seen if came == "unscorable")
    gated = sum(came == "gated" for *_, came, _ in seen)
    return PartNoise(name, rate("incorrect"), rate("correct"), dict(faults), gated)
