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
    "importance_sampling_level", "sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos",
    "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg", "off_policy_mask_threshold",
    "top_entropy_quantile", "entropy_coef", "use_adaptive_entropy", "entropy_coef_min",
    "entropy_coef_max", "entropy_coef_delta", "entropy_target", "use_bias_correction_kl",
    "scale_rewards", "mask_truncated_completions", "disable_dropout",
    "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "gradient_checkpointing", "seed",
    "save_total_limit", "optim",
)  # fmt: skip

_ONLY_VLLM = "TRL corrects for vLLM alone, which is not used here"
_NOT_CARRIED = {
    "kl_estimator": "TRL's is k3",
    "kl_placement": "TRL adds the KL to the loss",
    "kl_target": "TRL keeps beta as it is",
    "kl_gain": "TRL keeps beta as it is",
    "advantage_estimator": "TRL has another trainer for RLOO",
    "soft_punish_cache": "TRL has it as a reward function: get_soft_overlong_punishment",
    "soft_punish_penalty": "TRL has it as a reward function: get_soft_overlong_punishment",
    "multi_objective_aggregation": "the rubric is one reward to TRL, so there is nothing to sum",
    "vllm_importance_sampling_correction": _ONLY_VLLM,
    "vllm_importance_sampling_mode": _ONLY_VLLM,
    "vllm_importance_sampling_clip_max": _ONLY_VLLM,
    "vllm_importance_sampling_clip_min": _ONLY_VLLM,
    "ref_refresh_every": "TRL mixes the reference in place (sync_ref_model) and not with adapters",
    "head_budget_mib": "TRL's head has tiles of its own",
    "prefix_sharing": "TRL computes a prompt once for each completion",
    "max_tokens_per_microbatch": "TRL's micro-batches count completions",
    "rollout_batch_size": "TRL generates each generation batch at once",
    "kv_budget_gib": "TRL generates each generation batch at once",
    "activation_offloading": "TRL's GRPO trainer keeps layer inputs on the device",
    "mlp_tile": "TRL computes feed-forward blocks whole",
    "lean_ops": "TRL has no such choice",
    "dynamic_sampling": "TRL keeps groups without variance",
    "max_resample_times": "TRL keeps groups without variance",
    "reference": "TRL's reference is the policy at the start",
    "reward_workers": "TRL calls its reward in its own thread, after the generation",
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
    if config.loss_type == "rloo":
        raise ConfigError("backend 'trl' cannot carry loss_type='rloo': TRL has another trainer")
    values: dict[str, Any] = {key: getattr(config, key) for key in _SAME_NAME}
    known = TRLConfig.__dataclass_fields__
    if "activation_checkpointing" in known:  # its name since transformers 5
        values["activation_checkpointing"] = values.pop("gradient_checkpointing")
    lacking = sorted(key for key in values if key not in known)
    missing = [key for key in lacking if values.pop(key) != getattr(default, key)]
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
