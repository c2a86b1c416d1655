"""``rewardkit noise``: how often a verifier is wrong, and what that does to GRPO."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path

from rewardkit._files import whole_file
from rewardkit.rubric import Rubric

__all__ = ["HELP", "add_arguments", "run"]

HELP = "from fixtures that say the truth: a verifier's error rates, and what they do to GRPO"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Labelled fixtures, the size of a group, and what to write."""
    parser.add_argument("fixtures", type=Path, help="a fixture file whose rows hold a truth")
    parser.add_argument("--group-size", type=int, default=8, help="completions of a prompt (8)")
    parser.add_argument(
        "--pass-rate", type=float, nargs="+", metavar="P",
        help="of the policy on a prompt, from 0 to 1 (0.1 0.25 0.5 0.75 0.9)",
    )  # fmt: skip
    parser.add_argument("--rubric", type=Path, help="use this rubric, not the one the file names")
    parser.add_argument("--part", help="the part that a truth without a name is about")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    parser.add_argument("--html", type=Path, help="write a page with charts to this file")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the rates and the table; 0 whatever they are."""
    from rewardkit.testing.fixtures import load_fixtures
    from rewardkit.testing.noise import measure
    from rewardkit.testing.noise.show import PASS_RATES, budget, data, html, text

    rubric = None
    if arguments.rubric is not None:
        rubric = Rubric.load(arguments.rubric, allow_code=arguments.allow_code)
    # Opened before the rows are judged, so that a page which cannot be written is told at once.
    with whole_file(arguments.html) if arguments.html is not None else nullcontext() as page:
        found = measure(
            load_fixtures(arguments.fixtures), rubric, part=arguments.part,
            allow_code=arguments.allow_code,
        )  # fmt: skip
        rates = arguments.pass_rate or PASS_RATES
        budgets = [budget(noise, arguments.group_size, rates) for noise in found]
        if page is not None:
            page.write(html(arguments.fixtures.name, budgets))
    print(json.dumps(data(budgets), indent=2) if arguments.json else text(budgets))
    if arguments.html is not None and not arguments.json:
        print(f"\npage   {arguments.html}")
    return 0
