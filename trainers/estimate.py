"""What a run will take, before anything is downloaded or allocated; what a card has room for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from rewardkit.errors import ConfigError
from rewardkit.trainers.config import LoraSettings
from rewardkit.trainers.loading import adapter_base
from rewardkit.trainers.memory.families import Shape, family_of, named_shape
from rewardkit.trainers.memory.footprint import Case, Footprint, footprints
from rewardkit.trainers.rollout.cache import at_a_time
from rewardkit.trainers.run import RunConfig

__all__ = [
    "Estimate",
    "case_of",
    "estimate",
    "largest_context",
    "largest_model",
    "model_config",
    "peak_by_layers",
]

GIB = 2**30
_LAYERS = 2, 4
"""A stack of equal layers grows by the same bytes with each: two heights of it tell the rest."""
_STEP = 256
"""Tokens by which the search for the largest context goes."""
_MOST = 2**21 // _STEP
"""Where it stops: at two million tokens."""


@dataclass(frozen=True)
class Estimate:
    """A run's memory.

    Attributes:
        phases: ``train`` and ``rollout``.
    """

    phases: Mapping[str, Footprint]

    @property
    def peak(self) -> int:
        """Bytes of the phase that takes most: one ends before the other begins."""
        return max(phase.total for phase in self.phases.values())

    @property
    def host(self) -> int:
        """Bytes in host memory at most, beside what the process itself has."""
        return max(sum(phase.host.values()) for phase in self.phases.values())

    def as_dict(self) -> dict[str, Any]:
        """GiB by phase, side and cause, and the tokens of each phase at a time."""
        return {
            "peak_gib": _gib(self.peak),
            "host_gib": _gib(self.host),
            "phases": {
                name: {
                    "total_gib": _gib(phase.total),
                    "tokens": phase.tokens,
                    "device_gib": {k: _gib(v) for k, v in phase.device.items()},
                    "host_gib": {k: _gib(v) for k, v in phase.host.items()},
                }
                for name, phase in self.phases.items()
            },
        }


def _gib(count: int) -> float:
    return round(count / GIB, 4)


def estimate(case: Case) -> Estimate:
    """The memory of a run; some seconds on one core.

    Raises:
        ConfigError: if ``kv_budget_gib`` does not hold one completion.
    """
    return Estimate(footprints(case))


def case_of(config: RunConfig, model: str, *, prompt: int, cuda: bool) -> Case:
    """A run's configuration as far as its memory depends on it.

    Args:
        config: of the run.
        model: folder, hub name, or the name of a known shape.
        prompt: tokens of the longest prompt.
        cuda: on a GPU, or on a CPU.

    Raises:
        ConfigError: if the model's configuration is not here.
    """
    shape = model_config(model)
    own = getattr(shape, "dtype", None) if config.dtype == "auto" else config.dtype
    dtype = getattr(torch, own) if isinstance(own, str) else own or torch.float32
    quant = config.quantization
    return Case(
        shape, dtype, config.grpo, config.lora or _lora_of(model), prompt=prompt, cuda=cuda,
        **({} if quant is None else {"quant": quant}),
    )  # fmt: skip


def _lora_of(model: str) -> LoraSettings | None:
    """The settings of the adapter in a folder, if that is what is trained on."""
    path = Path(model) / "adapter_config.json"
    if not path.is_file() or adapter_base(model) is None:
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    keys = ("r", "lora_alpha", "lora_dropout", "target_modules")
    return LoraSettings(**{key: facts[key] for key in keys if facts.get(key) is not None})


def model_config(model: str) -> Any:
    """The configuration of a model that is here, or whose shape is known; nothing is downloaded.

    Raises:
        ConfigError: for any other.
    """
    if Path(model).is_dir():
        base = adapter_base(model)
        if base is not None:
            return model_config(base)
    try:
        return AutoConfig.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError) as error:
        shape = named_shape(model)
        if shape is None:
            raise ConfigError(
                f"the configuration of {model!r} is not here, and its shape is not known by name: "
                f"get it with `hf download {model} config.json`, or give --model one of the known "
                f"shapes (llama3-8B, qwen2.5-7B, ...)"
            ) from error
        return shape.config()


def largest_context(case: Case, card: int) -> int:
    """Tokens of prompt and completion together, up to which the run fits.

    Args:
        case: the run; its ``max_completion_length`` is what varies.
        card: bytes.

    Returns:
        A multiple of 256 tokens, or 0 if not even the first one beyond the prompt fits.
    """
    sized = peak_by_layers(case)

    def total(tokens: int) -> int:
        grpo = case.grpo.model_copy(update={"max_completion_length": tokens - case.prompt})
        other = replace(case, grpo=grpo)
        try:
            _rows(other)
        except ConfigError:  # kv_budget_gib does not hold one so long, and the run would be refused
            return card + 1
        return sized(other)

    low = case.prompt // _STEP + 1  # counted in steps
    high = 2 * low
    if total(low * _STEP) > card:
        return 0
    while total(high * _STEP) <= card and high < _MOST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if total(middle * _STEP) <= card else (low, middle)
    return low * _STEP


def largest_model(case: Case, family: str, card: int) -> Shape | None:
    """The largest model of a family with which the run fits; ``None`` if none does.

    Raises:
        ConfigError: if the family is not known.
    """
    found = None
    for shape in family_of(family):
        other = replace(case, model=shape.config())
        if peak_by_layers(other)(other) > card:
            break
        found = shape
    return found


def peak_by_layers(case: Case) -> Callable[[Case], int]:
    """The peak of cases of this model, in bytes, by way of two models of fewer layers."""
    text = case.model.get_text_config()
    count = int(text.num_hidden_layers)
    if count <= max(_LAYERS):
        return lambda other: Estimate(footprints(other)).peak

    def peak(other: Case) -> int:
        low, high = (_totals(other, layers) for layers in _LAYERS)
        rise = [(b - a) / (_LAYERS[1] - _LAYERS[0]) for a, b in zip(low, high, strict=True)]
        more = count - _LAYERS[1]
        return max(int(b + more * r) for b, r in zip(high, rise, strict=True))

    return peak


def _rows(case: Case) -> int:
    """Completions that are written at a time. Raises ``ConfigError`` if not one can be."""
    return at_a_time(case.grpo, case.model, case.dtype.itemsize, [range(case.prompt)])


def _totals(case: Case, layers: int) -> list[int]:
    config = copy.deepcopy(case.model)
    text = config.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    # As many completions at a time as of the whole model: a budget would hold more of fewer layers.
    rows = {"rollout_batch_size": _rows(case), "kv_budget_gib": None}
    found = footprints(replace(case, model=config, grpo=case.grpo.model_copy(update=rows)))
    return [found[name].total for name in ("train", "rollout")]
