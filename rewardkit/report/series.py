"""Metrics as series: one name, its value at every step that has one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Series", "collect", "smooth"]

_OWN = ("step", "kind")


@dataclass(frozen=True)
class Series:
    """A metric over steps; never empty.

    Attributes:
        name: as it was logged.
        points: step and value, by step.
    """

    name: str
    points: tuple[tuple[int, float], ...]

    @property
    def first(self) -> float:
        """The value at the first step."""
        return self.points[0][1]

    @property
    def last(self) -> float:
        """The value at the last step."""
        return self.points[-1][1]

    @property
    def best(self) -> float:
        """The greatest value."""
        return max(value for _, value in self.points)

    @property
    def values(self) -> tuple[float, ...]:
        """The values, by step."""
        return tuple(value for _, value in self.points)


def collect(rows: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Series]:
    """Series by name, of the rows of one kind; what is no number of a sane size is left out.

    A step that was logged twice (a run that was resumed) counts as it was logged last.
    """
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.get("kind") != kind:
            continue
        for name, value in row.items():
            if name not in _OWN and _is_figure(value):
                found.setdefault(name, {})[row["step"]] = float(value)
    return {name: Series(name, tuple(sorted(points.items()))) for name, points in found.items()}


def _is_figure(value: Any) -> bool:
    """Whether it is a number that a chart can show: differences of larger ones overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def smooth(points: tuple[tuple[int, float], ...], most: int) -> tuple[tuple[int, float], ...]:
    """At most so many points: means over neighbours that share a bucket."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return points
    buckets = [points[i : i + size] for i in range(0, len(points), size)]
    return tuple((b[len(b) // 2][0], sum(v for _, v in b) / len(b)) for b in buckets)
