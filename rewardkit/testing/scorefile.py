"""Files of scores: one line per completion, with all that was judged, as a run writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rewardkit._rows import json_line
from rewardkit.errors import DataError, UsageError
from rewardkit.rubric import Rubric
from rewardkit.score import Score
from rewardkit.testing.judged import JudgedRow, read_judged, score_rows

__all__ = ["resumed", "score_line"]


def score_line(index: int, row: JudgedRow, score: Score) -> str:
    """One line of the file: what was judged, and its score."""
    sample = row.sample
    columns = {name: value for name, value in sample.columns.items() if name != "completion_ids"}
    ids = sample.columns.get("completion_ids")
    written = {
        "row": index,
        **row.origin,
        "prompt": sample.prompt,
        "completion": sample.completion,
        "answer": sample.answer,
        "columns": columns,
        **({} if ids is None else {"completion_ids": ids}),
        "score": score.to_dict(),
    }
    return json_line(written) + "\n"


def resumed(path: Path, rows: Sequence[JudgedRow], rubric: Rubric) -> Iterator[Score]:
    """The scores that a file holds already, then those of the remaining rows, written as they come.

    Raises:
        DataError: if the file holds scores of another rubric or of other rows: half of it would be
            the work of the one and half of the other.
        UsageError: if a part of the rubric sees whole groups, which may have been cut in two.
    """
    if any(part.needs_group for part in rubric.parts.values()):
        raise UsageError("a rubric with parts that see whole groups scores all rows at once")
    done = _done(path, rows, rubric)
    yield from done
    with path.open("a", encoding="utf-8") as out:
        rest = rows[len(done) :]
        for index, (row, score) in enumerate(zip(rest, score_rows(rubric, rest), strict=True)):
            out.write(score_line(len(done) + index, row, score))
            yield score


def _done(path: Path, rows: Sequence[JudgedRow], rubric: Rubric) -> list[Score]:
    if not path.exists() or not _whole(path):
        return []
    known = read_judged(path)
    if len(known) > len(rows):
        raise DataError(f"{path} holds {len(known)} scores, and there are {len(rows)} rows")
    scores = []
    for before, row in zip(known, rows, strict=False):
        if before.score is None or before.score.fingerprint != rubric.fingerprint:
            made = before.score.fingerprint if before.score else "none"
            raise DataError(
                f"{path}: {before.where} was scored by rubric {made}, not {rubric.fingerprint}: "
                f"it cannot be gone on with; write to another file, or delete it"
            )
        if before.digest != row.digest:
            raise DataError(
                f"{path}: {before.where} is not what {row.where} holds now: the scores are of "
                f"other data; write to another file, or delete it"
            )
        scores.append(before.score)
    return scores


def _whole(path: Path) -> bool:
    """Cut off a last line that was not written to its end; False if nothing is left."""
    text = path.read_bytes()
    end = text.rfind(b"\n") + 1
    if end < len(text):
        with path.open("r+b") as file:
            file.truncate(end)
    return end > 0
