"""Line charts as inline SVG: no script, colours by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from rewardkit.report.series import Series, smooth

__all__ = ["Line", "chart", "ticks"]

_WIDTH, _HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 10, 24
_MOST_POINTS = 400
_NOISY = 40
"""Points from which a line is drawn twice: faint as it is, and bold as a mean of neighbours."""


class Line(NamedTuple):
    """One line of a chart and its name in the legend (empty: no legend)."""

    label: str
    series: Series


class _Frame(NamedTuple):
    """Data coordinates to those of the drawing."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, step: float) -> float:
        return _LEFT + (step - self.x0) / (self.x1 - self.x0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return (
            _HEIGHT - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (_HEIGHT - _TOP - _BOTTOM)
        )


def chart(
    title: str,
    lines: Sequence[Line],
    *,
    show: Callable[[float], str],
    share: bool = False,
    axis: str = "step",
) -> str:
    """A figure with a caption, an SVG of one line per series, and a legend where there are two.

    Args:
        title: the caption.
        lines: at least one; the style sheet has colours for four.
        show: a value as text.
        share: the values are shares: the axis goes from 0 to 1.
        axis: what the points are counted by, as their labels name it.
    """
    frame = _frame(lines, share)
    body = [*_grid(frame, show)]
    for index, line in enumerate(lines):
        body.extend(_drawn(line, index, frame, show, axis))
    # Two lines or more tell their last values in the legend.
    last = show(lines[0].series.last) if len(lines) == 1 else ""
    told = ", ".join(f"{line.label} {show(line.series.last)}".strip() for line in lines)
    label = escape(f"{title}: last {told}", quote=True)
    return (
        f"<figure><figcaption>{escape(title)} <b>{escape(last)}</b></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(body)}</svg>{_legend(lines, show)}</figure>"
    )


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) within ``[low, high]``, low < high."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    # `+ 0.0`: -0.0 would be shown with a sign
    return [k * step + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _frame(lines: Sequence[Line], share: bool) -> _Frame:
    steps = [step for line in lines for step, _ in line.series.points]
    values = [value for line in lines for value in line.series.values]
    x0, x1 = float(min(steps)), float(max(steps))
    if x0 == x1:
        x0, x1 = x0 - 1.0, x1 + 1.0
    if share and min(values) >= 0.0 and max(values) <= 1.0:
        return _Frame(x0, x1, 0.0, 1.0)
    low, high = min(values), max(values)
    # Relative room, too: at 1e300 adding 1 would leave the frame without height.
    level = max(abs(high) * 0.1, 1e-9) if high else 1.0
    room = (high - low) * 0.06 or level
    return _Frame(x0, x1, low - room, high + room)


def _grid(frame: _Frame, show: Callable[[float], str]) -> Iterator[str]:
    for value in ticks(frame.y0, frame.y1):
        y = frame.y(value)
        yield f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="y" x="{_LEFT - 6}" y="{y + 3.5:.1f}">{escape(show(value))}</text>'
    for step in ticks(frame.x0, frame.x1, 5):
        if step == int(step) and step >= 0:
            x = frame.x(step)
            yield f'<text class="x" x="{x:.1f}" y="{_HEIGHT - 7}">{int(step)}</text>'


def _drawn(
    line: Line, index: int, frame: _Frame, show: Callable[[float], str], axis: str
) -> Iterator[str]:
    points = smooth(line.series.points, _MOST_POINTS)
    noisy = len(points) >= _NOISY
    if noisy:
        yield f'<path class="line faint c{index}" d="{_path(points, frame)}"/>'
    bold = smooth(points, _NOISY // 2) if noisy else points
    yield f'<path class="line c{index}" d="{_path(bold, frame)}"/>'
    look = 'r="6" opacity="0"' if noisy else 'r="2"'
    for step, value in smooth(points, 60):
        told = escape(f"{line.label} {axis} {step}: {show(value)}".strip())
        place = f'cx="{frame.x(step):.1f}" cy="{frame.y(value):.1f}"'
        yield f'<circle class="c{index}" {place} {look}><title>{told}</title></circle>'


def _path(points: Sequence[tuple[int, float]], frame: _Frame) -> str:
    return "M" + "L".join(f"{frame.x(step):.1f} {frame.y(value):.1f}" for step, value in points)


def _legend(lines: Sequence[Line], show: Callable[[float], str]) -> str:
    if len(lines) < 2:
        return ""
    keys = "".join(
        f'<span><i class="c{i}"></i>{escape(line.label)} <b>{escape(show(line.series.last))}</b>'
        f"</span>"
        for i, line in enumerate(lines)
    )
    return f'<div class="legend">{keys}</div>'
