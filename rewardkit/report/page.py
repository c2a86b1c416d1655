"""A run as one HTML page that needs nothing else: no script, no font, no picture from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from rewardkit._escape import one_line
from rewardkit._files import whole_file
from rewardkit.report import facts
from rewardkit.report.charts import Group, groups
from rewardkit.report.examples import Example
from rewardkit.report.facts import Row
from rewardkit.report.run import Run
from rewardkit.report.style import CSS

__all__ = ["document", "escaped", "html", "write_html"]

_LONGEST = 20_000
"""Characters of a prompt or completion that the page holds."""
_REASON = 200
"""Characters of a reason in a table: some verifiers quote what they could not judge."""


def write_html(run: Run, path: str | Path) -> None:
    """Write the page. Raises ``UsageError`` if the file cannot be written."""
    with whole_file(Path(path)) as file:
        file.write(html(run))


def html(run: Run) -> str:
    """The page. Texts of models and data sets are hostile: all text is escaped, and a policy in the
    page forbids scripts and loading, should a text ever get through."""
    title = f"Run {run.folder.resolve().name}"
    return document(title, "\n".join(_body(run, escaped(title))))


def document(title: str, body: str) -> str:
    """A whole page around a body of HTML; ``title`` is plain text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{CSS}</style></head>\n<body><main>\n{body}\n"
        "</main></body></html>\n"
    )


def _body(run: Run, title: str) -> Iterator[str]:
    yield f"<header><h1>{title}</h1>{_facts(facts.overview(run))}</header>"
    if run.problems:
        items = "".join(f"<li>{escaped(problem)}</li>" for problem in run.problems)
        yield '<section class="problems"><h2>Not everything is there</h2>'
        yield f"<ul>{items}</ul></section>"
    yield _tables(run)
    if run.metrics:
        yield (
            '<p class="note">Figures beside a chart are of the last step. Where there are many '
            "steps, faint lines show each of them and bold ones means over neighbours.</p>"
        )
    for group in groups(run):
        yield _group(group)
    if run.examples:
        shown = "".join(_example(example) for example in run.examples)
        yield f"<section><h2>Completions</h2>{shown}</section>"
    yield _raw(run)


def _facts(rows: Sequence[Row]) -> str:
    pairs = "".join(
        f"<div><dt>{escaped(r.label)}</dt><dd>{escaped(r.cells[0])}</dd></div>" for r in rows
    )
    return f"<dl>{pairs}</dl>"


def _tables(run: Run) -> str:
    steps = facts.held_out_steps(run)
    heads = ("before", "after") if steps is None else (f"step {steps[0]}", f"step {steps[1]}")
    tables = [
        _table("Held out", heads, facts.held_out(run)),
        _table("Training", ("first", "best", "last"), facts.training(run)),
        _unscorable(run),
    ]
    return f'<section class="tables">{"".join(tables)}</section>'


def _table(title: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escaped(name)}</th>" for name in ("", *heads))
    body = "".join(
        f"<tr><th>{escaped(row.label)}</th>"
        f"{''.join(f'<td>{escaped(c)}</td>' for c in row.cells)}</tr>"
        for row in rows
    )
    return f"<div><h2>{title}</h2><table><tr>{head}</tr>{body}</table></div>"


def _unscorable(run: Run) -> str:
    found = facts.unscorable(run)
    if found.mean is None:
        return ""
    rows = [
        Row("share of completions, mean", (facts.percent(found.mean),)),
        Row("share of completions, worst step", (facts.percent(found.worst),)),
        *(Row(f"fault of: {name}", (str(n),)) for name, n in found.faults.most_common()),
        *(Row(one_line(reason, _REASON), (str(n),)) for reason, n in found.reasons.most_common(10)),
    ]
    return _table("Could not be judged", ("",), rows)


def _group(group: Group) -> str:
    grid = f'<div class="grid">{"".join(group.charts)}</div>'
    if group.minor:
        return f"<section><details><summary>{group.title}</summary>{grid}</details></section>"
    return f"<section><h2>{group.title}</h2>{grid}</section>"


def _example(example: Example) -> str:
    answer = f"<h4>Answer</h4><pre>{escaped(example.answer)}</pre>" if example.answer else ""
    return (
        f'<article class="{example.title}"><h3>{example.title}, of step {example.step}</h3>'
        f"<h4>Prompt</h4><pre>{escaped(example.prompt)}</pre>"
        f"<h4>Completion</h4><pre>{escaped(example.completion)}</pre>{answer}"
        f"<h4>Score</h4><pre>{escaped(example.score.explain())}</pre></article>"
    )


def _raw(run: Run) -> str:
    """The configuration and the manifest, folded away."""
    parts = (("Configuration", run.config), ("Manifest", run.manifest))
    return "".join(
        f"<section><details><summary>{title}</summary>"
        f"<pre>{escaped(json.dumps(data, indent=2, default=str, ensure_ascii=False))}</pre>"
        f"</details></section>"
        for title, data in parts
        if data
    )


def escaped(text: str) -> str:
    """Any text as HTML: markup escaped; controls, reversing marks and half surrogates spelled out,
    because they would break the file or turn round what a reader sees."""
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    shown = "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in cut
    )
    return escape(shown, quote=True)
