"""A trained model for serving: full weights copied, adapters merged into a copy of their base.

Only here are adapters ever merged, and into weights that were loaded for it: merging and unmerging
the model that is being trained moves its base weights, in bfloat16 by a sixth of them each time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from rewardkit.errors import ConfigError
from rewardkit.trainers import checkpoints
from rewardkit.trainers.loading import adapter_base, load_adapter, load_model, load_tokenizer, quiet

__all__ = ["ExportDtype", "export_model"]

ExportDtype = Literal["float32", "bfloat16", "float16"]

_NOT_THE_MODEL = frozenset({
    "trainer.pt", "progress.json", "sums.json", "README.md",
    "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "training_args.bin",
})  # fmt: skip
"""Files of a checkpoint, ours or TRL's, that nobody serves."""


def export_model(
    source: str | Path,
    out: str | Path,
    *,
    checkpoint: int | None = None,
    adapter: bool = False,
    dtype: ExportDtype | None = None,
) -> Path:
    """Write a model, or an adapter, that any engine loads; returns the checkpoint it is of.

    Args:
        source: a run folder, or one of its checkpoints.
        out: the folder to write; it must not hold anything.
        checkpoint: the step, of a run folder; ``None``: the newest good one.
        adapter: write the adapter alone, in peft's format, instead of merging it.
        dtype: of the weights written; ``None``: as they are (merged: as the base model is). The
            sum of base and adapter is made in float32 and rounded once.

    Raises:
        ConfigError: if there is nothing to export, the checkpoint is damaged, ``out`` is not empty,
            or the merged model does not give the probabilities of base and adapter.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty: name a folder that is not there yet")
    found = _found(Path(source), checkpoint)
    base = adapter_base(str(found))
    if adapter and (base is None or dtype is not None):
        raise ConfigError(
            f"{found} holds full weights and no adapter: leave --adapter out"
            if base is None
            else "an adapter is written as it is: leave --dtype out"
        )
    if base is not None and not adapter:
        _in_one_move(out, lambda place: _merge(found, base, place, dtype))
    elif dtype is not None:
        _in_one_move(out, lambda place: _cast(found, place, dtype))
    else:
        _in_one_move(out, lambda place: _copy(found, place))
    return found


def _found(source: Path, step: int | None) -> Path:
    """The checkpoint meant, whole. Raises ``ConfigError``."""
    if (source / "manifest.json").is_file():
        manifest = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
        if manifest.get("backend") == "trl":
            return _of_trl(source / "checkpoints", step)
        found, _ = checkpoints.choose(source / "checkpoints", step)
        if found is None:
            raise ConfigError(f"the run {source} has no checkpoint yet")
        return found
    if step is not None:
        raise ConfigError(f"{source} is no run folder, so it has no checkpoint {step}")
    if not any((source / n).is_file() for n in ("config.json", "adapter_config.json")):
        raise ConfigError(f"{source} is neither a run folder nor a checkpoint with a model")
    if (source / "sums.json").is_file() and (problem := checkpoints.damage(source)):
        raise ConfigError(f"the checkpoint {source} is damaged: {problem}")
    return source


def _of_trl(folder: Path, step: int | None) -> Path:
    path = folder / ("final" if step is None else f"checkpoint-{step}")
    if not path.is_dir():
        have = ", ".join(sorted(p.name for p in folder.iterdir())) or "none"
        raise ConfigError(f"there is no {path.name} in {folder}; there is: {have}")
    return path


def _in_one_move(out: Path, fill: Callable[[Path], None]) -> None:
    """An export that was cut off must not look like a model."""
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        if out.exists():
            out.rmdir()  # empty, as was seen
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy(found: Path, place: Path) -> None:
    for file in sorted(found.iterdir()):
        if file.is_file() and file.name not in _NOT_THE_MODEL:
            shutil.copy2(file, place / file.name)


def _cast(found: Path, place: Path, dtype: ExportDtype) -> None:
    model = load_model(str(found), "auto").to(getattr(torch, dtype))
    _save(model, str(found), place)


def _merge(found: Path, base: str, place: Path, dtype: ExportDtype | None) -> None:
    plain = load_model(base, "auto")
    own = plain.dtype
    model = load_adapter(plain.float(), str(found), trainable=False).eval()
    before = _sample_logps(model)
    merged = model.merge_and_unload(safe_merge=True)
    off = float((_sample_logps(merged) - before).abs().max())
    if not off < 1e-3:
        raise ConfigError(
            f"merged, the model in {found} gives other probabilities (log-probabilities differ by "
            f"{off:.3g}): export the adapter alone, with --adapter, and serve it on its base"
        )
    _save(merged.to(own if dtype is None else getattr(torch, dtype)), str(found), place)


@torch.no_grad()
def _sample_logps(model: Any) -> torch.Tensor:
    ids = torch.arange(1, 9)[None] % model.get_input_embeddings().weight.shape[0]
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits.float().log_softmax(-1)


def _save(model: Any, tokenizer: str, place: Path) -> None:
    with quiet():
        model.save_pretrained(str(place))
    load_tokenizer(tokenizer).save_pretrained(str(place))
