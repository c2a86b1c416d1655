"""``rewardkit test``: check fixture files."""

from __future__ import annotations

import argparse
from pathlib import Path

from rewardkit._escape import safe_lines
from rewardkit.rubric import Rubric

__all__ = ["HELP", "add_arguments", "run"]

HELP = "check a rubric against fixture files; exit 1 if a row does not come out as expected"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fixture files, and how to read them."""
    parser.add_argument("fixtures", nargs="+", type=Path, help=".jsonl or .yaml fixture files")
    parser.add_argument("--rubric", type=Path, help="use this rubric, not the one a file names")
    parser.add_argument(
        "--allow-code", action="store_true", help="let rubrics name functions in Python files"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="name the rows that passed")


def run(arguments: argparse.Namespace) -> int:
    """0 if every row of every file came out as expected, else 1."""
    from rewardkit.testing.check import check_fixtures

    rubric = None
    if arguments.rubric is not None:
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    ok = True
    for path in arguments.fixtures:
        report = check_fixtures(path, rubric, allow_code=arguments.allow_code)
        if arguments.verbose:
            print("".join(f"ok    {name}\n" for name in report.passed), end="")
            print("".join(f"FAIL  {failure.id}\n" for failure in report.failures), end="")
        print(safe_lines(str(report)))
        ok = ok and report.ok
    return 0 if ok else 1
