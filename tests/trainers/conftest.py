"""What tests of the trainer share: models in true float64, and small ones of many architectures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.trainers import GRPOConfig, LoraSettings, Policy

# What tests of this folder share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))
try:
    import forked_runs  # noqa: F401
finally:
    sys.path.pop(0)

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 128,
}  # fmt: skip


def _rms_norm(module: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.rms_norm(x, x.shape[-1:], module.weight, module.variance_epsilon)


@pytest.fixture(scope="session")
def in_float64() -> Callable[[Policy], Policy]:
    """Make a policy compute in float64 throughout."""

    def change(policy: Policy) -> Policy:
        policy.base.double()
        for module in policy.base.modules():
            if type(module).__name__ == "LlamaRMSNorm":  # its own forward rounds to float32
                module.forward = partial(_rms_norm, module)
        return policy

    return change


@pytest.fixture(scope="session")
def small_model(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Policy]:
    """A small policy of an architecture, with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from rewardkit.trainers.loading import load_tokenizer

    def make(
        kind: str,
        lora: LoraSettings | None = None,
        config: GRPOConfig | None = None,
        **changes: Any,
    ) -> Policy:
        tokenizer = load_tokenizer(str(tiny_model))
        sizes = {} if kind == "gpt2" else SIZES
        settings = AutoConfig.for_model(
            kind, **{**sizes, **changes}, vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )  # fmt: skip
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(kind)
        AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        plain = GRPOConfig(gradient_checkpointing=False)
        return Policy.load(str(folder), lora=lora, config=config or plain)

    return make
