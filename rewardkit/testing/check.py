"""Fixtures held against a rubric; failures that show the whole score."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardkit._escape import one_line
from rewardkit.errors import DataError, RewardKitError
from rewardkit.rubric import Rubric
from rewardkit.score import Score
from rewardkit.testing.expect import Mismatch, mismatches
from rewardkit.testing.failure import Failure, outcomes
from rewardkit.testing.fixtures import Fixtures, load_fixtures, problems_between
from rewardkit.testing.row import Fixture

__all__ = ["Checker", "Failure", "Report", "check_fixtures", "check_rows"]

_CHUNK = 256
"""Rows scored at a time: enough for parts that wait to wait together, few enough to keep."""


@dataclass(frozen=True)
class Report:
    """How fixtures came out.

    Attributes:
        path: the file.
        passed: ids of the rows that came out as expected.
        failures: rows that did not.
        unreviewed: recorded rows that come out as recorded, which nobody has accepted yet.
        stale: ids of rows among the passed that were accepted under a rubric of another
            fingerprint; their outcome is the same.
        fingerprint: of the rubric.
    """

    path: Path
    passed: tuple[str, ...]
    failures: tuple[Failure, ...]
    unreviewed: tuple[Failure, ...] = ()
    stale: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def ok(self) -> bool:
        """True if every row came out as expected and none waits to be reviewed."""
        return not (self.failures or self.unreviewed)

    def __str__(self) -> str:
        """The failures in full, then what waits for review, line by line, then the counts."""
        return "\n\n".join([*map(str, self.failures), *self.notes, self.counts])

    @property
    def notes(self) -> list[str]:
        """What waits for review, and what was accepted under another rubric; texts for people."""
        notes = []
        if self.unreviewed:
            notes.append("\n".join(row.message for row in self.unreviewed))
            notes.append(
                f"rows to review: {len(self.unreviewed)} (in full: rewardkit test -v); accept "
                f"them by: rewardkit record --accept {self.path} [ID ...]"
            )
        if self.stale:
            notes.append(
                f"note: {len(self.stale)} recorded rows were accepted under another rubric than "
                f"this one ({self.fingerprint}); they come out the same. To accept them anew: "
                f"rewardkit record --accept {self.path}"
            )
        return notes

    @property
    def counts(self) -> str:
        """One line."""
        waiting = f", {len(self.unreviewed)} unreviewed" if self.unreviewed else ""
        return f"{self.path}: {len(self.passed)} passed, {len(self.failures)} failed{waiting}"


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

        A reward that fails (raises, returns NaN, lacks a column) is a failure of the row, and so is
        a recorded row that nobody has reviewed.
        """
        others = (*row.expect.above, *row.expect.below)
        found = {name: self.score(name) for name in dict.fromkeys((row.id, *others))}
        errors = {name: got for name, got in found.items() if isinstance(got, RewardKitError)}
        scores = {name: got for name, got in found.items() if isinstance(got, Score)}
        where = f"{self.fixtures.path}:{row.line}" if row.line else str(self.fixtures.path)
        if errors:
            told = tuple(self._error(name, error) for name, error in errors.items())
            return Failure(row.id, where, told, sample=row.sample)
        problems = (*mismatches(row.expect, scores[row.id], row.approx), *_orders(row, scores))
        if problems:
            return Failure(row.id, where, problems, scores, row.sample)
        if row.reviewed:
            return None
        return Failure(row.id, where, (_waiting(row, scores[row.id]),), scores, row.sample, True)

    def stale(self, row: Fixture) -> bool:
        """Whether a recorded row was accepted under a rubric of another fingerprint."""
        return row.recorded is not None and row.recorded.rubric != self.rubric.fingerprint

    def report(self) -> Report:
        """How all rows come out; rows that only hold a truth are no tests."""
        rows = [row for row in self.fixtures.rows if row.is_test]
        self.score_all(rows)
        found = {row.id: self.check(row) for row in rows}
        passed = tuple(name for name, failure in found.items() if failure is None)
        failures = [failure for failure in found.values() if failure is not None]
        return Report(
            self.fixtures.path,
            passed,
            tuple(f for f in failures if not f.unreviewed),
            tuple(f for f in failures if f.unreviewed),
            tuple(row.id for row in rows if found[row.id] is None and self.stale(row)),
            self.rubric.fingerprint,
        )

    def score(self, name: str) -> Score | RewardKitError:
        """The score of a row by its id, or why there is none."""
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

    def score_all(self, rows: Sequence[Fixture]) -> None:
        """Score rows ahead, many at a time, so that parts that wait (code, services) wait together;
        what that fails for is left to :meth:`score`."""
        alone = [row for row in rows if row.group is None and row.id not in self._scores]
        for start in range(0, len(alone), _CHUNK):
            chunk = alone[start : start + _CHUNK]
            try:
                scores = self.rubric.score_many([row.sample for row in chunk])
            except RewardKitError:
                continue  # scored one by one, so that the row which fails is told
            self._scores.update(zip((row.id for row in chunk), scores, strict=True))

    def _group(self, name: str) -> list[Fixture]:
        return [row for row in self.fixtures.rows if row.group == name]

    def _error(self, name: str, error: RewardKitError) -> Mismatch:
        lines = [f"{name!r} could not be scored: {one_line(str(error))}{_place(error)}"]
        needs_group = any(part.needs_group for part in self.rubric.parts.values())
        if needs_group and self.fixtures.by_id[name].group is None:
            lines.append('give the rows of one prompt the same "group" in the fixture file')
        return Mismatch("; ".join(lines))


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
    return Checker(load_fixtures(path), rubric, allow_code=allow_code).report()


