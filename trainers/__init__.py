"""Trainers: our own GRPO, and TRL's, on the same rubric, data and configuration.

Names are loaded when first used: a configuration can be read and checked without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rewardkit.errors import MissingExtraError

if TYPE_CHECKING:
    from rewardkit.trainers.backends.trl import RubricReward, TRLTrainer, to_trl_config
    from rewardkit.trainers.config import GRPOConfig, LoraSettings
    from rewardkit.trainers.loop import GRPOTrainer
    from rewardkit.trainers.model import Policy
    from rewardkit.trainers.result import Trainer, TrainResult
    from rewardkit.trainers.run import RunConfig, make_trainer, train
    from rewardkit.trainers.tiny import make_tiny_model
    from rewardkit.trainers.warmup import WarmupConfig, warm_up

_WHERE = {
    "GRPOConfig": "config",
    "GRPOTrainer": "loop",
    "LoraSettings": "config",
    "Policy": "model",
    "RubricReward": "backends.trl",
    "RunConfig": "run",
    "TRLTrainer": "backends.trl",
    "TrainResult": "result",
    "Trainer": "result",
    "WarmupConfig": "warmup",
    "make_tiny_model": "tiny",
    "make_trainer": "run",
    "to_trl_config": "backends.trl",
    "train": "run",
    "warm_up": "warmup",
}

__all__ = [
    "GRPOConfig",
    "GRPOTrainer",
    "LoraSettings",
    "Policy",
    "RubricReward",
    "RunConfig",
    "TRLTrainer",
    "TrainResult",
    "Trainer",
    "WarmupConfig",
    "make_tiny_model",
    "make_trainer",
    "to_trl_config",
    "train",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_WHERE[name]}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("torch", "transformers", "peft", "rich", "numpy", "tokenizers"):
            raise MissingExtraError(f"rewardkit.trainers.{name}", "train", missing) from error
        if missing in ("trl", "datasets"):
            raise MissingExtraError(f"rewardkit.trainers.{name}", "trl", missing) from error
        raise
    return getattr(module, name)
