"""Which charts a run gets, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rewardkit.report.chart import Line, chart
from rewardkit.report.run import Run
from rewardkit.report.series import Series

__all__ = ["Group", "groups"]

_TRAINING = {
    "completions/mean_length": "completion length (tokens)",
    "completions/clipped_ratio": "share cut off at the length limit",
    "kl": "KL to the reference",
    "entropy": "entropy",
    "loss": "loss",
    "grad_norm": "gradient norm",
    "learning_rate": "learning rate",
    "reward_std": "spread of rewards within a group",
    "frac_reward_zero_std": "share of groups without spread",
    "unscorable/frac": "share without a score",
}
_SHARES = ("clipped_ratio", "frac_reward_zero_std", "unscorable/frac", "/correct")


class Group(NamedTuple):
    """Charts under one heading; a minor one is folded away."""

    title: str
    charts: tuple[str, ...]
    minor: bool = False


def groups(run: Run) -> list[Group]:
    """Every metric that was logged, each in exactly one group; groups without one are left out."""
    rewards = {"reward": "total reward"}
    rewards |= {f"parts/{part}/mean": f"part: {part}" for part in run.parts}
    correct = {f"parts/{part}/correct": f"judged correct: {part}" for part in run.parts}
    shown = {**rewards, **correct, **_TRAINING}
    rest = {name: name for name in run.train if name not in shown}
    return [
        group
        for group in (
            Group("Reward", _plain(run.train, rewards)),
            Group("Judged correct in training", _plain(run.train, correct)),
            Group("Held out", _held_out(run.eval)),
            Group("Training", _plain(run.train, _TRAINING)),
            Group("Warm-up", _plain(run.warmup, {name: name for name in run.warmup})),
            Group("Everything else", _plain(run.train, rest), minor=True),
        )
        if group.charts
    ]


def _plain(series: Mapping[str, Series], titles: Mapping[str, str]) -> tuple[str, ...]:
    """One chart per metric."""
    return tuple(
        _chart(name, title, [Line("", series[name])])
        for name, title in titles.items()
        if name in series
    )


def _held_out(series: Mapping[str, Series]) -> tuple[str, ...]:
    """One chart per metric, greedy and sampled in it."""
    by_name: dict[str, list[Line]] = {}
    for name, found in series.items():
        way, _, metric = name.removeprefix("eval/").partition("/")
        if name.startswith("eval/") and metric:
            by_name.setdefault(metric, []).append(Line(way, found))
        else:
            by_name.setdefault(name, []).append(Line("", found))
    return tuple(_chart(name, _title(name), lines) for name, lines in by_name.items())


def _title(metric: str) -> str:
    """A held-out metric in words."""
    if metric.startswith("parts/") and metric.endswith("/correct"):
        return f"judged correct: {metric[6:-8]}"
    if metric.startswith("parts/") and metric.endswith("/mean"):
        return f"part: {metric[6:-5]}"
    return {"reward": "total reward"}.get(metric) or _TRAINING.get(metric, metric)


def _chart(name: str, title: str, lines: list[Line]) -> str:
    share = name.endswith(_SHARES)
    return chart(title, lines, show=_percent if share else _figure, share=share)


def _figure(value: float) -> str:
    return f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"
