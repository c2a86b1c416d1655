"""How much memory the keys and values of completions take, and how many fit a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rewardkit.errors import ConfigError
from rewardkit.trainers.config import GRPOConfig

__all__ = ["at_a_time", "token_bytes"]


def token_bytes(config: Any, itemsize: int) -> int:
    """Bytes of one token's keys and values in all layers of a model.

    A layer that only sees a window keeps no more than that, so for such a model this is an upper
    bound.

    Args:
        config: of a model of ``transformers``.
        itemsize: bytes of a number.
    """
    text = config.get_text_config()
    heads = text.num_attention_heads
    kept = getattr(text, "num_key_value_heads", None) or heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return int(text.num_hidden_layers * kept * width * 2 * itemsize)


def at_a_time(
    config: GRPOConfig, model_config: Any, itemsize: int, prompts: Sequence[Sequence[int]]
) -> int:
    """How many completions are written at a time.

    Args:
        config: ``rollout_batch_size`` and ``kv_budget_gib``.
        model_config: of the model.
        itemsize: bytes of a number in the cache.
        prompts: token ids; the longest one counts.

    Raises:
        ConfigError: if the budget does not hold one.
    """
    size = config.rollout_batch_size or config.generation_batch_size
    if config.kv_budget_gib is None:
        return size
    longest = max(map(len, prompts), default=0)
    each = token_bytes(model_config, itemsize) * (longest + config.max_completion_length)
    fit = int(config.kv_budget_gib * 2**30) // each
    if not fit:
        raise ConfigError(
            f"kv_budget_gib = {config.kv_budget_gib:g} does not hold one completion: a prompt of "
            f"{longest} tokens with max_completion_length = {config.max_completion_length} takes "
            f"{each / 2**30:.3g} GiB of keys and values"
        )
    return min(size, fit)
