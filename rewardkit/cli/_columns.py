"""Options on the columns of rows that several commands take: ``--columns`` and ``--group-by``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rewardkit._rows import json_line
from rewardkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from rewardkit.testing.judged import JudgedRow

__all__ = ["add_columns", "add_group_by", "columns_of", "grouped"]


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


def add_group_by(parser: argparse.ArgumentParser) -> None:
    """The option itself."""
    parser.add_argument(
        "--group-by", metavar="COLUMN", help="rows equal in this column share a prompt"
    )


def grouped(rows: Sequence[JudgedRow], by: str | None) -> tuple[list[JudgedRow], list[str] | None]:
    """The rows, noting their group if they did not, and the group of each (``None`` without one).

    Raises:
        DataError: for a row without that column.
    """
    if by is None:
        return list(rows), None
    for index, row in enumerate(rows):
        if by not in row.row:
            raise DataError(f"row {index} has no column {by!r} to group by; it has: {[*row.row]}")
    # Noted, so that the file of scores can be scored again by another rubric.
    noted = [
        row if row.group is not None
        else replace(row, origin={**row.origin, "group_id": row.row[by]})
        for row in rows
    ]  # fmt: skip
    return noted, [json_line({"group": row.row[by]}) for row in rows]
