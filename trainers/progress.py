"""What the terminal shows while a run goes on: one line per generation, the parts by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

__all__ = ["Display"]


class Display:
    """Prints a run's progress; silent if ``quiet``."""

    def __init__(self, parts: Sequence[str], *, quiet: bool = False) -> None:
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        self._parts = list(parts)
        self._lines = 0

    def say(self, text: str) -> None:
        """A line of plain text."""
        self._console.print(escape(text))

    def warn(self, text: str) -> None:
        """A line that should not be overlooked."""
        self._console.print(f"[yellow]note: {escape(text)}")

    def preflight(self, metrics: Mapping[str, Any]) -> None:
        """What the starting model can do: pass@k by part, for the k there are."""
        shares: dict[str, list[str]] = {}
        for key, value in metrics.items():
            if key.startswith("preflight/pass@") and value is not None:
                k, _, part = key.removeprefix("preflight/pass@").partition("/")
                shares.setdefault(part, []).append(f"pass@{k} {value:.1%}")
        reward = _number(metrics.get("preflight/reward"))
        told = "; ".join(f"{part} {', '.join(found)}" for part, found in shares.items())
        self._console.print(
            f"[cyan]preflight: reward {reward}" + (f"; {escape(told)}" if told else "")
        )

    def train(self, step: int, total: int, metrics: Mapping[str, Any]) -> None:
        """A generation: step, total reward, the mean of every part, length, seconds."""
        if self._lines % 20 == 0:
            names = "  ".join(f"{name[:12]:>12}" for name in self._parts)
            self._console.print(
                f"[dim]{'step':>9}  {'reward':>8}  {escape(names)}  length  seconds"
            )
        self._lines += 1
        parts = "  ".join(f"{_number(metrics.get(f'parts/{n}/mean')):>12}" for n in self._parts)
        lost = metrics.get("unscorable/frac") or 0.0
        note = f"  [yellow]{lost:.0%} unscorable" if lost else ""
        seconds = float(metrics.get("step_time") or 0.0)
        self._console.print(
            f"{step:>4}/{total:<4}  [bold]{_number(metrics.get('reward')):>8}[/]  {parts}  "
            f"{metrics.get('completions/mean_length', 0.0):>6.1f}  {seconds:>7.2f}{note}"
        )

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        """A held-out evaluation: greedy and sampled, total and share correct by part."""
        for way in ("greedy", "sampled"):
            shares = ", ".join(
                f"{name} {metrics[key]:.1%}"
                for name in self._parts
                if metrics.get(key := f"eval/{way}/parts/{name}/correct") is not None
            )
            reward = _number(metrics.get(f"eval/{way}/reward"))
            self._console.print(
                f"[cyan]held-out after step {step}, {way}: reward {reward}"
                + (f"; correct: {escape(shares)}" if shares else "")
            )


def _number(value: Any) -> str:
    return "-" if value is None else f"{float(value):.3f}"
