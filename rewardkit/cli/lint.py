"""``rewardkit lint``: what can be seen wrong with a rubric, by itself and on data."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from rewardkit._escape import one_line
from rewardkit._rows import json_line
from rewardkit.cli._columns import add_columns, columns_of
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import DataError, RewardKitWarning, UsageError
from rewardkit.lint import Lint, lint
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample

__all__ = ["HELP", "add_arguments", "run"]

HELP = "say what is wrong with a rubric's design; exit 1 if there is a fault"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The rubric, rows to try it on, and how to tell."""
    parser.add_argument("rubric", type=Path, help="the rubric, YAML or JSON")
    parser.add_argument(
        "--data", help="rows; of those without a completion, honest ones are made of the gold"
    )
    add_columns(parser)
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 for notes too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 if there is no fault (with ``--strict``, nothing at all), else 1."""
    with warnings.catch_warnings():
        # They are listed below, each once.
        warnings.simplefilter("ignore", RewardKitWarning)
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
        found = [*lint(rubric), *_on_data(rubric, arguments)]
    if arguments.json:
        rows = [{"name": f.name, "level": f.level, "message": f.message} for f in found]
        print(json_line({"rubric": str(arguments.rubric), "found": rows}))
    else:
        for one in found:
            print(f"{one.level}  {one.name}  {one_line(one.message)}")
        faults = sum(one.level == "fault" for one in found)
        print(f"{faults} faults, {len(found) - faults} notes")
    return 1 if any(arguments.strict or one.level == "fault" for one in found) else 0


def _on_data(rubric: Rubric, arguments: argparse.Namespace) -> tuple[Lint, ...]:
    if arguments.data is None:
        return ()
    from rewardkit.testing.audit.lint_data import honest_samples, lint_scores

    config = DataConfig(path=arguments.data, columns=columns_of(arguments.columns))
    rows = load_rows(config)
    for index, row in enumerate(rows):
        try:
            rubric.check_columns(row)
        except UsageError as error:
            raise DataError(f"{arguments.data}: row {index}: {error}") from None
    if all(row.get("completion") is not None for row in rows):
        samples = [Sample.from_row(row) for row in rows]
    else:
        samples = honest_samples(rubric, rows[:32])
    if len(samples) < 2:
        raise UsageError(f"{arguments.data} has one completion: what varies needs two")
    group_ids = [str(sample.prompt) for sample in samples]
    scores = rubric.score_many(samples, group_ids=group_ids, on_error="abstain")
    return lint_scores(rubric, scores)
