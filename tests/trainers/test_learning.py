"""Promise: the trainers really learn; a control with random rewards does not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Rubric
from rewardkit.errors import DataError
from rewardkit.trainers import GRPOConfig, Policy, WarmupConfig, train, warm_up

ROWS = [{"prompt": f"say {i}"} for i in range(8)]


def share_of_sevens(completion: str) -> float:
    return completion.count("7") / 12


def chance(completion: str) -> float:
    return random.Random(completion).random()


def learned(model: Path, rubric: Rubric, backend: str = "builtin", **changes: Any) -> float:
    config = GRPOConfig(
        **{
            "num_generations": 8,
            "per_device_train_batch_size": 64,
            "max_completion_length": 12,
            "max_steps": 60,
            "learning_rate": 1e-2,
            "gradient_checkpointing": False,
            "save_steps": 0,
            **changes,
        }
    )
    seen = (
        rubric
        if "sevens" in rubric.parts
        else Rubric.from_parts(
            {**rubric.parts, "sevens": rubric_of_sevens.parts["sevens"].with_weight(0.0)}
        )
    )
    result = train(model, seen, ROWS, config, backend=backend, quiet=True)  # type: ignore[arg-type]
    return float([r for r in result.history if "parts/sevens/mean" in r][-1]["parts/sevens/mean"])


rubric_of_sevens = Rubric(sevens=share_of_sevens)


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_a_reward_is_learned_by_either_backend(tiny_model: Path, backend: str) -> None:
    assert learned(tiny_model, rubric_of_sevens, backend) > 0.6


@pytest.mark.parametrize("loss_type", ["dapo", "dr_grpo", "bnpo"])
def test_every_loss_learns(tiny_model: Path, loss_type: str) -> None:
    assert learned(tiny_model, rubric_of_sevens, loss_type=loss_type) > 0.6


def test_random_rewards_do_not_teach_it(tiny_model: Path) -> None:
    assert learned(tiny_model, Rubric(chance=chance)) < 0.2


def test_warm_up_teaches_what_it_shows(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    rows = [{"prompt": "2+2=", "completion": "4"}, {"prompt": "3+3=", "completion": "6"}]
    settings = WarmupConfig(max_steps=60, per_device_train_batch_size=8, learning_rate=1e-2)
    losses = warm_up(policy, rows, settings)
    assert losses[-1] < 0.1 < losses[0]
    with pytest.raises(DataError, match="prompt and completion; columns are: prompt"):
        warm_up(policy, [{"prompt": "x"}], settings)
    with pytest.raises(DataError, match="empty"):
        warm_up(policy, [], settings)
