"""``rewardkit test``: check fixture files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rewardkit._escape import safe_lines
from rewardkit.errors import UsageError
from rewardkit.rubric import Rubric

if TYPE_CHECKING:
    from rewardkit.testing.check import Checker
    from rewardkit.testing.failure import Sign

__all__ = ["HELP", "add_arguments", "run"]

HELP = "check a rubric against fixture files; exit 1 if a row does not come out as expected"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fixture files, and how to read them."""
    parser.add_argument("fixtures", nargs="+", type=Path, help=".jsonl or .yaml fixture files")
    parser.add_argument("--rubric", type=Path, help="use this rubric, not the one a file names")
    parser.add_argument(
        "--allow-code", action="store_true", help="let rubrics name functions in Python files"
    )
    parser.add_argument(
        "--update", action="store_true",
        help="give recorded rows that fail the score they have now, to be reviewed again",
    )  # fmt: skip
    parser.add_argument(
        "-v", "--verbose", action="store_true",
        help="name the rows that passed, and show those to review in full",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 if every row of every file came out as expected and was reviewed, else 1."""
    from rewardkit.testing.check import Checker
    from rewardkit.testing.fixtures import load_fixtures

    rubric = None
    if arguments.rubric is not None:
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    ok = True
    for path in arguments.fixtures:
        fixtures = load_fixtures(path)
        if arguments.update and rubric is not None and fixtures.header is not None:
            raise UsageError(
                f"{path} names its rubric, and --update writes down the scores of that one: "
                f"leave out --rubric"
            )
        checker = Checker(fixtures, rubric, allow_code=arguments.allow_code)
        if arguments.update:
            checker = _updated(checker, arguments.allow_code)
        report = checker.report()
        if arguments.verbose:
            print("".join(f"ok    {name}\n" for name in report.passed), end="")
            print("".join(f"FAIL  {failure.id}\n" for failure in report.failures), end="")
        shown = [*report.failures, *(report.unreviewed if arguments.verbose else ())]
        for failure in shown:
            print("\n".join(_painted(line, sign) for line, sign in failure.lines()), end="\n\n")
        print(safe_lines("\n\n".join([*report.notes, report.counts])))
        ok = ok and report.ok
    return 0 if ok else 1


def _painted(line: str, sign: Sign) -> str:
    """A line of a failure: expected in green, got in red, where a terminal reads along."""
    safe = safe_lines(line)
    if sign == " " or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return safe
    return f"\x1b[{32 if sign == '-' else 31}m{safe}\x1b[0m"


def _updated(checker: Checker, allow_code: bool) -> Checker:
    """The checker of the file as it is after the update."""
    from rewardkit.testing.accepting import update
    from rewardkit.testing.check import Checker
    from rewardkit.testing.fixtures import load_fixtures

    changed = update(checker)
    print(f"{checker.fixtures.path}: {len(changed)} recorded rows updated")
    return Checker(load_fixtures(checker.fixtures.path), checker.rubric, allow_code=allow_code)
