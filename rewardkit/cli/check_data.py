"""``rewardkit check-data``: which rows cannot be judged, before a run meets them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewardkit._rows import json_line
from rewardkit.cli._columns import add_columns, columns_of
from rewardkit.cli._golds import GoldReport, Source, problems_in
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import ConfigError, SpecError, UsageError, brief
from rewardkit.rewards import VerifierReward
from rewardkit.rubric import Rubric
from rewardkit.spec import read_data
from rewardkit.verifier import Verifier

__all__ = ["HELP", "add_arguments", "run"]

HELP = "list the rows whose gold cannot be judged; exit 1 if there are any"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The rows, who judges them, and how to tell."""
    parser.add_argument(
        "rows", type=Path,
        help="rows: .jsonl, .json, .csv, ...; or a run's configuration (.yaml), with its rubric",
    )  # fmt: skip
    parser.add_argument("--rubric", type=Path, help="the rubric, YAML or JSON")
    parser.add_argument("--verifier", metavar="NAME", help='one verifier by its name, as "math"')
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    add_columns(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, with every row")
    parser.add_argument(
        "--show", type=int, default=20, metavar="N", help="list at most N rows (default: 20)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 if every gold can be judged, else 1. Rows are counted from 0.

    Raises:
        DataError: for rows that are not there or lack a column.
        UsageError: where nothing in the rubric judges by a gold.
    """
    rubric, sources = _loaded(arguments)
    verifiers = _verifiers(rubric)
    problems = [problem for source in sources for problem in problems_in(source, verifiers)]
    report = GoldReport(rubric, verifiers, sources, problems)
    print(json_line(report.data()) if arguments.json else report.text(arguments.show))
    return 1 if problems else 0


def _loaded(arguments: argparse.Namespace) -> tuple[Rubric, list[Source]]:
    columns = columns_of(arguments.columns)
    if arguments.rows.suffix.lower() in (".yaml", ".yml"):
        if columns or arguments.verifier or arguments.rubric:
            raise UsageError(
                f"{arguments.rows} is a run's configuration, which names its rubric and its "
                f"columns: leave out --rubric, --verifier and --columns"
            )
        return _of_a_run(arguments.rows, arguments.allow_code)
    if (arguments.rubric is None) == (arguments.verifier is None):
        raise UsageError("say who judges: --rubric rubric.yaml, or --verifier math")
    if arguments.rubric is not None:
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    else:
        rubric = _alone(arguments.verifier, arguments.allow_code)
    rows = load_rows(DataConfig(path=str(arguments.rows), columns=columns))
    return rubric, [Source(str(arguments.rows), rows)]


def _alone(name: str, allow_code: bool) -> Rubric:
    """A rubric of one verifier with its defaults."""
    try:
        return Rubric.from_spec({"parts": {name: {"verifier": name}}}, allow_code=allow_code)
    except UsageError as error:
        if "unknown verifier" in str(error):
            raise
        raise SpecError(
            f"--verifier {name} takes its defaults, and cannot be made of them: {error}. "
            f"Write a rubric with its arguments, and give that: --rubric rubric.yaml"
        ) from None


def _of_a_run(path: Path, allow_code: bool) -> tuple[Rubric, list[Source]]:
    """The rubric and the rows as ``rewardkit train`` would read them."""
    values = read_data(path)
    if not {"rubric", "data"} <= values.keys():
        raise ConfigError(
            f"{path} is no run's configuration: it needs the keys rubric and data. "
            f"Rows are in .jsonl, .json, .csv or .parquet files"
        )
    start = Path(values.get("relative_to", path.parent))
    spec = values["rubric"]
    if isinstance(spec, str):
        rubric = Rubric.load(start / spec, allow_code=allow_code)
    elif not isinstance(spec, Mapping):
        raise ConfigError(f"rubric is a file's path, or the rubric itself, got {brief(spec)}")
    else:
        rubric = Rubric.from_spec(spec, allow_code=start if allow_code else False)
    named = {name: values[name] for name in ("data", "eval_data") if values.get(name) is not None}
    return rubric, [Source(name, _rows_of(name, value, start)) for name, value in named.items()]


def _rows_of(name: str, values: Any, start: Path) -> Sequence[Mapping[str, Any]]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} holds keys such as path and columns, got {brief(values)}")
    config = DataConfig(**values)
    if config.shuffle_seed is not None:
        # A row's number must lead to it in the file, so all of them are looked at, in their order.
        config = config.model_copy(update={"shuffle_seed": None, "limit": None})
    return load_rows(config, folder=start)


def _verifiers(rubric: Rubric) -> dict[str, Verifier]:
    """The verifiers of a rubric, by the part. Raises ``UsageError`` where there is none."""
    found = {
        name: reward.verifier
        for name, reward in rubric.parts.items()
        if isinstance(reward, VerifierReward)
    }
    if not found:
        raise UsageError(
            f"no part of this rubric is a verifier, and only verifiers can tell about a gold; "
            f"its parts are: {', '.join(rubric.parts)}"
        )
    return found
