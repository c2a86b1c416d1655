"""The micro-batch that takes most: completions at their longest, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.model import Policy
from rewardkit.trainers.plan import Room
from rewardkit.trainers.replay import room_of
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["fullest", "tokens_of"]


def fullest(policy: Policy, config: GRPOConfig, prompt: int) -> tuple[list[Completion], bool]:
    """The largest micro-batch of a step, and whether it is the only one.

    All completions are taken to be ``max_completion_length`` tokens long, to come in whole groups
    and to be learned from. With a budget of tokens (``max_tokens_per_microbatch``) as many are
    taken as fill it, of which the last is shorter: a run has completions of all lengths, and sooner
    or later some that fill it up.

    Args:
        policy: tells whether its model takes packed rows.
        config: of the run.
        prompt: tokens of every prompt.
    """
    count = config.per_device_train_batch_size * config.gradient_accumulation_steps
    items = [_item(config, k, prompt, config.max_completion_length) for k in range(count)]
    room = room_of(policy, items, config, {})
    cut = room.cut(items)
    if room.tokens is None or len(cut) == 1:
        return cut[0], len(cut) == 1
    return _filled(room, config, prompt, room.tokens), False


def _filled(room: Room, config: GRPOConfig, prompt: int, budget: int) -> list[Completion]:
    """As many of a step's completions as come to the budget, but one always."""
    longest = prompt + config.max_completion_length
    if room.rows == "padded":  # rows of one length, whichever fills the budget
        rows = max(1, -(-budget // longest))
        width = longest if rows == 1 else budget // rows
        own = max(1, min(prompt, width - 1))
        return [_item(config, k, own, max(1, width - own)) for k in range(rows)]
    share = room.rows == "shared"
    batch = [_item(config, 0, prompt, config.max_completion_length)]
    left = budget - longest
    while left > 1:
        k = len(batch)
        first = not share or k % config.num_generations == 0
        own = min(prompt, left - 1) if first else prompt
        length = min(config.max_completion_length, left - own * first)
        batch.append(_item(config, k, own, length))
        left -= own * first + length
    return batch


def _item(config: GRPOConfig, index: int, prompt: int, length: int) -> Completion:
    group = index // config.num_generations
    asked = [2 + group, *[2] * (prompt - 1)]
    item = Completion(
        group, group, index, asked, [3] * length, False, "", [-1.0] * length,
        total=1.0, advantage=1.0,
    )  # fmt: skip
    noted = torch.zeros(length)
    if config.notes_old:
        item.old_logps = noted
        item.entropies = noted if config.top_entropy_quantile < 1 else None
    if config.beta:
        item.ref_logps = noted
    return item


def tokens_of(policy: Policy, batch: Sequence[Completion], config: GRPOConfig) -> int:
    """How many go through the model for it at once."""
    return room_of(policy, batch, config, {}).forwarded(batch)
