"""``--columns OURS=THEIRS``, as several commands take it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rewardkit.errors import UsageError

__all__ = ["add_columns", "columns_of"]


def add_columns(parser: argparse.ArgumentParser) -> None:
    """The option itself."""
    parser.add_argument(
        "--columns", nargs="+", action="extend", default=[], metavar="OURS=THEIRS",
        help="names of columns: prompt=question completion=output",
    )  # fmt: skip


def columns_of(pairs: Sequence[str]) -> dict[str, str]:
    """Our names to theirs.

    Raises:
        UsageError: for what is no pair, and for a name given twice.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise UsageError(
                f"--columns takes pairs such as prompt=question, got {pair!r} "
                f"(the file of rows comes before the options)"
            )
        if ours in columns:
            raise UsageError(f"--columns maps {ours!r} twice")
        columns[ours] = theirs
    return columns
