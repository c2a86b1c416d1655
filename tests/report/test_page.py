"""The page: one file that needs nothing else, with every chart, and no way out for hostile text."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.report import load_run, write_html
from rewardkit.report.chart import Line, chart, ticks
from rewardkit.report.page import html
from rewardkit.report.series import Series

VOID = {"meta"}


class Elements(HTMLParser):
    """Every element of a page, checked for being closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def page(run_folder: Path) -> str:
    return html(load_run(run_folder))


def test_the_page_is_well_formed_and_holds_no_script_of_anybodys(page: str) -> None:
    found = Elements(page)
    assert not found.names & {"script", "iframe", "img", "link", "object", "a"}
    handlers = [name for _, name, _ in found.attributes if name.startswith("on")]
    assert handlers == []
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in page


def test_the_page_loads_nothing_from_outside(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_controls_and_reversing_marks_are_spelled_out(page: str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in page)
    assert "\\u202e" in page
    assert "\\ud800" in page
    page.encode("utf-8")


def test_every_metric_has_a_chart(page: str) -> None:
    for title in (
        "total reward",
        "part: right",
        "part: brevity",
        "judged correct: right",
        "completion length (tokens)",
        "KL to the reference",
        "parts/right/std",
    ):
        assert f"<figcaption>{title} " in page, title
    assert "<h2>Held out</h2>" in page
    assert "greedy <b>90%</b>" in page
    assert "<h2>Warm-up</h2>" in page


def test_tables_tell_before_and_after(page: str) -> None:
    assert "<th>right, correct (greedy)</th><td>10.0%</td><td>90.0%</td>" in page
    assert "<th>right</th><td>+0.5</td><td>+2.5</td><td>+2</td>" in page


def test_a_reason_that_quotes_a_completion_does_not_fill_the_page(run_folder: Path) -> None:
    path = run_folder / "metrics.jsonl"
    path.write_text(path.read_text().replace("alert(", "alert(" + "w" * 5000))
    page = html(load_run(run_folder))
    assert "<th>&lt;script&gt;alert(w" in page
    assert "w" * 201 not in page


def test_a_series_that_is_always_nothing_has_a_plain_axis() -> None:
    series = Series("x", ((1, 0.0), (2, 0.0)))
    figure = chart("t", [Line("", series)], show=lambda value: f"{value:.4g}")
    assert "e-" not in figure
    assert ">0<" in figure


def test_light_and_dark(page: str) -> None:
    assert "prefers-color-scheme: dark" in page


def test_a_page_is_written_whole_or_not_at_all(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(run_folder)
    target = run_folder / "page.html"
    write_html(run, target)
    before = target.read_text()
    monkeypatch.setattr("rewardkit.report.page.html", lambda run: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_html(run, target)
    assert target.read_text() == before
    assert [p.name for p in run_folder.glob(".*")] == []


def parsed(figure: str) -> ElementTree.Element:
    return ElementTree.fromstring(figure)


@given(
    points=st.dictionaries(
        st.integers(0, 10**9), st.floats(-1e299, 1e299, allow_nan=False), min_size=1, max_size=120
    ),
    share=st.booleans(),
)
def test_any_series_draws_within_the_picture(points: dict[int, float], share: bool) -> None:
    series = Series("x", tuple(sorted(points.items())))
    figure = parsed(chart("t", [Line("", series)], show=str, share=share))
    for circle in figure.iter("circle"):
        x, y = float(circle.attrib["cx"]), float(circle.attrib["cy"])
        assert 40 <= x <= 360
        assert 0 <= y <= 190
    assert "nan" not in "".join(path.attrib["d"] for path in figure.iter("path"))


def test_names_in_a_chart_are_escaped() -> None:
    series = Series("x", ((1, 1.0), (2, 2.0)))
    lines = [Line('<i a="b">', series), Line("b", series)]
    figure = chart("<script>", lines, show=lambda value: f"<{value}>")
    assert "<script>" not in figure
    assert [e.attrib["class"] for e in parsed(figure).iter("i")] == ["c0", "c1"]


@given(low=st.floats(-1e12, 1e12), span=st.floats(1e-3, 1e12))
def test_ticks_are_round_few_and_within(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    slack = 1e-6 * max(abs(low), abs(high), 1e-3)
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert all(a < b for a, b in itertools.pairwise(found))
