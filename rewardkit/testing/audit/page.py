"""An audit as one HTML page that needs nothing else, in the style of a run's page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rewardkit._files import whole_file
from rewardkit.report.page import document, escaped
from rewardkit.testing.audit.report import AuditReport, Finding
from rewardkit.testing.audit.text import text

__all__ = ["html", "write_html"]


_SHOWN = 10
"""Alarms that are not folded away."""


def write_html(report: AuditReport, path: str | Path) -> None:
    """Write the page. Raises ``UsageError`` if the file cannot be written."""
    with whole_file(Path(path)) as file:
        file.write(html(report))


def html(report: AuditReport) -> str:
    """The page: what was found, the alarms with their completions, and every attack."""
    title = f"Audit of {report.subject}"
    return document(title, "\n".join(_body(report, title)))


def _body(report: AuditReport, title: str) -> Iterator[str]:
    yield f"<header><h1>{escaped(title)}</h1>{_facts(report)}</header>"
    notes = [line.removeprefix("note: ") for line in text(report).splitlines()
             if line.startswith("note: ")]  # fmt: skip
    if notes:
        items = "".join(f"<li>{escaped(note)}</li>" for note in notes)
        yield f'<section class="problems"><h2>Notes</h2><ul>{items}</ul></section>'
    if report.alarms:
        yield f"<section><h2>Alarms, worst first</h2>{_alarms(report.alarms)}</section>"
    yield f"<section><h2>Honest completions</h2>{''.join(_honest(report))}</section>"
    yield _every(report.findings)


def _facts(report: AuditReport) -> str:
    right = "not known" if report.right is None else f"{report.right:+.4g}"
    pairs = (
        ("alarms", str(len(report.alarms))),
        ("attacks", str(len(report.findings))),
        ("rows", str(len(report.cases))),
        ("a right answer earns", right),
        ("a wrong answer earns", f"{report.wrong:+.4g}"),
        ("form", report.form.name),
        ("rubric", report.fingerprint),
    )
    cells = "".join(f"<div><dt>{a}</dt><dd>{escaped(b)}</dd></div>" for a, b in pairs)
    return f"<dl>{cells}</dl>"


def _alarms(findings: Sequence[Finding]) -> str:
    """The first few at full length, the others folded away."""
    shown = "".join(_alarm(finding) for finding in findings[:_SHOWN])
    rest = "".join(_alarm(finding) for finding in findings[_SHOWN:])
    if not rest:
        return shown
    more = f"{len(findings) - _SHOWN} more"
    return f"{shown}<details><summary>{more}</summary><div>{rest}</div></details>"


def _alarm(finding: Finding) -> str:
    worst = finding.worst
    earned, wrong, right = map(_figure, (worst.earned.total, worst.wrong, worst.right))
    against = f"wrong {wrong}" if worst.right is None else f"wrong {wrong}, right {right}"
    why = f"<h4>Why</h4><pre>{escaped(worst.earned.why)}</pre>" if worst.earned.why else ""
    score = worst.earned.score
    explained = f"<h4>Score</h4><pre>{escaped(score.explain())}</pre>" if score else ""
    rows = f"{finding.hits} of {len(finding.trials)} rows; shown: row {worst.row}"
    return (
        f'<article class="worst"><h3>{escaped(finding.attack.name)}: {finding.meaning}</h3>'
        f"<p>{escaped(finding.attack.about)} ({escaped(finding.attack.family)}; {rows})</p>"
        f"<p>earned <b>{earned}</b>; honest answers: {against}</p>"
        f"<h4>Completion</h4><pre>{escaped(worst.completion)}</pre>{why}{explained}</article>"
    )


def _honest(report: AuditReport) -> Iterator[str]:
    for case in report.cases[:3]:
        for name, pair in (("best", case.right), ("unscorable", case.wrong)):
            if pair is not None:
                kind = "right" if name == "best" else "wrong"
                yield (
                    f'<article class="{name}"><h3>row {case.row}, {kind}: {pair[1]:+.4g}</h3>'
                    f"<pre>{escaped(pair[0])}</pre></article>"
                )


def _every(findings: Sequence[Finding]) -> str:
    heads = ("attack", "family", "earned", "wrong", "right", "rows", "result")
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(_row(finding) for finding in findings)
    return (
        f"<section><details><summary>Every attack</summary>"
        f'<div class="tables"><div><table><tr>{head}</tr>{body}</table></div></div>'
        f"</details></section>"
    )


def _row(finding: Finding) -> str:
    worst = finding.worst
    cells = [_figure(f) for f in (worst.earned.total, worst.wrong, worst.right)]
    result = finding.kind or ("policy" if finding.attack.policy else "")
    cells = [finding.attack.family, *cells, f"{finding.hits}/{len(finding.trials)}", result]
    rest = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
    return f"<tr><th>{escaped(finding.attack.name)}</th>{rest}</tr>"


def _figure(total: float | None) -> str:
    return "none" if total is None else f"{total:+.4g}"
