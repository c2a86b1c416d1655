"""Promise: what cannot be judged leaves loss, group mean and std untouched, to the last bit."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy
from rewardkit.trainers.advantage import advantages
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

finite = st.floats(-1e6, 1e6, allow_nan=False)
groups_of_rewards = st.lists(st.lists(finite, min_size=1, max_size=8), min_size=1, max_size=4)


def flatten(groups: list[list[float]]) -> tuple[list[float | None], list[int]]:
    totals: list[float | None] = [r for g in groups for r in g]
    return totals, [i for i, g in enumerate(groups) for _ in g]


@given(groups_of_rewards, st.data())
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_an_unscorable_completion_changes_no_other_advantage_by_one_bit(
    scale: str, groups: list[list[float]], data: st.DataObject
) -> None:
    totals, ids = flatten(groups)
    before = advantages(totals, ids, scale)  # type: ignore[arg-type]
    place = data.draw(st.integers(0, len(totals)))
    group = data.draw(st.integers(0, len(groups)))
    with_one = advantages(
        [*totals[:place], None, *totals[place:]],
        [*ids[:place], group, *ids[place:]],
        scale,  # type: ignore[arg-type]
    )
    assert math.isnan(with_one[place])
    assert torch.equal(torch.cat([with_one[:place], with_one[place + 1 :]]), before)


@given(groups_of_rewards)
def test_advantages_are_those_of_the_paper(groups: list[list[float]]) -> None:
    totals, ids = flatten(groups)
    got = advantages(totals, ids)
    for i, rewards in enumerate(groups):
        mine = [float(a) for a, g in zip(got, ids, strict=True) if g == i]
        if len(rewards) < 2 or len(set(rewards)) == 1:
            assert mine == [0.0] * len(rewards)
            continue
        mean = math.fsum(rewards) / len(rewards)
        std = math.sqrt(math.fsum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))
        for a, r in zip(mine, rewards, strict=True):
            assert a == pytest.approx((r - mean) / (std + 1e-4), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.1 + 0.2, 1e-9, -3.3, 1 / 3])
def test_equal_rewards_give_exactly_no_advantage(value: float) -> None:
    """Rounding makes the mean of seven times 0.1 differ from 0.1; the std is then not zero."""
    assert advantages([value] * 7, [0] * 7).tolist() == [0.0] * 7


def items(policy: Policy) -> list[Completion]:
    encode = policy.tokenizer
    return [
        Completion(0, 0, k, encode("2+2=")["input_ids"], encode(text)["input_ids"], False, text, [])
        for k, text in enumerate(["4", "17", "no idea"])
    ]


@settings(deadline=None, max_examples=10)
@given(lost=st.sets(st.integers(0, 3), max_size=3))
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "bnpo"])
def test_unscorable_completions_leave_the_update_bit_equal(
    tiny_model: Path, loss_type: str, lost: set[int]
) -> None:
    """The same step with and without completions that have no total: the same weights."""
    weights = []
    for with_lost in (False, True):
        policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
        batch = items(policy)
        for item, advantage in zip(batch, (1.0, -0.5, -0.5), strict=True):
            item.total, item.advantage = 0.0, advantage
        if with_lost:
            for place in sorted(lost):
                batch.insert(place, items(policy)[2])  # no total, advantage NaN
        config = GRPOConfig(loss_type=loss_type)  # type: ignore[arg-type]
        optimizer = torch.optim.AdamW(policy.trainable(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        optimizer_step(policy, optimizer, schedule, [batch], config)
        weights.append([p.detach().clone() for p in policy.trainable()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_step_in_which_nothing_is_scorable_moves_no_weight(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model))
    before = [p.detach().clone() for p in policy.trainable()]
    optimizer = torch.optim.AdamW(policy.trainable(), lr=1e-2, weight_decay=0.5)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, [items(policy)], GRPOConfig())
    assert metrics["skipped"] == 1
    assert all(torch.equal(a, b) for a, b in zip(before, policy.trainable(), strict=True))


def test_a_run_whose_gold_cannot_be_read_for_one_prompt_goes_on_without_it(
    tiny_model: Path,
) -> None:
    from rewardkit.verifiers import NumberVerifier

    rubric = Rubric(answer=NumberVerifier().reward())
    rows = [{"prompt": "2+2=", "answer": "4"}, {"prompt": "1+1=", "answer": "two-ish"}]
    config = GRPOConfig(
        num_generations=4,
        per_device_train_batch_size=8,
        max_completion_length=4,
        max_steps=1,
        shuffle_dataset=False,
        max_unscorable_frac=0.5,
    )
    trainer = GRPOTrainer(tiny_model, rubric, rows, config, quiet=True)
    result = trainer.train()
    assert result.history[-1]["unscorable/frac"] == 0.5
    assert result.history[-1]["unscorable/dataset"] == 4
    assert trainer.progress.rollouts is not None
    lost = [c for c in trainer.progress.rollouts if c.group == 1]
    assert all(c.total is None and math.isnan(c.advantage) for c in lost)
