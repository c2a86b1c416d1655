"""``rewardkit record``: make fixtures of real completions, and accept them."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any

from rewardkit._escape import one_line, safe_lines
from rewardkit.cli._columns import add_columns, add_group_by, columns_of, grouped
from rewardkit.errors import UsageError
from rewardkit.rubric import Rubric

__all__ = ["HELP", "add_arguments", "run"]

HELP = "make fixtures of a run's completions, to be reviewed; or accept such fixtures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to record, or what to accept."""
    parser.add_argument("rows", nargs="?", type=Path, help="a run folder, or rows with completions")
    parser.add_argument("--rubric", type=Path, help="what scores them (as the file names, if any)")
    parser.add_argument("-o", "--out", type=Path, help="the fixture file, *.rewards.jsonl")
    parser.add_argument(
        "--count", type=int, default=24, help="how many to pick (24); groups are not cut in two"
    )
    parser.add_argument(
        "--accept", nargs="+", metavar=("FILE", "ID"),
        help="mark recorded rows of FILE as reviewed: those named, or all",
    )  # fmt: skip
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    add_columns(parser)
    add_group_by(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record or accept; 1 if a row could not be accepted because it fails."""
    if (arguments.accept is None) == (arguments.rows is None):
        raise UsageError(
            "say what to record (rewardkit record RUN --rubric rubric.yaml -o new.rewards.jsonl) "
            "or what to accept (rewardkit record --accept new.rewards.jsonl)"
        )
    return _accept(arguments) if arguments.accept else _record(arguments)


def _accept(arguments: argparse.Namespace) -> int:
    from rewardkit.testing.accepting import accept
    from rewardkit.testing.check import Checker
    from rewardkit.testing.fixtures import load_fixtures

    path, *ids = arguments.accept
    fixtures = load_fixtures(path)
    rubric = None
    if arguments.rubric is not None:
        if fixtures.header is not None:
            raise UsageError(f"{path} names the rubric that it is held against: leave out --rubric")
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    checker = Checker(fixtures, rubric, allow_code=arguments.allow_code)
    done = accept(checker, ids)
    for name in done.accepted:
        print(f"accepted  {name}")
    for name in done.refused:
        print(safe_lines(f"FAILS     {checker.check(checker.fixtures.by_id[name])}"))
    counts = f"{path}: {len(done.accepted)} accepted"
    if done.refused:
        counts += (
            f", {len(done.refused)} not, for they do not come out as recorded: mend the rubric, "
            f"or take their scores as they are now by rewardkit test --update"
        )
    print(counts)
    return 1 if done.refused else 0


def _record(arguments: argparse.Namespace) -> int:
    from rewardkit.testing.accepting import add_rows
    from rewardkit.testing.judged import read_judged
    from rewardkit.testing.recording import record

    path = arguments.out
    if path is None or not path.name.endswith(".rewards.jsonl"):
        raise UsageError("say where the fixtures go: -o NAME.rewards.jsonl")
    if arguments.count < 1:
        raise UsageError(f"--count is at least 1, got {arguments.count}")
    rubric, known = _rubric(arguments)
    read = read_judged(arguments.rows, columns=columns_of(arguments.columns))
    rows, groups = grouped(read, arguments.group_by)
    new = record(rows, rubric, arguments.count, known, groups)
    header = {}
    if not path.exists():
        header = {"rubric": os.path.relpath(arguments.rubric, path.parent)}
    add_rows(path, new, header)
    _tell(new, len(rows), path)
    return 0


def _rubric(arguments: argparse.Namespace) -> tuple[Rubric, set[str]]:
    """The rubric, and the contents that the file has already."""
    from rewardkit.testing.fixtures import load_fixtures
    from rewardkit.testing.recording import content_of

    given = None
    if arguments.rubric is not None:
        given = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    if not arguments.out.exists():
        if given is None:
            raise UsageError("say what scores the completions: --rubric rubric.yaml")
        return given, set()
    fixtures = load_fixtures(arguments.out)
    rubric = fixtures.rubric(allow_code=arguments.allow_code)
    if given is not None and given.fingerprint != rubric.fingerprint:
        raise UsageError(
            f"{arguments.out} is held against another rubric ({rubric.fingerprint}) than "
            f"{arguments.rubric} ({given.fingerprint}): record into a file of its own"
        )
    return rubric, {content_of(row.sample) for row in fixtures.rows}


def _tell(new: list[dict[str, Any]], rows: int, path: Path) -> None:
    for row in new:
        print(f"{row['id']:<34}  {one_line(row['recorded']['why'], 110)}")
    faults = Counter(row["expect"]["total"] is None for row in new)
    print(f"\n{path}: {len(new)} of {rows} completions recorded, {faults[True]} of them unscorable")
    print(f"look at them: rewardkit test -v {path}")
    print(f"accept them:  rewardkit record --accept {path} [ID ...]")
