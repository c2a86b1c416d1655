"""Base weights in four bits, by bitsandbytes (QLoRA, arXiv 2305.14314)."""

from __future__ import annotations

from typing import Any

import torch

from rewardkit.errors import ConfigError, MissingExtraError
from rewardkit.trainers.config import LoraSettings, QuantSettings

__all__ = ["check_quantised", "keep_packing", "quantised_loading"]


def check_quantised(quant: QuantSettings, lora: LoraSettings | None, adapter: bool) -> None:
    """Look whether a model can be loaded so, before it is.

    Args:
        quant: how.
        lora: settings of new adapters.
        adapter: whether the model comes with an adapter already.

    Raises:
        MissingExtraError: if bitsandbytes is not installed.
        ConfigError: without adapters: there would be nothing to learn.
    """
    if not quant.load_in_4bit:
        return
    if lora is None and not adapter:
        raise ConfigError(
            "load_in_4bit freezes the weights, and there is nothing else to learn: give lora, or "
            "name a folder with an adapter as the model"
        )
    try:
        import bitsandbytes  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("load_in_4bit", "qlora", "bitsandbytes") from error


def quantised_loading(quant: QuantSettings, dtype: str) -> dict[str, Any]:
    """Arguments of ``from_pretrained``.

    Args:
        quant: how.
        dtype: of what is not quantised (embeddings, norms, the head), and of products.
    """
    if not quant.load_in_4bit:
        return {}
    from transformers import BitsAndBytesConfig

    compute = torch.float32 if dtype == "float32" else torch.bfloat16
    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quant.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=quant.use_bnb_nested_quant,
        bnb_4bit_compute_dtype=compute,
    )
    # Weights are quantised as they arrive on their device, so that they are never there whole.
    device = {"": torch.cuda.current_device()} if torch.cuda.is_available() else {"": "cpu"}
    return {"quantization_config": how, "device_map": device}


def keep_packing(model: Any) -> None:
    """Keep bitsandbytes from packing weights anew for inference.

    On some processors it does so, in place, when a model in evaluation mode is first called; the
    gradient of a weight so packed is not known, and training goes on after every rollout.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
