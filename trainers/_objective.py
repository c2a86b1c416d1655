"""Keys of the objective that cannot be meant together, or would have no effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewardkit.trainers.config import GRPOConfig

__all__ = ["check_objective"]

_CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo", "rloo")


def check_objective(config: GRPOConfig) -> None:
    """Raises ``ValueError``, with the mend."""
    _check_loss(config)
    _check_reference(config)
    _check_rewards(config)
    _check_entropy(config)
    _check_correction(config)


def _check_loss(config: GRPOConfig) -> None:
    kind = config.loss_type
    if kind == "cispo" and config.epsilon_high is None:
        raise ValueError(
            "loss_type cispo needs epsilon_high: there it bounds the ratio itself (5.0 in ScaleRL)"
        )
    if config.delta is not None and kind not in _CLIPPED:
        raise ValueError(f"delta has no effect on loss_type {kind}, which does not clip")
    if kind == "rloo" and config.importance_sampling_level != "token":
        raise ValueError(
            "loss_type rloo has ratios of its own: leave importance_sampling_level out"
        )
    _without_effect(config, "sapo_", kind == "sapo", "loss_type sapo")
    _without_effect(config, "vespo_", kind == "vespo", "loss_type vespo")


def _check_reference(config: GRPOConfig) -> None:
    for key in ("ref_refresh_every", "reference", "kl_target", "kl_estimator", "kl_placement",
                "use_bias_correction_kl"):  # fmt: skip
        if not config.beta and _is_set(config, key):
            raise ValueError(f"{key} has no effect where beta = 0 asks for no reference")
    if _is_set(config, "kl_gain") and config.kl_target is None:
        raise ValueError("kl_gain has no effect without kl_target")
    if config.kl_placement == "reward" and config.use_bias_correction_kl:
        raise ValueError("use_bias_correction_kl is for a KL in the loss, not in the reward")
    alone = config.kl_placement == "loss" and not config.use_bias_correction_kl
    if config.beta and config.kl_estimator == "k1" and alone:
        raise ValueError(
            "kl_estimator k1 in the loss has a gradient of mean zero: set kl_placement='reward' or "
            "use_bias_correction_kl=True, or take k2 or k3"
        )


def _check_rewards(config: GRPOConfig) -> None:
    if config.advantage_estimator == "rloo" and config.scale_rewards != "none":
        raise ValueError("advantage_estimator rloo divides by nothing: set scale_rewards='none'")
    if config.multi_objective_aggregation == "normalize_then_sum":
        if config.advantage_estimator != "grpo" or _is_set(config, "scale_rewards"):
            raise ValueError(
                "normalize_then_sum has a normalisation of its own: leave advantage_estimator and "
                "scale_rewards out"
            )
        if config.kl_placement == "reward" or config.soft_punish_cache:
            raise ValueError(
                "normalize_then_sum normalises the rubric's parts: a KL in the reward and "
                "soft_punish_cache are none of them"
            )
    if config.soft_punish_cache and config.soft_punish_cache > config.max_completion_length:
        raise ValueError(
            f"soft_punish_cache = {config.soft_punish_cache} must not be more than "
            f"max_completion_length = {config.max_completion_length}"
        )
    if _is_set(config, "soft_punish_penalty") and not config.soft_punish_cache:
        raise ValueError("soft_punish_penalty has no effect without soft_punish_cache")


def _check_entropy(config: GRPOConfig) -> None:
    if config.entropy_coef_min > config.entropy_coef_max:
        raise ValueError("entropy_coef_min must not be more than entropy_coef_max")
    for key in ("entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target"):
        if _is_set(config, key) and not config.use_adaptive_entropy:
            raise ValueError(f"{key} has no effect without use_adaptive_entropy")


def _check_correction(config: GRPOConfig) -> None:
    on, mode = config.vllm_importance_sampling_correction, config.vllm_importance_sampling_mode
    _without_effect(config, "vllm_importance_sampling_", on, "vllm_importance_sampling_correction")
    low = config.vllm_importance_sampling_clip_min
    high = config.vllm_importance_sampling_clip_max
    if low is not None and high is not None and low >= high:
        raise ValueError(
            f"vllm_importance_sampling_clip_min = {low:g} must be less than "
            f"vllm_importance_sampling_clip_max = {high:g}"
        )
    if on and low is None and high is None:
        raise ValueError("vllm_importance_sampling_correction needs a bound: clip_max or clip_min")
    if on and config.loss_type == "vespo" and not mode.startswith("token"):
        raise ValueError(
            "loss_type vespo multiplies the corrections of tokens: set "
            "vllm_importance_sampling_mode to token_truncate or token_mask"
        )


def _without_effect(config: GRPOConfig, prefix: str, on: bool, needed: str) -> None:
    for key in type(config).model_fields:
        if key.startswith(prefix) and not on and _is_set(config, key):
            raise ValueError(f"{key} has no effect without {needed}")


def _is_set(config: GRPOConfig, key: str) -> bool:
    """Whether it differs from its default: a file that spells defaults out means nothing by it."""
    return bool(getattr(config, key) != type(config).model_fields[key].default)
