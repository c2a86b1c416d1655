"""Promise: TRL calls a rubric as it calls any reward, and groups are the trainer's groups."""

from __future__ import annotations

from typing import Any

import pytest

from rewardkit import FunctionReward, Rubric, TooManyUnscorableError
from rewardkit.trl import RubricReward


def distinct(completions: list[str]) -> list[float]:
    return [float(len(completions))] * len(completions)


@pytest.mark.parametrize(
    ("prompts", "size", "expected"),
    [
        (["a", "a", "a", "a"], 2, [2.0, 2.0, 2.0, 2.0]),
        (["a", "a", "a", "a"], None, [4.0, 4.0, 4.0, 4.0]),
        (["a", "a", "b", "b"], 2, [2.0, 2.0, 2.0, 2.0]),
        (["a", "b", "b", "c"], 2, [1.0, 2.0, 2.0, 1.0]),  # an evaluation that repeats otherwise
        (["a", "a", "a"], 2, [3.0, 3.0, 3.0]),
        ([], 2, []),
    ],
)
def test_neighbouring_groups_of_one_prompt_stay_apart(
    prompts: list[Any], size: int | None, expected: list[float]
) -> None:
    rubric = Rubric(p=FunctionReward(distinct, form="group"))
    reward = rubric.as_trl_reward(num_generations=size)
    assert reward(prompts=prompts, completions=["x"] * len(prompts)) == expected
    assert RubricReward(rubric).num_generations is None


def test_a_failing_reward_stops_the_run_although_its_part_is_skipped() -> None:
    def fails(completion: str) -> float:
        raise OSError("down")

    rubric = Rubric(a=lambda completion: 1.0, b=FunctionReward(fails, unscorable="skip"))
    with pytest.raises(TooManyUnscorableError, match="down"):
        rubric.as_trl_reward()(prompts=["a"], completions=["x"])
