"""Trainers: our own GRPO, and TRL's, on the same rubric, data and configuration.

Names are loaded when first used: a configuration can be read and checked without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rewardkit._lazy import lazy
from rewardkit.errors import MissingExtraError

if TYPE_CHECKING:
    from rewardkit.trainers.backends.trl import TRLTrainer
    from rewardkit.trainers.backends.trl_config import to_trl_config
    from rewardkit.trainers.config import GRPOConfig, LoraSettings, QuantSettings
    from rewardkit.trainers.export import export_model
    from rewardkit.trainers.loop import GRPOTrainer
    from rewardkit.trainers.model import Policy
    from rewardkit.trainers.result import Trainer, TrainResult
    from rewardkit.trainers.run import RunConfig, make_trainer, train
    from rewardkit.trainers.tiny import make_tiny_model
    from rewardkit.trainers.warmup import WarmupConfig, warm_up

__all__ = [
    "GRPOConfig",
    "GRPOTrainer",
    "LoraSettings",
    "Policy",
    "QuantSettings",
    "RunConfig",
    "TRLTrainer",
    "TrainResult",
    "Trainer",
    "WarmupConfig",
    "export_model",
    "make_tiny_model",
    "make_trainer",
    "to_trl_config",
    "train",
    "warm_up",
]

_found = lazy(
    __name__,
    {
        "rewardkit.trainers.backends.trl": ("TRLTrainer",),
        "rewardkit.trainers.backends.trl_config": ("to_trl_config",),
        "rewardkit.trainers.config": ("GRPOConfig", "LoraSettings", "QuantSettings"),
        "rewardkit.trainers.export": ("export_model",),
        "rewardkit.trainers.loop": ("GRPOTrainer",),
        "rewardkit.trainers.model": ("Policy",),
        "rewardkit.trainers.result": ("Trainer", "TrainResult"),
        "rewardkit.trainers.run": ("RunConfig", "make_trainer", "train"),
        "rewardkit.trainers.tiny": ("make_tiny_model",),
        "rewardkit.trainers.warmup": ("WarmupConfig", "warm_up"),
    },
)
_EXTRA_OF = {"trl": "trl", "datasets": "trl"} | dict.fromkeys(
    ("torch", "transformers", "peft", "rich", "numpy", "tokenizers"), "train"
)


def __getattr__(name: str) -> Any:
    try:
        return _found(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA_OF:
            raise
        raise MissingExtraError(
            f"rewardkit.trainers.{name}", _EXTRA_OF[missing], missing
        ) from error
