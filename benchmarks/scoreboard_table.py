"""The figures of the scoreboard as lines: for the terminal, and as the tables of the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Any]

TITLES = {
    "answers": "| grader of answers | attacks through | of which kind | right ones refused | "
    "of those in a box | wrong ones accepted | no verdict |",
    "code": "| grader of code | attacks through | which |",
}
"""Heads of the tables, by which they are found in the docs."""


def line(name: str, found: Figures) -> str:
    """One grader in the terminal."""
    if "through" not in found:
        return f"{name:<24} cannot be run: {found['cannot be run']}"
    shown = f"{name:<24} attacks through {found['through']:>3} of {found['attacks']}"
    if (counts := found.get("labelled")) is not None:
        for what, label in (("right refused", "right"), ("wrong accepted", "wrong")):
            shown += f"  {what} {counts.get(what, 0)} of {counts[label]}"
        shown += f"  no verdict {_no_verdict(counts)}"
    shown += "  RUNS PYTHON IN THE ANSWER" if found.get("runs the answer") else ""
    return f"{shown}  {found['kinds']}"


def tables(graders: Figures) -> dict[str, list[str]]:
    """The lines of each table, the least fooled first among ours and among the others'."""
    from scoreboard_peers import CODE, title

    made = {}
    for kind, head in TITLES.items():
        rows = [(n, f) for n, f in graders.items() if (n in CODE) == (kind == "code")]
        rows.sort(key=lambda row: (not row[0].startswith("ours"), row[1].get("through", 1_000)))
        cells = [[title(n), *(_of_code if kind == "code" else _of_answers)(f)] for n, f in rows]
        made[kind] = [head, "|" + "---|" * (head.count("|") - 1)]
        made[kind] += [f"| {' | '.join(row)} |" for row in cells]
    return made


def renewed(text: str, graders: Figures) -> str:
    """A page with its tables written anew.

    Raises:
        ValueError: if one of the tables is not there.
    """
    lines = text.split("\n")
    for head, *rest in tables(graders).values():
        if head not in lines:
            raise ValueError(f"the page has no table that begins with {head!r}")
        start = end = lines.index(head)
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        lines[start:end] = [head, *rest]
    return "\n".join(lines)


def _of_answers(found: Figures) -> list[str]:
    if "through" not in found:
        return ["not run", str(found["cannot be run"]), "", "", "", ""]
    families, kinds = found["families"], found["kinds"]
    parts = [f"{family} {n}" for family, n in sorted(families.items(), key=lambda f: -f[1])]
    parts += [f"{kind} {n}" for kind, n in kinds.items() if kind not in ("out-earns", "form-alone")]
    parts += ["**runs Python in the answer**"] if found["runs the answer"] else []
    counts = found.get("labelled")
    if counts is None:
        return [_through(found), ", ".join(parts), "", "", "", ""]
    shares = [
        _share(counts, "right refused", "right"),
        _share(counts["boxed"], "right refused", "right"),
        _share(counts, "wrong accepted", "wrong"),
    ]
    return [_through(found), ", ".join(parts), *shares, str(_no_verdict(counts))]


def _of_code(found: Figures) -> list[str]:
    if "through" not in found:
        return ["not run", str(found["cannot be run"])]
    by_kind: dict[str, list[str]] = {}
    for name, kind in found["names"].items():
        by_kind.setdefault(kind, []).append(f"`{name}`")
    return [_through(found), "; ".join(f"{k}: {', '.join(n)}" for k, n in by_kind.items())]


def _through(found: Figures) -> str:
    return f"{found['through']} of {found['attacks']}"


def _share(counts: Figures, what: str, label: str) -> str:
    """``206 of 530: 39% (35 to 43)``"""
    errors, of = counts.get(what, 0), counts[label]
    low, high = counts["interval"][what]
    return f"{errors} of {of}: {100 * errors / of:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def _no_verdict(counts: Figures) -> int:
    return sum(n for what, n in counts.items() if what.startswith(("right, ", "wrong, ")))
