"""What a run needs to go on as if it had never stopped, gathered and put back."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from rewardkit.errors import ConfigError
from rewardkit.trainers import checkpoints, parallel
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Rollouts

__all__ = ["Progress", "Run", "data_digest", "generators", "seed_generators", "weights_digest"]

_FORMAT = 2
_MAY_CHANGE = frozenset({
    "max_steps", "num_train_epochs", "save_steps", "save_total_limit", "eval_steps",
    "logging_steps", "reward_timeout_s", "reward_workers", "max_error_frac", "max_unscorable_frac",
    "rollout_batch_size", "head_budget_mib", "preflight_prompts", "preflight_samples",
    "prefix_sharing", "max_tokens_per_microbatch",
    "kv_budget_gib", "activation_offloading", "mlp_tile", "lean_ops",
})  # fmt: skip
"""Keys that may change when a run goes on: how long, how often, and what bears on no result."""


@dataclass(slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step: optimizer steps taken.
        generations: generations made.
        prompts: prompts taken from the data.
        data: digest of the rows; ``data_prompts`` and ``data_step`` are what ``prompts`` and
            ``step`` were when the run began with them.
        tokens: of all prompts and completions so far, as TRL counts them.
        carried: what the algorithm carries from step to step (an adaptive coefficient, say); plain
            numbers by name.
        rollouts: the generation that is being learned from, if one is.
    """

    step: int = 0
    generations: int = 0
    prompts: int = 0
    data: str = ""
    data_prompts: int = 0
    data_step: int = 0
    tokens: int = 0
    carried: dict[str, float] = field(default_factory=dict)
    rollouts: Rollouts | None = None

    def take_up(self, data: str) -> None:
        """Go on with the rows of this digest: from their first one on, if they are new."""
        if data != self.data:
            self.data, self.data_prompts, self.data_step = data, self.prompts, self.step


@dataclass(frozen=True, slots=True)
class Run:
    """The parts of a run that a checkpoint holds."""

    policy: Policy
    optimizer: torch.optim.Optimizer
    scheduler: Any
    config: GRPOConfig

    def save(
        self,
        folder: Path,
        progress: Progress,
        keep: int | None = None,
        others: Sequence[Mapping[str, Any]] = (),
    ) -> Path:
        """Write ``folder/step_N``, see :func:`rewardkit.trainers.checkpoints.write`.

        Args:
            folder: of the checkpoints.
            progress: where the run stands.
            keep: how many to keep.
            others: :func:`generators` of the other processes, by rank from 1.
        """
        return checkpoints.write(
            folder, progress.step, lambda place: self._fill(place, progress, others), keep
        )

    def restore(self, path: Path) -> Progress:
        """Put back what :meth:`save` wrote.

        Raises:
            ConfigError: if the checkpoint is of another model, or of another configuration in a key
                that would make the rest of the run another one.
        """
        facts = json.loads((path / "progress.json").read_text(encoding="utf-8"))
        if facts.get("format") != _FORMAT:
            raise ConfigError(
                f"the checkpoint {path} was written by another version of rewardkit "
                f"(format {facts.get('format')}, this one reads {_FORMAT}): go on with that "
                f"version, or begin a new run with the checkpoint as its model"
            )
        _check_same(facts["identity"], self._identity(), path)
        # weights_only: a checkpoint is data, and loading one must not be able to run code.
        state = torch.load(path / "trainer.pt", map_location="cpu", weights_only=True)
        self._put_back_weights(state["parameters"], path)
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.policy.load_reference_state(state["reference"])
        own = [state["generators"], *state.get("other_generators", ())]
        _put_back_generators(own[parallel.rank() % len(own)])
        rollouts = None if state["rollouts"] is None else Rollouts.from_state(state["rollouts"])
        return Progress(**facts["progress"], rollouts=rollouts)

    def _fill(self, place: Path, progress: Progress, others: Sequence[Mapping[str, Any]]) -> None:
        """All files of a checkpoint."""
        self.policy.save(place)
        named = self.policy.model.named_parameters()
        state = {
            "parameters": {n: p.detach().cpu() for n, p in named if p.requires_grad},
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "reference": self.policy.reference_state(),
            "rollouts": None if progress.rollouts is None else progress.rollouts.state(),
            "generators": generators(),
        }
        if others:
            state["other_generators"] = list(others)
        # Through a file of ours: written to by its path, a full disk is a RuntimeError about zip.
        with (place / "trainer.pt").open("wb") as out:
            torch.save(state, out)
        plain = {k: getattr(progress, k) for k in Progress.__slots__ if k != "rollouts"}
        facts = {"format": _FORMAT, "progress": plain, "identity": self._identity()}
        (place / "progress.json").write_text(json.dumps(facts), encoding="utf-8")

    def _put_back_weights(self, saved: Mapping[str, torch.Tensor], path: Path) -> None:
        parameters = {n: p for n, p in self.policy.model.named_parameters() if p.requires_grad}
        if {n: p.shape for n, p in parameters.items()} != {n: v.shape for n, v in saved.items()}:
            raise ConfigError(f"the checkpoint {path} is of another model or other adapters")
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(saved[name])

    def _identity(self) -> dict[str, Any]:
        """What must be the same when the run goes on, by names that a user knows."""
        return {
            **self.config.model_dump(mode="json"),
            "dtype": str(self.policy.base.dtype).removeprefix("torch."),
            **{f"lora.{key}": value for key, value in self.policy.adapter_facts().items()},
            "weights that are not trained": _frozen_digest(self.policy),
        }


def data_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Sixteen hex digits that change with any row; what JSON cannot write counts by its type."""
    digest = hashlib.sha256()
    for row in rows:
        text = json.dumps(row, sort_keys=True, default=lambda value: type(value).__qualname__)
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()[:16]


def _check_same(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """A key that the checkpoint does not know yet had its default."""
    defaults = {name: f.get_default() for name, f in GRPOConfig.model_fields.items()}
    known = {**defaults, **before}
    keys = [k for k in {**known, **now} if k not in _MAY_CHANGE and known.get(k) != now.get(k)]
    if keys:
        changes = "\n".join(f"  {key}: {known.get(key)!r} -> {now.get(key)!r}" for key in keys)
        if {"gradient_accumulation_steps", "steps_per_generation"} & set(keys):
            changes += f"\n  (both as of all processes, of which there are {parallel.processes()})"
        raise ConfigError(
            f"the configuration is not that of the checkpoint {path}:\n{changes}\nPut it back, or "
            f"begin a new run with the checkpoint as its model"
        )


def _frozen_digest(policy: Policy) -> str | None:
    """Of the weights that adapters stand on: a little of each, which tells other models apart."""
    frozen = [(n, p) for n, p in policy.model.named_parameters() if not p.requires_grad]
    return _digest(frozen) if frozen else None


def weights_digest(policy: Policy) -> str:
    """Of all weights, by a little of each, which any step of learning changes."""
    return _digest(policy.model.named_parameters())


def _digest(named: Iterable[tuple[str, torch.nn.Parameter]]) -> str:
    digest = hashlib.sha256()
    for name, p in named:
        some = p.detach().flatten()[:: max(1, p.numel() // 64)].float().cpu()
        digest.update(f"{name}{tuple(p.shape)}{p.dtype}".encode() + some.numpy().tobytes())
    return digest.hexdigest()[:16]


def generators() -> dict[str, Any]:
    """Every generator that a reward, a model or a library may draw from."""
    kind, keys, position, has_gauss, cached = cast("tuple[Any, ...]", np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (str(kind), torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def seed_generators(seed: int) -> None:
    """Let every one of them begin anew."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def _put_back_generators(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
