"""Fixtures held against a rubric; failures that show the whole score."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rewardkit._escape import one_line
from rewardkit.errors import RewardKitError
from rewardkit.rubric import Rubric
from rewardkit.score import Score
from rewardkit.testing.expect import mismatches
from rewardkit.testing.fixtures import Fixture, Fixtures, load_fixtures

__all__ = ["Checker", "Failure", "Report", "check_fixtures"]


@dataclass(frozen=True)
class Failure:
    """A row that did not come out as expected.

    Attributes:
        id: the row's name.
        where: file and line.
        problems: one sentence for each expectation that was not met.
        scores: the row's score, and those of the rows it is ordered against, by id; empty where
            scoring itself failed.
    """

    id: str
    where: str
    problems: tuple[str, ...]
    scores: Mapping[str, Score] = field(default_factory=dict)

    def __str__(self) -> str:
        """What was expected, what was got, and how each score came about."""
        # The first line stands alone in pytest's summary, so it says the first problem.
        lines = [f"{self.id}: {self.problems[0]}", *(f"  {text}" for text in self.problems[1:])]
        lines.append(f"  at {self.where}")
        for name, score in self.scores.items():
            lines.append(f"  score of {name!r}:")
            lines.extend(f"    {line}" for line in score.explain().splitlines())
        return "\n".join(lines)


@dataclass(frozen=True)
class Report:
    """How a fixture file came out.

    Attributes:
        path: the file.
        passed: ids of the rows that came out as expected.
        failures: the others.
    """

    path: Path
    passed: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """True if every row came out as expected."""
        return not self.failures

    def __str__(self) -> str:
        """The failures in full, then the counts."""
        counts = f"{self.path}: {len(self.passed)} passed, {len(self.failures)} failed"
        return "\n\n".join([*map(str, self.failures), counts])


class Checker:
    """Checks rows of one file against one rubric; every row is scored once, when first needed.

    Args:
        fixtures: the file.
        rubric: what scores it; ``None``: the rubric that the file names.
        allow_code: let that rubric name functions in Python files.

    Raises:
        DataError: if the file names no rubric and none is given.
        SpecError: if the rubric that it names cannot be read.
    """

    def __init__(
        self, fixtures: Fixtures, rubric: Rubric | None = None, *, allow_code: bool = False
    ) -> None:
        self.fixtures = fixtures
        self.rubric = fixtures.rubric(allow_code=allow_code) if rubric is None else rubric
        self._scores: dict[str, Score | RewardKitError] = {}

    def check(self, row: Fixture) -> Failure | None:
        """What is wrong with a row, or ``None``.

        A reward that fails (raises, returns NaN, lacks a column) is a failure of the row.
        """
        others = (*row.expect.above, *row.expect.below)
        found = {name: self._score(name) for name in dict.fromkeys((row.id, *others))}
        errors = {name: got for name, got in found.items() if isinstance(got, RewardKitError)}
        scores = {name: got for name, got in found.items() if isinstance(got, Score)}
        where = f"{self.fixtures.path}:{row.line}"
        if errors:
            problems = tuple(self._error(name, error) for name, error in errors.items())
            return Failure(row.id, where, problems)
        problems = (*mismatches(row.expect, scores[row.id], row.approx), *_orders(row, scores))
        return Failure(row.id, where, problems, scores) if problems else None

    def _score(self, name: str) -> Score | RewardKitError:
        if name not in self._scores:
            row = self.fixtures.by_id[name]
            rows = [row] if row.group is None else self._group(row.group)
            ids = None if row.group is None else [row.group] * len(rows)
            try:
                scores = self.rubric.score_many([r.sample for r in rows], group_ids=ids)
                self._scores.update(zip((r.id for r in rows), scores, strict=True))
            except RewardKitError as error:
                self._scores.update(dict.fromkeys((r.id for r in rows), error))
        return self._scores[name]

    def _group(self, name: str) -> list[Fixture]:
        return [row for row in self.fixtures.rows if row.group == name]

    def _error(self, name: str, error: RewardKitError) -> str:
        lines = [f"{name!r} could not be scored: {one_line(str(error))}{_place(error)}"]
        needs_group = any(part.needs_group for part in self.rubric.parts.values())
        if needs_group and self.fixtures.by_id[name].group is None:
            lines.append('give the rows of one prompt the same "group" in the fixture file')
        return "; ".join(lines)


def check_fixtures(
    path: str | Path, rubric: Rubric | None = None, *, allow_code: bool = False
) -> Report:
    """Check a fixture file.

    Args:
        path: the file, ``.jsonl`` or ``.yaml``; see :mod:`rewardkit.testing.fixtures`.
        rubric: what scores it; ``None``: the rubric that the file names.
        allow_code: let that rubric name functions in Python files.

    Raises:
        DataError: if the file cannot be read or does not say what it must.
        SpecError: if the rubric that it names cannot be read.

    Example:
        ``assert check_fixtures("arithmetic.rewards.jsonl", rubric).ok``
    """
    checker = Checker(load_fixtures(path), rubric, allow_code=allow_code)
    rows = checker.fixtures.rows
    checked = [(row.id, checker.check(row)) for row in rows]
    passed = tuple(name for name, failure in checked if failure is None)
    return Report(Path(path), passed, tuple(failure for _, failure in checked if failure))


def _orders(row: Fixture, scores: Mapping[str, Score]) -> Iterator[str]:
    for other in row.expect.above:
        yield from _out_scores(row.id, other, scores, row.approx)
    for other in row.expect.below:
        yield from _out_scores(other, row.id, scores, row.approx)


def _out_scores(a: str, b: str, scores: Mapping[str, Score], approx: float) -> Iterator[str]:
    """Nothing if ``a`` has more than ``b``, by more than the tolerance of numbers."""
    high, low = scores[a].total, scores[b].total
    if high is None or low is None:
        without = a if high is None else b
        yield f"order: {a!r} must out-score {b!r}, but {without!r} is unscorable"
    elif not high - low > approx:
        yield f"order: {a!r} must out-score {b!r}, got {high!r} against {low!r}"


def _place(error: RewardKitError) -> str:
    """Where a user's function raised: the one line of its traceback that they need."""
    cause = error.__cause__
    frames = traceback.extract_tb(cause.__traceback__) if cause else []
    return f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""
