"""``rewardkit score``: score the completions of a file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rewardkit._escape import one_line, safe_lines
from rewardkit._files import whole_file
from rewardkit._rows import json_line
from rewardkit.cli._columns import add_columns, columns_of
from rewardkit.cli._summary import Tally
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import DataError, RewardError, UsageError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import Score

__all__ = ["HELP", "add_arguments", "run"]

HELP = "score the completions of a file with a rubric"

_CHUNK = 256
"""Rows scored at a time: enough for parts that wait to wait together, few enough to keep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The rows, the rubric, and what to make of them."""
    parser.add_argument("rows", type=Path, help="rows with a completion: .jsonl, .json, .csv, ...")
    parser.add_argument("--rubric", type=Path, required=True, help="the rubric, YAML or JSON")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    parser.add_argument("--explain", action="store_true", help="explain the score of every row")
    parser.add_argument("--out", type=Path, help="write every row with its score to this .jsonl")
    add_columns(parser)
    parser.add_argument(
        "--group-by", metavar="COLUMN", help="rows equal in this column share a prompt"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score, summarise, write. Rows are counted from 0, as in the file that is written.

    Raises:
        DataError: for rows that cannot be scored, naming the first of them.
        RewardError: if a function of the rubric fails.
    """
    rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    config = DataConfig(path=str(arguments.rows), columns=columns_of(arguments.columns))
    rows = load_rows(config, require=("completion",))
    samples = [_sample(rubric, row, index) for index, row in enumerate(rows)]
    tally = Tally(rubric)
    # The rows may come from the very file that is written.
    with whole_file(arguments.out) if arguments.out else nullcontext() as out:
        for index, score in enumerate(_scores(rubric, rows, samples, arguments.group_by)):
            tally.add(score)
            if out is not None:
                out.write(_written(index, samples[index], score))
            if arguments.explain:
                print(f"row {index}: {one_line(samples[index].text, 100)}")
                print(safe_lines(score.explain()), end="\n\n")
    print(tally.text())
    if arguments.out:
        print(f"written to {arguments.out}")
    return 0


def _sample(rubric: Rubric, row: Mapping[str, Any], index: int) -> Sample:
    if isinstance(row.get("columns"), Mapping) and "score" in row:
        # A row that a run or this command wrote: judged anew, by what was judged then.
        kept = {name: row.get(name) for name in ("prompt", "completion", "answer")}
        if row.get("completion_ids") is not None:  # a column too, which a run writes by itself
            kept["completion_ids"] = row["completion_ids"]
        row = {**row["columns"], **kept}
    try:
        rubric.check_columns(row)
        return Sample.from_row(row)
    except UsageError as error:
        raise DataError(f"row {index}: {error}") from None


def _scores(
    rubric: Rubric, rows: Sequence[Mapping[str, Any]], samples: Sequence[Sample], by: str | None
) -> Iterator[Score]:
    """Scores in the order of the rows, a chunk at a time; all at once where groups count."""
    if by is not None:
        yield from rubric.score_many(samples, group_ids=_groups(rows, by))
        return
    for start in range(0, len(samples), _CHUNK):
        chunk = samples[start : start + _CHUNK]
        try:
            scores = rubric.score_many(chunk)
        except RewardError as error:
            raise _located(rubric, chunk, start, error) from error
        yield from scores


def _groups(rows: Sequence[Mapping[str, Any]], by: str) -> list[str]:
    for index, row in enumerate(rows):
        if by not in row:
            raise DataError(f"row {index} has no column {by!r} to group by; it has: {[*row]}")
    return [json_line({"group": row[by]}) for row in rows]


def _located(
    rubric: Rubric, chunk: Sequence[Sample], start: int, error: RewardError
) -> RewardError:
    """The error with the row that causes it, if a row does so by itself."""
    for index, sample in enumerate(chunk):
        try:
            rubric.score_many([sample])
        except RewardError as alone:
            return RewardError(alone.part, f"{alone.problem} (row {start + index})")
    return error


def _written(index: int, sample: Sample, score: Score) -> str:
    """One line of the file: what was judged, and its score, as in the rollouts of a run."""
    row = {
        "row": index,
        "prompt": sample.prompt,
        "completion": sample.completion,
        "answer": sample.answer,
        "columns": sample.columns,
        "score": score.to_dict(),
    }
    return json_line(row) + "\n"
