"""Optimizers by the names that ``transformers`` gives them."""

from __future__ import annotations

from typing import Any

import torch

from rewardkit.errors import ConfigError, MissingExtraError
from rewardkit.trainers.config import GRPOConfig

__all__ = ["check_optimizer", "eight_bit_bytes", "make_optimizer"]

_BNB = {
    "adamw_8bit": "AdamW8bit",
    "adamw_bnb_8bit": "AdamW8bit",
    "paged_adamw": "PagedAdamW32bit",
    "paged_adamw_32bit": "PagedAdamW32bit",
    "paged_adamw_8bit": "PagedAdamW8bit",
}
"""The classes of bitsandbytes. Paged: their states move to the host where the GPU is short."""


def check_optimizer(config: GRPOConfig) -> None:
    """Look whether the optimizer can work here, before a model is loaded.

    Raises:
        MissingExtraError: if bitsandbytes is not installed.
        ConfigError: if it needs a GPU and there is none.
    """
    if config.optim not in _BNB:
        return
    try:
        import bitsandbytes  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"optim={config.optim!r}", "qlora", "bitsandbytes") from error
    if not torch.cuda.is_available():
        raise ConfigError(
            f"optim={config.optim!r} works on CUDA GPUs alone, and there is none here: take "
            f"optim='adamw_torch'"
        )


def make_optimizer(model: torch.nn.Module, config: GRPOConfig) -> torch.optim.Optimizer:
    """The optimizer of a model's trainable parameters.

    As in ``transformers``, biases and norms do not decay, and embeddings keep their states in 32
    bits where others have 8 (arXiv 2110.02861, section 2.3).
    """
    check_optimizer(config)
    groups = _groups(model, config.weight_decay)
    if config.optim in _BNB:
        return _of_bitsandbytes(model, groups, config)
    return torch.optim.AdamW(groups, fused=config.optim == "adamw_torch_fused" or None,
                             **_settings(config))  # fmt: skip


def _settings(config: GRPOConfig) -> dict[str, Any]:
    return {
        "lr": config.learning_rate,
        "betas": (config.adam_beta1, config.adam_beta2),
        "eps": config.adam_epsilon,
    }


def _groups(model: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _of_bitsandbytes(
    model: torch.nn.Module, groups: list[dict[str, Any]], config: GRPOConfig
) -> torch.optim.Optimizer:
    from bitsandbytes import optim as typed

    optim: Any = typed

    manager = optim.GlobalOptimManager.get_instance()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.weight.requires_grad:
            manager.register_module_override(module, "weight", {"optim_bits": 32})
    made: torch.optim.Optimizer = getattr(optim, _BNB[config.optim])(groups, **_settings(config))
    return made


def eight_bit_bytes(model: torch.nn.Module, config: GRPOConfig) -> int | None:
    """Bytes that the states of an optimizer of bitsandbytes take on the device, by arithmetic;
    ``None`` for one of torch's.

    In eight bits: two numbers a parameter, and two float32 scales for each block of 256; embeddings
    and tensors of fewer than 4,096 entries stay in 32 bits. Paged states are counted as if they
    were all on the device: they leave it only where it is full.
    """
    if config.optim not in _BNB:
        return None
    wide = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    total = 0
    for p in model.parameters():
        if not p.requires_grad:
            continue
        small = p.numel() < 4096 or id(p) in wide or "8bit" not in config.optim
        total += 8 * p.numel() if small else 2 * p.numel() + 8 * -(-p.numel() // 256)
    return total
