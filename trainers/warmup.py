"""Supervised warm-up: the cold start that teaches a base model the format before RL begins.

RL spends its first steps on format if the model has never seen it, and learns nothing where a right
answer is never sampled (DeepSeek-R1, arXiv 2501.12948, section 2.3, calls this the cold start).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic import Field

from rewardkit._strict import Strict
from rewardkit.errors import DataError
from rewardkit.sample import last_text
from rewardkit.trainers import parallel
from rewardkit.trainers.config import GRPOConfig, Scheduler
from rewardkit.trainers.model import Policy
from rewardkit.trainers.prompts import encode_prompt
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.schedule import make_schedule
from rewardkit.trainers.tokens import flat_logps
from rewardkit.trainers.update import apply_gradients, make_gradients

__all__ = ["WarmupConfig", "warm_up"]


class WarmupConfig(Strict):
    """Supervised steps before GRPO; names as in TRL's ``SFTConfig``."""

    max_steps: int = Field(default=100, ge=1)
    per_device_train_batch_size: int = Field(default=32, ge=1)
    """Examples of a step, of all processes together."""
    max_tokens_per_microbatch: int | None = Field(default=None, ge=1)
    """Tokens that go through the model at a time; ``None``: all of a step."""
    bf16: bool = False
    learning_rate: float = Field(default=1e-4, gt=0)
    lr_scheduler_type: Scheduler = "linear"
    warmup_steps: int = Field(default=10, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    seed: int = 42


def warm_up(
    policy: Policy,
    rows: Sequence[Mapping[str, Any]],
    config: WarmupConfig,
    *,
    on_step: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Minimise the cross-entropy of the rows' completions, prompts excluded.

    Rows are packed, and done over in smaller parts where memory does not suffice, as in GRPO.
    Several processes share the work, and come to the same weights.

    Args:
        policy: learns in place.
        rows: each with ``prompt`` and ``completion`` (text or chat).
        config: see :class:`WarmupConfig`.
        on_step: called with the step (from 1) and its loss.

    Returns:
        The loss of each step, in nats per token.

    Raises:
        DataError: if there are no rows, or one lacks a column.
        RewardKitError: if the loss or the gradient is not finite, or one example alone does not fit
            into memory; the step has changed nothing then.
        HalfStepError: if memory does not suffice for the optimizer; some weights may have changed.
    """
    if not rows:
        raise DataError("the warm-up data is empty")
    parallel.start()
    examples = [_example(policy, index, row) for index, row in enumerate(rows)]
    optimizer = torch.optim.AdamW(
        policy.trainable(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    scheduler = make_schedule(
        config.lr_scheduler_type, optimizer, config.warmup_steps, config.max_steps
    )
    draw = random.Random(config.seed)
    how = _as_in_grpo(config)
    carried: dict[str, float] = {}
    losses: list[float] = []
    policy.model.train()
    for step in range(1, config.max_steps + 1):
        batch = [draw.choice(examples) for _ in range(config.per_device_train_batch_size)]
        tokens = sum(len(example.ids) for example in batch)  # of the step, however it is cut

        def work(part: list[Completion], tokens: int = tokens) -> float:
            loss = -flat_logps(policy, part, how, entropy=False).logp.sum() / tokens
            loss.backward()
            return float(loss.detach())

        loss, _ = make_gradients(policy, optimizer, batch, how, carried, work, None)
        apply_gradients(
            policy, optimizer, scheduler, loss, config.max_grad_norm,
            remedy="Load the model anew, with adapters (lora), or take a smaller one",
        )  # fmt: skip
        losses.append(loss)
        if on_step is not None:
            on_step(step, losses[-1])
    return losses


def _as_in_grpo(config: WarmupConfig) -> GRPOConfig:
    """The keys that say how examples go through the model, as GRPO has them. Temperature 1: the
    loss is the model's own cross-entropy."""
    same = ("per_device_train_batch_size", "max_tokens_per_microbatch", "bf16")
    # A copy: what a batch of completions must be a multiple of is nothing to a warm-up.
    return GRPOConfig().model_copy(update={key: getattr(config, key) for key in same})


def _example(policy: Policy, index: int, row: Mapping[str, Any]) -> Completion:
    if not row.get("prompt") or not row.get("completion"):
        have = ", ".join(map(str, row)) or "none"
        raise DataError(f"warm-up row {index} needs prompt and completion; columns are: {have}")
    text = last_text(row["completion"], role="assistant")
    ids = [
        *policy.tokenizer(text, add_special_tokens=False)["input_ids"],
        policy.tokenizer.eos_token_id,
    ]
    prompt = encode_prompt(policy.tokenizer, row["prompt"])
    return Completion(index, index, 0, prompt, ids, False, text, [])
