"""``rewardkit diff``: what changed between two scorings of the same completions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rewardkit._escape import one_line, safe_lines
from rewardkit._rows import json_line
from rewardkit.errors import UsageError
from rewardkit.rubric import Rubric

if TYPE_CHECKING:
    from rewardkit.testing.differing import Diff, RowChange

__all__ = ["HELP", "add_arguments", "run", "text"]

HELP = "list which scores changed between two rubrics, by part and rule; exit 1 if any did"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two scorings, or one and a rubric."""
    parser.add_argument("old", type=Path, help="a run folder, or a file that score --out wrote")
    parser.add_argument("new", type=Path, nargs="?", help="the same completions, scored otherwise")
    parser.add_argument("--rubric", type=Path, help="score the old completions anew with this")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the rubric name functions in Python files"
    )
    parser.add_argument("--common", action="store_true", help="compare the rows that are in both")
    parser.add_argument(
        "--tolerance", type=float, default=1e-9, help="how far numbers may differ (1e-9)"
    )
    parser.add_argument("--show", type=int, default=1, help="examples of each change (1)")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """0 if nothing changed, 1 if something did (2: they cannot be compared)."""
    from rewardkit.testing.differing import diff, rescored
    from rewardkit.testing.judged import read_judged

    if (arguments.new is None) == (arguments.rubric is None):
        raise UsageError(
            "say what to compare with: another file of scores, or --rubric new.yaml to score the "
            "same completions anew"
        )
    if not arguments.tolerance >= 0:
        raise UsageError(f"--tolerance is at least 0, got {arguments.tolerance}")
    old = read_judged(arguments.old)
    if arguments.new is not None:
        new = read_judged(arguments.new)
    else:
        new = rescored(old, Rubric.load(arguments.rubric, allow_code=arguments.allow_code))
    found = diff(old, new, common=arguments.common, tolerance=arguments.tolerance)
    print(json_line(found.to_dict()) if arguments.json else text(found, max(0, arguments.show)))
    return 1 if found.changes else 0


def text(diff: Diff, show: int) -> str:
    """What changed, grouped by part and rule, with examples that explain both scores."""
    return safe_lines("\n".join([*_head(diff), *_groups(diff, show)]))


def _head(diff: Diff) -> Iterator[str]:
    same = diff.compared - len(diff.changes)
    yield f"old  rubric {diff.old.fingerprint}  {diff.old.rows} rows"
    yield f"new  rubric {diff.new.fingerprint}  {diff.new.rows} rows"
    kinds = ", ".join(f"{kind} {count}" for kind, count in diff.kinds.items())
    yield f"{len(diff.changes)} rows differ{f' ({kinds})' if kinds else ''}, {same} are the same"
    if diff.old.mean is not None and diff.new.mean is not None:
        yield f"mean total {diff.old.mean:+.4g} → {diff.new.mean:+.4g} (rows scored by both)"
    for which, side, other in (("old", diff.old, diff.new), ("new", diff.new, diff.old)):
        only = [name for name in side.parts if name not in other.parts]
        if only:
            yield f"parts only in the {which} rubric: {', '.join(map(one_line, only))}"
    if diff.changes and diff.old.fingerprint == diff.new.fingerprint:
        yield (
            "the rubric is the same, so its scores are not repeatable: a part of it depends on "
            "chance, on time, on a service or on a file"
        )


def _groups(diff: Diff, show: int) -> Iterator[str]:
    for part, rows in diff.groups:
        yield ""
        yield f"{len(rows)} × {one_line(part.part)}: {one_line(part.was)} → {one_line(part.now)}"
        for change in rows[:show]:
            yield from _example(change)
    alone = [change for change in diff.changes if not change.parts]
    if alone:
        yield ""
        yield f"{len(alone)} × the total alone (parts that came or went, gates, caps)"
        for change in alone[:show]:
            yield from _example(change)


def _example(change: RowChange) -> Iterator[str]:
    yield f"  {one_line(change.where)}: {one_line(change.row.sample.text, 120)}"
    for name, score in (("old", change.old), ("new", change.new)):
        first, *rest = score.explain().splitlines()
        yield f"    {name}  {first}"
        yield from (f"         {line}" for line in rest)
