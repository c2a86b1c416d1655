"""Our configuration as TRL's: every shared key is passed, and what cannot be carried is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig as TRLConfig

from rewardkit.errors import ConfigError
from rewardkit.trainers.config import GRPOConfig

__all__ = ["to_trl_config"]

_SAME_NAME = (
    "num_generations", "max_completion_length", "temperature", "top_p", "top_k",
    "per_device_train_batch_size", "gradient_accumulation_steps", "num_iterations", "max_steps",
    "num_train_epochs", "shuffle_dataset", "loss_type", "epsilon", "epsilon_high", "delta", "beta",
    "use_bias_correction_kl", "scale_rewards", "mask_truncated_completions", "disable_dropout",
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "gradient_checkpointing", "seed",
    "save_total_limit",
)  # fmt: skip

_NOT_CARRIED = {
    "ref_refresh_every": "TRL mixes the reference in place (sync_ref_model) and not with adapters",
    "head_budget_mib": "TRL's head has tiles of its own",
    "rollout_batch_size": "TRL generates each generation batch at once",
}


def to_trl_config(config: GRPOConfig, output_dir: Path) -> TRLConfig:
    """The ``trl.GRPOConfig`` that means the same.

    Every shared key is passed, so that a default that differs (``bf16``, ``loss_type``,
    ``use_bias_correction_kl``, ``disable_dropout``) never decides.

    Raises:
        ConfigError: for a key that is set and cannot be carried, or that this TRL does not know.
    """
    default = GRPOConfig()
    for key, why in _NOT_CARRIED.items():
        if getattr(config, key) != getattr(default, key):
            raise ConfigError(f"backend 'trl' cannot carry {key}={getattr(config, key)!r}: {why}")
    values: dict[str, Any] = {key: getattr(config, key) for key in _SAME_NAME}
    known = TRLConfig.__dataclass_fields__
    if "activation_checkpointing" in known:  # its name since transformers 5
        values["activation_checkpointing"] = values.pop("gradient_checkpointing")
    missing = sorted(key for key in values if key not in known)
    if missing:
        raise ConfigError(f"this version of TRL has no {', '.join(missing)}: upgrade trl")
    return TRLConfig(
        output_dir=str(output_dir),
        **values,
        steps_per_generation=config.micro_batches,
        logging_steps=1,  # metrics.jsonl holds every step; the display is thinned
        save_strategy="steps" if config.save_steps else "no",
        save_steps=config.save_steps or 500,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="no",
    )
