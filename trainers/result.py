"""What a training run came to, whichever backend ran it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["TrainResult", "Trainer"]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The end of a run.

    Attributes:
        steps: optimizer steps taken.
        history: the lines of ``metrics.jsonl``, in order.
        output_dir: the run folder, if there is one.
    """

    steps: int
    history: list[dict[str, Any]] = field(repr=False)
    output_dir: Path | None = None

    def evaluations(self) -> list[dict[str, Any]]:
        """The held-out evaluations, in order: the first is before training, the last after."""
        return [row for row in self.history if row["kind"] == "eval"]


class Trainer(Protocol):
    """What every backend offers."""

    def train(self) -> TrainResult:
        """Run to the end."""
        ...
