"""The figures of a run that both the summary and the page show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rewardkit.report.run import Run
from rewardkit.report.series import Series

__all__ = [
    "Row",
    "Unscorable",
    "held_out",
    "number",
    "overview",
    "percent",
    "training",
    "unscorable",
]


class Row(NamedTuple):
    """A line of a table: what it is, and its figures as text."""

    label: str
    cells: tuple[str, ...]


class Unscorable(NamedTuple):
    """What could not be judged in training.

    Attributes:
        mean: mean over steps of the share of completions without a score, in [0, 1]; ``None`` if
            no step tells it.
        worst: the greatest share of a step.
        faults: how often, by whose fault.
        reasons: how often, by reason; each step logs its commonest only.
    """

    mean: float | None
    worst: float
    faults: Counter[str]
    reasons: Counter[str]


def overview(run: Run) -> list[Row]:
    """What the run was: model, backend, data, steps, rubric, when and how it ended."""
    known = {**_flat(run.config), **run.manifest}
    rows = [
        ("status", known.get("status", "unknown: the manifest does not tell")),
        ("model", known.get("model")),
        ("backend", known.get("backend")),
        ("data", _data(known)),
        ("steps", _steps(run)),
        ("rubric", known.get("fingerprint")),
        ("started", known.get("started")),
        ("ended", known.get("ended")),
    ]
    return [Row(label, (str(value),)) for label, value in rows if value is not None]


def training(run: Run) -> list[Row]:
    """First, best and last: the reward, each part's mean value and share correct."""
    rows = [_progress("reward", run.train.get("reward"), number)]
    for part in run.parts:
        rows.append(_progress(part, run.train.get(f"parts/{part}/mean"), number))
        rows.append(_progress(f"{part}, correct", run.train.get(f"parts/{part}/correct"), percent))
    return [row for row in rows if row is not None]


def held_out(run: Run) -> list[Row]:
    """Before and after: the reward and the share correct of each part, greedy and sampled."""
    names = [("reward", "reward", number)]
    names += [(f"parts/{part}/correct", f"{part}, correct", percent) for part in run.parts]
    rows = []
    for key, label, show in names:
        for way in ("greedy", "sampled"):
            series = run.eval.get(f"eval/{way}/{key}")
            if series is not None:
                after = show(series.last) if len(series.points) > 1 else "not evaluated"
                rows.append(Row(f"{label} ({way})", (show(series.first), after)))
    return rows


def held_out_steps(run: Run) -> tuple[int, int] | None:
    """The steps after which the first and the last held-out evaluation were made."""
    steps = [step for series in run.eval.values() for step, _ in series.points]
    return (min(steps), max(steps)) if steps else None


def unscorable(run: Run) -> Unscorable:
    """What could not be judged, over all training steps."""
    shares = run.train.get("unscorable/frac")
    faults: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for row in run.metrics:
        if row.get("kind") == "train":
            faults.update(dict(_counts(row, "unscorable/")))
            told = row.get("unscorable/reasons")
            reasons.update(dict(_counts(told, "")) if isinstance(told, Mapping) else {})
    if shares is None:
        return Unscorable(None, 0.0, faults, reasons)
    return Unscorable(sum(shares.values) / len(shares.values), shares.best, faults, reasons)


def number(value: float) -> str:
    """A figure of four digits, its sign shown."""
    return f"{value:+.4g}"


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f}%"


def _counts(row: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, int]]:
    for name, value in row.items():
        if name.startswith(prefix) and isinstance(value, int) and not isinstance(value, bool):
            yield name.removeprefix(prefix), value


def _progress(label: str, series: Series | None, show: Any) -> Row | None:
    if series is None:
        return None
    return Row(label, (show(series.first), show(series.best), show(series.last)))


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration says of the facts, for a run without a manifest."""
    return {k: v for k in ("model", "backend") if isinstance(v := config.get(k), str)}


def _data(known: Mapping[str, Any]) -> str | None:
    said = {"rows": "rows to learn from", "eval_rows": "held out"}
    parts = [f"{known[key]} {what}" for key, what in said.items() if key in known]
    return ", ".join(parts) or None


def _steps(run: Run) -> str:
    resumed = run.manifest.get("resumed_at")
    return f"{run.last_step}" + (f" (resumed at {resumed})" if resumed is not None else "")
