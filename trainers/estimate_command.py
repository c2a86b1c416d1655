"""``rewardkit estimate``: a configuration file in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rewardkit.data import load_rows
from rewardkit.errors import ConfigError, RewardKitError
from rewardkit.trainers.estimate import GIB, case_of, estimate, largest_context, largest_model
from rewardkit.trainers.memory.families import FAMILIES, family_of
from rewardkit.trainers.run import RunConfig, model_path, read_config

__all__ = ["estimate_command"]

_PROMPT = 512


def estimate_command(
    path: Path,
    *,
    model: str | None = None,
    prompt: int | None = None,
    device: str | None = None,
    card: float | None = None,
    family: str | None = None,
) -> dict[str, Any]:
    """What the run of a configuration takes, in GiB by phase and cause.

    Args:
        path: the configuration.
        model: instead of its own.
        prompt: tokens of the longest prompt; ``None``: as in the data if that is here, else 512.
        device: ``cuda`` or ``cpu``; ``None``: ``cuda`` if it is there or a card is asked about.
        card: GiB of a card that is asked about.
        family: of which to name the largest model that fits it; ``None``: the model's own.

    Raises:
        ConfigError: for a configuration or a model that cannot be read.
    """
    config, start = read_config(path)
    if config.backend == "trl":
        raise ConfigError("the estimate is of the built-in trainer: set backend to builtin")
    if family is not None:
        family_of(family)  # an unknown one is said before the search
    name = model or model_path(config.model, start)
    tokens, origin = (prompt, "given") if prompt else _longest_prompt(config, name, start)
    if device is None:
        device = "cuda" if card is not None or torch.cuda.is_available() else "cpu"
    case = case_of(config, name, prompt=tokens, cuda=device == "cuda")
    found = estimate(case)
    told = {
        "model": model or config.model, "device": device, "prompt_tokens": tokens,
        "prompt_from": origin, "completion_tokens": config.grpo.max_completion_length,
        **found.as_dict(),
    }  # fmt: skip
    if card is None:
        return told
    size = int(card * GIB)
    told |= {"card_gib": card, "fits": found.peak <= size}
    told["largest_context"] = largest_context(case, size)
    family = family or _own_family(case.model.model_type)
    if family is not None:
        best = largest_model(case, family, size)
        told |= {"family": family, "largest_model": None if best is None else best.name}
    return told


def _own_family(kind: str) -> str | None:
    return next((name for name, shapes in FAMILIES.items() if shapes[0].kind == kind), None)


def _longest_prompt(config: RunConfig, model: str, start: Path) -> tuple[int, str]:
    """From the data, where it and the tokenizer are files here."""
    from rewardkit.trainers.loading import load_tokenizer
    from rewardkit.trainers.prompts import encode_prompt

    if not ((start / config.data.path).exists() and Path(model).is_dir()):
        return _PROMPT, "assumed"
    try:
        tokenizer = load_tokenizer(model)
        rows = load_rows(config.data, folder=start)
        longest = max(len(encode_prompt(tokenizer, row["prompt"])) for row in rows)
    except (RewardKitError, OSError, KeyError):
        return _PROMPT, "assumed: the data cannot be read"
    return longest, "the longest in the data"
