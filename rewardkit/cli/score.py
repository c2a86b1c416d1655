"""``rewardkit score``: score the completions of a file."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from rewardkit._escape import one_line, safe_lines
from rewardkit._files import whole_file
from rewardkit.cli._columns import add_columns, add_group_by, columns_of, grouped
from rewardkit.cli._summary import Tally
from rewardkit.errors import UsageError
from rewardkit.rubric import Rubric

__all__ = ["HELP", "add_arguments", "run"]

HELP = "score the completions of a file, or of a run, with a rubric"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The rows, the rubric, and what to make of them."""
    parser.add_argument("rows", type=Path, help="a run folder, or rows: .jsonl, .json, .csv, ...")
    parser.add_argument("--rubric", type=Path, required=True, help="the rubric, YAML or JSON")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    parser.add_argument("--explain", action="store_true", help="explain the score of every row")
    parser.add_argument("--out", type=Path, help="write every row with its score to this .jsonl")
    parser.add_argument(
        "--resume", action="store_true",
        help="write --out as the scores come, and go on where an earlier such run broke off",
    )  # fmt: skip
    add_columns(parser)
    add_group_by(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, summarise, write. Rows are counted from 0, as in the file that is written.

    Raises:
        DataError: for rows that cannot be scored, naming the first of them.
        RewardError: if a function of the rubric fails.
    """
    from rewardkit.testing.judged import read_judged, score_rows
    from rewardkit.testing.scorefile import resumed, score_line

    if arguments.resume and (arguments.out is None or arguments.group_by is not None):
        raise UsageError("--resume goes with --out FILE, and not with --group-by")
    rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    read = read_judged(arguments.rows, columns=columns_of(arguments.columns))
    rows, groups = grouped(read, arguments.group_by)
    tally = Tally(rubric)
    whole = arguments.out is not None and not arguments.resume
    if arguments.resume:
        scores = resumed(arguments.out, rows, rubric)
    else:
        scores = score_rows(rubric, rows, groups)
    # The rows may come from the very file that is written.
    with whole_file(arguments.out) if whole else nullcontext() as out:
        for index, (row, score) in enumerate(zip(rows, scores, strict=True)):
            tally.add(score)
            if out is not None:
                out.write(score_line(index, row, score))
            if arguments.explain:
                print(f"row {index}: {one_line(row.sample.text, 100)}")
                print(safe_lines(score.explain()), end="\n\n")
    print(tally.text())
    if arguments.out:
        print(f"written to {arguments.out}")
    return 0
