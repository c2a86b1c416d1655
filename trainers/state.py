"""Checkpoints: all that a run needs to go on, written so that a kill leaves the last good one."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rewardkit.errors import ConfigError
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Rollouts

__all__ = ["Progress", "latest", "restore", "save"]


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: optimizer steps taken.
        generations: generations made.
        rollouts: the generation that is being learned from, if one is.
    """

    step: int = 0
    generations: int = 0
    rollouts: Rollouts | None = None


def save(
    folder: Path,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    progress: Progress,
    keep: int | None,
) -> Path:
    """Write ``folder/step_N`` in one move, then prune all but the last ``keep`` checkpoints.

    Everything is written to a hidden folder beside it first and renamed when complete, so a full
    disk or a kill in between leaves no half checkpoint under a name that :func:`latest` finds.
    """
    final = folder / f"step_{progress.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    policy.save(temporary)
    trained = {n: p.detach().cpu() for n, p in policy.model.named_parameters() if p.requires_grad}
    state = {
        "parameters": trained,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "reference": policy.reference_state(),
        "rollouts": None if progress.rollouts is None else progress.rollouts.state(),
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    torch.save(state, temporary / "trainer.pt")
    facts = {"step": progress.step, "generations": progress.generations}
    (temporary / "progress.json").write_text(json.dumps(facts), encoding="utf-8")
    for path in temporary.iterdir():
        _flush(path)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    _flush(folder)
    for old in _all(folder)[: -keep if keep else None] if keep else []:
        shutil.rmtree(old)
    return final


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder, or ``None``."""
    found = _all(folder)
    return found[-1] if found else None


def restore(
    path: Path, policy: Policy, optimizer: torch.optim.Optimizer, scheduler: Any
) -> Progress:
    """Put back what :func:`save` wrote.

    Raises:
        ConfigError: if the checkpoint is of another model.
    """
    # weights_only: a checkpoint is data, and loading one must not be able to run code.
    state = torch.load(path / "trainer.pt", map_location=policy.device, weights_only=True)
    parameters = {n: p for n, p in policy.model.named_parameters() if p.requires_grad}
    if parameters.keys() != state["parameters"].keys():
        raise ConfigError(f"the checkpoint {path} is of another model or other adapters")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state["parameters"][name])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    policy.load_reference_state(state["reference"])
    torch.set_rng_state(state["torch_rng"].cpu())
    if state["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
    facts = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    rollouts = None if state["rollouts"] is None else Rollouts.from_state(state["rollouts"])
    return Progress(facts["step"], facts["generations"], rollouts)


def _all(folder: Path) -> list[Path]:
    found = [p for p in folder.glob("step_*") if (p / "progress.json").is_file()]
    return sorted(found, key=lambda p: p.name)


def _flush(path: Path) -> None:
    """To the disk, not only to the cache: a rename may outlive the bytes it names otherwise."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
