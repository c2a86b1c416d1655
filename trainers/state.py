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


_MAY_CHANGE = frozenset({
    "max_steps", "num_train_epochs", "save_steps", "save_total_limit", "eval_steps",
    "logging_steps", "reward_timeout_s", "max_error_frac", "max_unscorable_frac",
    "rollout_batch_size", "head_budget_mib",
})  # fmt: skip
"""Keys that may change when a run goes on: how long, how often, and what bears on no result."""


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
    config: dict[str, Any],
    keep: int | None,
) -> Path:
    """Write ``folder/step_N`` in one move, then prune all but the last ``keep`` checkpoints.

    Everything is written to a hidden folder beside it first and renamed when complete, so a full
    disk or a kill in between leaves no half checkpoint under a name that :func:`latest` finds.
    """
    final = folder / f"step_{progress.step:08d}"
    if (final / "progress.json").is_file():
        return final  # replacing it would leave a moment without any
    for left in folder.glob(".step_*.tmp"):  # of a run that was killed while it saved
        shutil.rmtree(left)
    temporary = folder / f".{final.name}.tmp"
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
    facts = {"step": progress.step, "generations": progress.generations, "config": config}
    (temporary / "progress.json").write_text(json.dumps(facts), encoding="utf-8")
    for path in temporary.iterdir():
        _flush(path)
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
    path: Path,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    config: dict[str, Any],
) -> Progress:
    """Put back what :func:`save` wrote.

    Raises:
        ConfigError: if the checkpoint is of another model, or of another configuration in a key
            that would make the rest of the run another one.
    """
    facts = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    _check_config(facts["config"], config, path)
    # weights_only: a checkpoint is data, and loading one must not be able to run code.
    state = torch.load(path / "trainer.pt", map_location=policy.device, weights_only=True)
    parameters = {n: p for n, p in policy.model.named_parameters() if p.requires_grad}
    saved = {name: value.shape for name, value in state["parameters"].items()}
    if {name: p.shape for name, p in parameters.items()} != saved:
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
    rollouts = None if state["rollouts"] is None else Rollouts.from_state(state["rollouts"])
    return Progress(facts["step"], facts["generations"], rollouts)


def _check_config(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    keys = [k for k in {**before, **now} if k not in _MAY_CHANGE and before.get(k) != now.get(k)]
    if keys:
        changes = "\n".join(f"  {key}: {before.get(key)!r} -> {now.get(key)!r}" for key in keys)
        raise ConfigError(
            f"the configuration is not that of the checkpoint {path}:\n{changes}\nPut it back, or "
            f"begin a new run from the checkpoint as its model"
        )


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
