"""Promise: the estimate is of the micro-batch that takes most: as many tokens as there is room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardkit.trainers import GRPOConfig, Policy
from rewardkit.trainers.memory.fullest import fullest, tokens_of
from rewardkit.trainers.replay import room_of


@pytest.fixture(scope="module")
def policy(tiny_model: Path) -> Policy:
    return Policy.load(str(tiny_model))


def config(**changes: Any) -> GRPOConfig:
    return GRPOConfig(
        **{"num_generations": 4, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4,
           "max_completion_length": 20, **changes}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "want", "alone"),
    [
        ({}, 10 + 4 * 20, False),  # a whole group, its prompt once
        ({"gradient_accumulation_steps": 1}, 10 + 4 * 20, True),
        ({"prefix_sharing": False}, 4 * 30, False),
        ({"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, 10 + 2 * 20, False),
        ({"max_tokens_per_microbatch": 200}, 200, False),
        ({"max_tokens_per_microbatch": 95}, 95, False),  # of a second group, five tokens
        ({"max_tokens_per_microbatch": 201, "prefix_sharing": False}, 201, False),
        ({"max_tokens_per_microbatch": 7}, 30, False),  # one completion always
        ({"max_tokens_per_microbatch": 9999}, 4 * (10 + 4 * 20), True),  # the whole step
    ],
    ids=str,
)
def test_a_micro_batch_is_filled_as_the_run_would_fill_it(
    policy: Policy, changes: dict[str, Any], want: int, alone: bool
) -> None:
    grpo = config(**changes)
    batch, only = fullest(policy, grpo, 10)
    assert (tokens_of(policy, batch, grpo), only) == (want, alone)
    assert room_of(policy, batch, grpo, {}).cut(batch) == [batch]
    assert max(len(c.ids) for c in batch) == 20


def test_a_budget_of_padded_rows_is_filled_with_rows_of_one_length(policy: Policy) -> None:
    grpo = config(max_tokens_per_microbatch=100)
    packs, policy.packs = policy.packs, False
    try:
        batch, only = fullest(policy, grpo, 10)
        assert {len(c.prompt_ids) + len(c.ids) for c in batch} == {25}
        assert (len(batch), tokens_of(policy, batch, grpo), only) == (4, 100, False)
    finally:
        policy.packs = packs
