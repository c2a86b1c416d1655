"""A run as text for the terminal; everything that a model or a data set wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rewardkit._escape import one_line, safe_lines
from rewardkit.report import facts
from rewardkit.report.examples import Example
from rewardkit.report.facts import Row
from rewardkit.report.run import Run

__all__ = ["summary"]

_PROMPT, _COMPLETION = 200, 400
"""Characters of an example that are shown."""


def summary(run: Run) -> str:
    """The run in about a screen: what it was, how it went, what came out."""
    lines = [f"run {one_line(str(run.folder))}", ""]
    lines += _table(facts.overview(run))
    lines += _section("training", facts.training(run), ("first", "best", "last"))
    lines += _section("held out", facts.held_out(run), _before_after(run))
    lines += _unscorable(run)
    for example in run.examples:
        lines += ["", *_example(example)]
    if run.problems:
        lines += ["", "not everything is there:", *(f"  {one_line(p)}" for p in run.problems)]
    return "\n".join(lines)


def _before_after(run: Run) -> tuple[str, str]:
    steps = facts.held_out_steps(run)
    return ("before", "after") if steps is None else (f"step {steps[0]}", f"step {steps[1]}")


def _section(title: str, rows: Sequence[Row], heads: tuple[str, ...]) -> list[str]:
    return ["", *_table([Row(title, heads), *rows])] if rows else []


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns that line up: labels to the left, figures to the right."""
    safe = [Row(one_line(r.label, 60), tuple(one_line(c, 120) for c in r.cells)) for r in rows]
    width = max((len(r.label) for r in safe), default=0)
    several = any(len(r.cells) > 1 for r in safe)
    return [
        f"{r.label:<{width}}  " + "  ".join(f"{c:>13}" if several else c for c in r.cells)
        for r in safe
    ]


def _unscorable(run: Run) -> list[str]:
    found = facts.unscorable(run)
    if found.mean is None:
        return []
    share = f"{facts.percent(found.mean)} of completions, {facts.percent(found.worst)} at worst"
    lines = ["", f"unscorable  {share}"]
    for fault, count in found.faults.most_common():
        lines.append(f"  {count} × fault of: {one_line(fault, 60)}")
    for reason, count in found.reasons.most_common(5):
        lines.append(f"  {count} × {one_line(reason, 160)}")
    return lines


def _example(example: Example) -> Iterator[str]:
    yield f"{example.title}, of step {example.step}"
    yield f"  prompt      {one_line(example.prompt, _PROMPT)}"
    yield f"  completion  {one_line(example.completion, _COMPLETION)}"
    if example.answer:
        yield f"  answer      {one_line(example.answer, _PROMPT)}"
    for line in safe_lines(example.score.explain()).split("\n"):
        yield f"  {line}"