def check_rows(rows: Sequence[Fixture], rubric: Rubric) -> Report:
    """Check fixtures made in Python by :func:`~rewardkit.testing.fixture`.

    Raises:
        DataError: for ids given twice and orders that point nowhere.

    Example:
        >>> from rewardkit.testing import fixture
        >>> rubric = Rubric(short=lambda completion: float(len(completion) < 10))
        >>> check_rows([fixture("yes", completion="yes", expect={"total": 1.0})], rubric).ok
        True
    """
    return Checker(made_of(rows), rubric).report()


def made_of(rows: Sequence[Fixture]) -> Fixtures:
    """Fixtures that stand in no file. Raises ``DataError``."""
    for _, problem in problems_between(rows):
        raise DataError(problem)
    return Fixtures(Path("<fixtures>"), None, tuple(rows))


def _waiting(row: Fixture, score: Score) -> Mismatch:
    """Says what a recorded row comes to, and what it came to before it was updated."""
    was = row.recorded.was if row.recorded else None
    before = "" if was is None else f" (was {one_line(_told(was), 200)})"
    return Mismatch(f"unreviewed: {outcomes(score)}{before}")


def _told(was: Mapping[str, object]) -> str:
    total = was.get("total")
    verdicts = was.get("verdicts")
    told = [f"total {'none' if total is None else total}"]
    for name, verdict in verdicts.items() if isinstance(verdicts, Mapping) else ():
        status = verdict.get("status") if isinstance(verdict, Mapping) else verdict
        told.append(f"{name} {status}")
    return ", ".join(told)


def _orders(row: Fixture, scores: Mapping[str, Score]) -> Iterator[Mismatch]:
    for other in row.expect.above:
        yield from _out_scores(row.id, other, scores, row.approx)
    for other in row.expect.below:
        yield from _out_scores(other, row.id, scores, row.approx)


def _out_scores(a: str, b: str, scores: Mapping[str, Score], approx: float) -> Iterator[Mismatch]:
    """Nothing if ``a`` has more than ``b``, by more than the tolerance of numbers."""
    high, low = scores[a].total, scores[b].total
    if high is None or low is None:
        without = a if high is None else b
        yield Mismatch(f"order: {a!r} must out-score {b!r}, but {without!r} is unscorable")
    elif not high - low > approx:
        yield Mismatch(f"order: {a!r} must out-score {b!r}, got {high!r} against {low!r}")


def _place(error: RewardKitError) -> str:
    """Where a user's function raised: the one line of its traceback that they need."""
    cause = error.__cause__
    frames = traceback.extract_tb(cause.__traceback__) if cause else []
    return f" (at {frames[-1].filename}:{frames[-1].lineno})" if frames else ""
