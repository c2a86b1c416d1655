"""Where a run goes on from, found out before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import ConfigError
from rewardkit.rubric import Rubric
from rewardkit.trainers import checkpoints
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.runfolder import RunFolder
from rewardkit.trainers.state import data_digest

__all__ = ["Start", "check_options", "starting_point"]


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a run, or the place where it goes on.

    Attributes:
        data: digest of the rows.
        checkpoint: to restore; ``None`` at the beginning.
        step: optimizer steps taken by then.
        data_step: of them, those on other rows than these.
        notes: what the user should know, in words.
    """

    data: str
    checkpoint: Path | None = None
    step: int = 0
    data_step: int = 0
    notes: list[str] = field(default_factory=list)

    def total_steps(self, config: GRPOConfig, rows: int) -> int:
        """Steps at which the run ends; by epochs they count from where these rows came in."""
        return config.total_steps(rows) + (0 if config.max_steps > 0 else self.data_step)


def check_options(resume: bool, checkpoint: int | None, new_data: bool) -> None:
    """Raises ``ConfigError`` for options that mean nothing without ``resume``."""
    if not resume and (checkpoint is not None or new_data):
        raise ConfigError("checkpoint and new_data say how a run goes on: give resume=True too")


def starting_point(
    folder: RunFolder | None,
    rubric: Rubric,
    rows: Sequence[Mapping[str, Any]],
    *,
    resume: bool,
    checkpoint: int | None,
    new_data: bool,
) -> Start:
    """Find the checkpoint to go on from, and look whether this is still the same run.

    Args:
        folder: the run's, if it has one.
        rubric: as given now.
        rows: as given now.
        resume: go on, or begin.
        checkpoint: the step to go back to; ``None``: the newest good checkpoint.
        new_data: the rows may be others.

    Raises:
        ConfigError: for another rubric, for other rows without ``new_data``, or where the
            checkpoint asked for (or every one there is) cannot be used.
    """
    digest = data_digest(rows)
    check_options(resume, checkpoint, new_data)
    if folder is None or not resume:
        if resume:
            raise ConfigError("resume goes on in a run folder: give output_dir")
        return Start(digest)
    folder.check_rubric(rubric)
    folder.check_data(digest, len(rows), new_data=new_data)
    found, notes = checkpoints.choose(folder.checkpoints, checkpoint)
    if found is not None and notes:
        notes.append(f"going on from {found}, the newest good one; the damaged are set aside")
    notes += folder.changed_versions()
    if found is None:
        return Start(digest, notes=notes)
    before = json.loads((found / "progress.json").read_text(encoding="utf-8"))["progress"]
    same = before["data"] == digest
    step = int(before["step"])
    return Start(digest, found, step, int(before["data_step"]) if same else step, notes)
