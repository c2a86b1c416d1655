"""The review of recorded fixtures: accepted when somebody says so, updated when the rubric changed.

A recorded row holds a snapshot. ``accept`` marks it as reviewed; ``update`` gives rows that no
longer come out as recorded the score that they have now, and marks them as unreviewed again, with
what they were before. Rows written by hand are never changed. Only the lines of changed rows are
written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardkit._files import whole_file
from rewardkit._near import meant
from rewardkit._rows import json_line, parse_json, read_text
from rewardkit.errors import DataError
from rewardkit.score import Score
from rewardkit.testing.check import Checker
from rewardkit.testing.recording import snapshot
from rewardkit.testing.row import Fixture

__all__ = ["Accepted", "Changed", "accept", "add_rows", "update"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """What :func:`accept` did: ids of the rows accepted, and of those refused since they fail."""

    accepted: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Changed:
    """A row that :func:`update` gave another snapshot: what it was, and the score it has now."""

    id: str
    was: Mapping[str, Any]
    score: Score


def accept(checker: Checker, ids: Sequence[str] = ()) -> Accepted:
    """Mark recorded rows as reviewed, under the rubric that is there.

    Args:
        checker: the file and the rubric.
        ids: which rows; all recorded ones if none are named.

    Raises:
        DataError: for an id that is no recorded row's, a file without any, and one that is not
            ``.jsonl``.
    """
    recorded = {row.id: row for row in checker.fixtures.rows if row.recorded is not None}
    if not recorded:
        raise DataError(
            f"{checker.fixtures.path} has no recorded rows: what a person wrote needs no accepting"
        )
    for name in ids:
        if name not in recorded:
            raise DataError(
                f"{checker.fixtures.path} has no recorded row {name!r}{meant(name, recorded)}"
            )
    chosen = [recorded[name] for name in dict.fromkeys(ids or recorded)]
    waiting = [row for row in chosen if not row.reviewed or checker.stale(row)]
    checker.score_all(waiting)
    refused = [row.id for row in waiting if _fails(checker, row)]
    done = [row for row in waiting if row.id not in refused]
    known = {"rubric": checker.rubric.fingerprint, "reviewed": True}

    def accepted(row: Row) -> Row:
        kept = {k: v for k, v in row["recorded"].items() if k != "was"}
        return {**row, "recorded": {**kept, **known}}

    _rewrite(checker.fixtures.path, {row.line: accepted for row in done})
    return Accepted(tuple(row.id for row in done), tuple(refused))


def update(checker: Checker) -> tuple[Changed, ...]:
    """Give recorded rows that fail the snapshot of their score now, to be reviewed again.

    Raises:
        DataError: for a file that is not ``.jsonl``.
    """
    recorded = [row for row in checker.fixtures.rows if row.recorded is not None]
    checker.score_all(recorded)
    changed = [
        Changed(row.id, _was(row), score)
        for row in recorded
        if _fails(checker, row) and isinstance(score := checker.score(row.id), Score)
    ]
    by_id = {change.id: change for change in changed}

    def changes(change: Changed) -> Callable[[Row], Row]:
        def updated(row: Row) -> Row:
            kept = {k: v for k, v in row["expect"].items() if k not in _SNAPSHOT}
            seen = {"rubric": checker.rubric.fingerprint, "reviewed": False, "was": change.was}
            now = {**snapshot(change.score), **kept}
            return {**row, "expect": now, "recorded": {**row["recorded"], **seen}}

        return updated

    rows = [row for row in checker.fixtures.rows if row.id in by_id]
    _rewrite(checker.fixtures.path, {row.line: changes(by_id[row.id]) for row in rows})
    return tuple(changed)


def add_rows(path: Path, rows: Sequence[Row], header: Row) -> None:
    """Add rows to the end of a ``.jsonl`` file, which is begun with ``header`` if it is not there.

    Raises:
        DataError: for a file that is not ``.jsonl``.
    """
    _check(path)
    before = read_text(path).rstrip("\n") + "\n" if path.exists() else json_line(header) + "\n"
    with whole_file(path) as out:
        out.write(before)
        out.writelines(json_line(row) + "\n" for row in rows)


_SNAPSHOT = ("total", "verdicts", "parts")


def _was(row: Fixture) -> dict[str, Any]:
    """What the row was when it was last accepted."""
    if row.recorded is not None and row.recorded.was is not None and not row.reviewed:
        return row.recorded.was
    expected = row.expect.model_dump(exclude_unset=True, mode="json")
    return {key: expected[key] for key in _SNAPSHOT if key in expected}


def _fails(checker: Checker, row: Fixture) -> bool:
    failure = checker.check(row)
    return failure is not None and not failure.unreviewed


def _check(path: Path) -> None:
    if path.suffix != ".jsonl":
        raise DataError(f"only .jsonl files are written, got {path}: YAML would lose its comments")


def _rewrite(path: Path, changes: Mapping[int, Callable[[Row], Row]]) -> None:
    """Change rows by their lines; every other line stays as it is, byte for byte."""
    if not changes:
        return
    _check(path)
    lines = read_text(path).split("\n")
    for number, change in changes.items():
        row = parse_json(lines[number - 1], f"{path}:{number}")
        lines[number - 1] = json_line(change(row))
    with whole_file(path) as out:
        out.write("\n".join(lines))
