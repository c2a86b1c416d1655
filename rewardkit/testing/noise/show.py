"""A noise budget as text, as data and as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from rewardkit._escape import one_line, safe_lines
from rewardkit.testing.noise.grpo import Effect, effect
from rewardkit.testing.noise.rates import PartNoise, Rate

__all__ = ["PASS_RATES", "Budget", "budget", "data", "html", "text"]

PASS_RATES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the table; a policy passes some prompts often and others hardly ever."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one part's errors mean for groups of a size.

    Attributes:
        noise: how often it errs.
        group_size: completions in a group.
        measured: the effect at the rates as measured, by pass rate; ``None`` where one of the rates
            was not measured at all.
        worst: the same with both rates at the upper ends of their intervals.
    """

    noise: PartNoise
    group_size: int
    measured: tuple[Effect, ...] | None
    worst: tuple[Effect, ...]


def budget(noise: PartNoise, group_size: int, pass_rates: Sequence[float] = PASS_RATES) -> Budget:
    """The effects of one part's errors. Raises ``UsageError`` as :func:`effect` does."""
    positive, negative = noise.false_positive, noise.false_negative
    measured = None
    if positive.value is not None and negative.value is not None:
        measured = _effects(group_size, positive.value, negative.value, pass_rates)
    ends = positive.interval[1], negative.interval[1]
    return Budget(noise, group_size, measured, _effects(group_size, *ends, pass_rates))


def data(budgets: Sequence[Budget]) -> list[dict[str, Any]]:
    """Everything, as plain data."""
    return [
        {
            "part": b.noise.part,
            "false_positive": _rate_data(b.noise.false_positive),
            "false_negative": _rate_data(b.noise.false_negative),
            "unscorable": dict(b.noise.unscorable),
            "gated": b.noise.gated,
            "group_size": b.group_size,
            "effects": None if b.measured is None else [asdict(e) for e in b.measured],
            "effects_at_upper_ends": [asdict(e) for e in b.worst],
        }
        for b in budgets
    ]


def text(budgets: Sequence[Budget]) -> str:
    """For a terminal: the rates, and a table of what they mean."""
    return safe_lines("\n\n".join("\n".join(_lines(b)) for b in budgets))


def html(name: str, budgets: Sequence[Budget]) -> str:
    """A page that needs nothing else, with a chart of each effect by pass rate."""
    from rewardkit.report.page import document

    title = f"Noise budget of {one_line(name)}"
    sections = "".join(_section(b) for b in budgets)
    return document(title, f"<header><h1>{escape(title)}</h1></header>{sections}")


def _effects(
    size: int, positive: float, negative: float, pass_rates: Sequence[float]
) -> tuple[Effect, ...]:
    return tuple(effect(rate, size, positive, negative) for rate in pass_rates)


def _rate_data(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {
        "errors": rate.errors, "of": rate.of, "rate": rate.value, "low": low, "high": high,
        "ids": list(rate.ids),
    }  # fmt: skip


def _lines(b: Budget) -> Iterator[str]:
    yield one_line(b.noise.part)
    yield f"  false positives  {_rate(b.noise.false_positive, 'incorrect')}"
    yield f"  false negatives  {_rate(b.noise.false_negative, 'correct')}"
    if b.noise.unscorable:
        faults = ", ".join(f"{n} by the {fault}" for fault, n in b.noise.unscorable.items())
        yield f"  unscorable       {sum(b.noise.unscorable.values())} ({faults}): not counted above"
    if b.noise.gated:
        yield f"  gated            {b.noise.gated}: not asked, not counted above"
    yield ""
    yield f"  GRPO in groups of {b.group_size}, rewarded by this part alone (in brackets: with both"
    yield "  rates at the upper ends of their intervals). By the policy's pass rate on a prompt:"
    yield f"  {'pass rate':>9}" + "".join(f"  {head:>15}" for head, _, _ in _EFFECTS)
    for index, worst in enumerate(b.worst):
        measured = b.measured[index] if b.measured else None
        cells = [_cell(measured, worst, get, show) for _, get, show in _EFFECTS]
        yield f"  {worst.pass_rate:>9.0%}" + "".join(f"  {cell:>15}" for cell in cells)
    yield "  ranking flips: groups in which a wrong completion out-scores a right one; signal kept:"
    yield "  how much of the true advantages the update still holds; lost: groups that should teach"
    yield "  and do not; made up: groups that should teach nothing and do"


def _rate(rate: Rate, truth: str) -> str:
    if rate.value is None:
        return f"unknown: no row that is {truth} was judged"
    low, high = rate.interval
    return (
        f"{rate.value:.1%}  ({rate.errors} of {rate.of} rows that are {truth}; "
        f"95% interval {low:.1%} to {high:.1%})"
    )


Get = Callable[[Effect], float | None]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g}%"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


_EFFECTS: tuple[tuple[str, Get, Callable[[float | None], str]], ...] = (
    ("ranking flips", lambda e: e.flipped, _percent),
    ("adv. error", lambda e: e.error, _figure),
    ("signal kept", lambda e: e.kept, _percent),
    ("signal lost", lambda e: e.lost, _percent),
    ("made up", lambda e: e.invented, _percent),
)


def _cell(
    measured: Effect | None, worst: Effect, get: Get, show: Callable[[float | None], str]
) -> str:
    known = "?" if measured is None else show(get(measured))
    return f"{known} ({show(get(worst))})"


_CHARTS: tuple[tuple[str, Get, bool], ...] = (
    ("groups whose ranking flips", lambda e: e.flipped, True),
    ("expected error of an advantage", lambda e: e.error, False),
    ("share of the signal kept", lambda e: e.kept, True),
    ("groups with a wrong verdict", lambda e: e.touched, True),
    ("groups whose signal is lost", lambda e: e.lost, True),
    ("groups whose signal is made up", lambda e: e.invented, True),
)
_PERCENTS = range(2, 99, 3)


def _section(b: Budget) -> str:
    fine = budget(b.noise, b.group_size, [p / 100 for p in _PERCENTS])
    charts = "".join(_chart(title, get, fine, share) for title, get, share in _CHARTS)
    told = escape(text([b]))
    return (
        f"<section><h2>{escape(one_line(b.noise.part))}</h2>"
        f'<article><pre class="columns">{told}</pre></article>'
        f'<p class="note">By the policy\'s pass rate on a prompt, in percent; groups of '
        f"{b.group_size}. Figures below a chart are at the greatest pass rate.</p>"
        f'<section><div class="grid">{charts}</div></section></section>'
    )


def _chart(title: str, get: Get, fine: Budget, share: bool) -> str:
    from rewardkit.report.chart import Line, chart

    sides = {"as measured": fine.measured, "upper ends": fine.worst}
    lines = [
        Line(label, series)
        for label, effects in sides.items()
        if effects and (series := _series(title, get, effects)) is not None
    ]
    show = (lambda value: f"{100 * value:.3g}%") if share else (lambda value: f"{value:.3g}")
    return chart(title, lines, show=show, share=share, axis="at pass rate %") if lines else ""


def _series(title: str, get: Get, effects: Sequence[Effect]) -> Any:
    from rewardkit.report.series import Series

    values = zip(_PERCENTS, map(get, effects), strict=True)
    points = tuple((percent, value) for percent, value in values if value is not None)
    return Series(title, points) if points else None
