"""Promise: with adapters, nothing that training does changes the base model by one byte.

Merging adapters for every rollout and taking them out again does, in half precision, within one
cycle: the sum is rounded and the difference is not what it was.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings

ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]


def digests(model: Any) -> dict[str, str]:
    """Of every tensor that is not trained, buffers too, by its bytes."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return {
        name: hashlib.sha256(
            t.detach().contiguous().view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, t in named
        if not t.requires_grad
    }


def cycles(tiny_model: Path, count: int, dtype: Any, **changes: Any) -> None:
    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=2, max_completion_length=3,
        max_steps=count, learning_rate=1e-2, gradient_checkpointing=False, beta=0.05,
        ref_refresh_every=5, **changes,
    )  # fmt: skip
    rubric = Rubric(length=lambda completion: float(len(set(completion))))
    run = GRPOTrainer(
        tiny_model,
        rubric,
        ROWS,
        config,
        lora=LoraSettings(r=2, lora_alpha=8),
        dtype=dtype,
        quiet=True,
    )
    before = digests(run.policy.model)
    learned = [p.detach().clone() for p in run.policy.trainable()]
    assert len(before) > 10
    assert run.train().steps == count
    assert digests(run.policy.model) == before
    assert not all(torch.equal(a, b) for a, b in zip(learned, run.policy.trainable(), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rollouts_and_steps_with_adapters_leave_every_byte_of_the_base(
    tiny_model: Path, dtype: str
) -> None:
    cycles(tiny_model, 12, dtype)


@pytest.mark.slow
def test_a_thousand_rollouts_and_steps_leave_every_byte_of_the_base(tiny_model: Path) -> None:
    cycles(tiny_model, 1000, "bfloat16")
