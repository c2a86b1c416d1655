"""``rewardkit report``: what became of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["HELP", "add_arguments", "run"]

HELP = "summarise a run folder, and write its page report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run folder, and where the page goes."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("--html", type=Path, help="the page's file (default: RUN/report.html)")


def run(arguments: argparse.Namespace) -> int:
    """Print the summary and write the page."""
    from rewardkit.report import load_run, summary, write_html

    found = load_run(arguments.folder)
    print(summary(found))
    page = arguments.html or arguments.folder / "report.html"
    write_html(found, page)
    print(f"\npage   {page}")
    return 0
