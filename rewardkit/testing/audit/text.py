"""An audit for the terminal: plain lines, coloured where ``rich`` is there and wanted."""

from __future__ import annotations

from collections.abc import Iterator

from rewardkit._escape import one_line
from rewardkit.testing.audit.report import AuditReport, Finding

__all__ = ["print_report", "text"]

SHOWN = 100
"""Characters of a completion that are shown."""


def text(report: AuditReport, most: int = 20) -> str:
    """The report; of the alarms at most so many."""
    return "\n".join(_lines(report, most))


def print_report(report: AuditReport, most: int = 20) -> None:
    """Print the report, in colour if ``rich`` is installed and the output is a terminal."""
    import sys

    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(highlight=False)
            for line in _lines(report, most):
                console.print(Text(line, style=_style(line)), soft_wrap=True)
            return
    print(text(report, most))


def _style(line: str) -> str:
    if line.startswith("ALARM"):
        return "bold red"
    if line.startswith("note"):
        return "yellow"
    if line.startswith("no alarm"):
        return "bold green"
    return "dim" if line.startswith("    ") else ""


def _lines(report: AuditReport, most: int) -> Iterator[str]:
    tried = len(report.findings)
    yield f"audit of {one_line(report.subject)}: {tried} attacks on {len(report.cases)} rows"
    yield f"form        {one_line(report.form.name)}: {one_line(report.form.template, SHOWN)}"
    right = "not known" if report.right is None else f"{report.right:+.4g}"
    yield f"honest      right {right}, wrong {report.wrong:+.4g} (means)"
    yield ""
    for finding in report.alarms[:most]:
        yield from _alarm(finding)
    if len(report.alarms) > most:
        yield f"... and {len(report.alarms) - most} more (--show N, --json or --html for all)"
    if report.alarms:
        yield ""
    yield from _notes(report)
    yield _verdict(report)


def _alarm(finding: Finding) -> Iterator[str]:
    worst = finding.worst
    total = "no total" if worst.earned.total is None else f"{worst.earned.total:+.4g}"
    against = f"wrong {worst.wrong:+.4g}"
    if worst.right is not None:
        against += f", right {worst.right:+.4g}"
    rows = f"{finding.hits} of {len(finding.trials)} rows"
    yield f"ALARM  {one_line(finding.attack.name)}  {finding.meaning}: {total} ({against}; {rows})"
    yield f"    {one_line(finding.attack.about)} ({one_line(finding.attack.family)})"
    yield f"    row {worst.row}: {one_line(repr(worst.completion[: SHOWN + 1]), SHOWN)}"
    if worst.earned.why and finding.kind != "out-earns":
        yield f"    {one_line(worst.earned.why, 200)}"


def _notes(report: AuditReport) -> Iterator[str]:
    if report.right is None:
        yield (
            "note: no right answer is known; give golds, or honest completions in the columns "
            '"right" and "wrong"'
        )
    elif report.blind:
        yield (
            "note: a wrong answer earns as much as a right one. Either this reward judges the form "
            'alone, or its form was not found: then give --right "... {answer} ..."'
        )
    elif any(case.blind for case in report.cases):
        rows = ", ".join(str(case.row) for case in report.cases if case.blind)
        yield f"note: on these rows a wrong answer earns as much as a right one: {rows}"
    share = report.for_nothing
    if share is not None and share > 0.05:
        yield f"note: a text without any answer earns {share:.0%} of what a right one does"
    paid = [f.attack.name for f in report.findings if f.attack.policy and _paid(f)]
    if paid and not report.blind:
        yield f"note: paid by policy: {', '.join(map(one_line, paid))}"
    for row, why in list(report.left_out.items())[:5]:
        yield f"note: row {row} is left out: {one_line(why, 200)}"
    if report.ignored:
        yield f"note: ignored: {', '.join(sorted(map(one_line, report.ignored)))}"


def _paid(finding: Finding) -> bool:
    return any(t.excess is not None and t.excess > 0.5 for t in finding.trials)


def _verdict(report: AuditReport) -> str:
    count = len(report.alarms)
    if not count:
        return "no alarm"
    return f"{count} alarm{'s' if count > 1 else ''}"
