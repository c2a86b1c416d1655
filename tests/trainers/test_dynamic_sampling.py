"""Promise: groups that teach nothing are passed over, within bounds, counted, and repeatably."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit import ConfigError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer
from rewardkit.trainers.judging import flat_groups
from rewardkit.trainers.rollout.batch import Completion

ROWS = [{"prompt": f"{i}+{i}=", "hard": i % 3 > 0} for i in range(9)]


def only_the_easy(completion: str, hard: bool) -> float:
    """On two of three prompts every completion earns the same."""
    return 0.0 if hard else float(len(completion)) + completion.count("7")


def trainer(model: Path, folder: Path | None = None, **changes: Any) -> GRPOTrainer:
    rubric = changes.pop("rubric", Rubric(only_the_easy))
    config = GRPOConfig(
        **{
            "num_generations": 8,
            "per_device_train_batch_size": 16,
            "max_completion_length": 8,
            "max_steps": 3,
            "shuffle_dataset": False,
            "dynamic_sampling": True,
            "max_resample_times": 5,
            "gradient_checkpointing": False,
            **changes,
        }
    )
    return GRPOTrainer(model, rubric, ROWS, config, output_dir=folder, quiet=True)


def test_only_groups_with_variance_are_learned_from_as_far_as_there_are_any(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trainer(tiny_model, tmp_path / "run")
    run._step()
    rollouts = run.progress.rollouts
    assert rollouts is not None
    assert len(rollouts) == 16
    assert not flat_groups(rollouts.items)
    assert [ROWS[item.row]["hard"] for item in rollouts] == [False] * 16
    line = run.history[-1]
    assert line["dynamic_sampling/rounds"] == 2  # two prompts, one of them replaced twice
    assert line["dynamic_sampling/groups_dropped"] == 2
    assert line["dynamic_sampling/groups_flat"] == 0
    assert run.progress.prompts == 4
    assert line["frac_reward_zero_std"] == 0.5  # of all that was sampled: nothing is hidden
    written = (tmp_path / "run" / "rollouts" / "step_00000001.jsonl").read_text().splitlines()
    rows = [json.loads(row) for row in written]
    assert [row["dropped"] for row in rows] == [row["columns"]["hard"] for row in rows]
    assert len(rows) == 32
    assert line["num_tokens"] == sum(
        len(row["completion_ids"]) + len(row["prompt"]) for row in rows
    )


def test_the_rounds_are_bounded_and_what_is_missing_is_made_up_and_counted(
    tiny_model: Path,
) -> None:
    run = trainer(tiny_model, rubric=Rubric(same=lambda completion: 1.0), max_resample_times=2)
    run._step()
    rollouts = run.progress.rollouts
    assert rollouts is not None
    assert [item.group for item in rollouts] == [0] * 8 + [1] * 8
    line = run.history[-1]
    assert (line["dynamic_sampling/rounds"], run.progress.prompts) == (2, 6)
    assert line["dynamic_sampling/groups_dropped"] == 4
    assert line["dynamic_sampling/groups_flat"] == 2
    assert line["notes"] == ["flat"]


def test_a_prompt_gives_the_same_completions_in_whichever_round_it_comes(tiny_model: Path) -> None:
    """Noise is keyed by the place of the prompt in the data, so rounds change no other."""
    run = trainer(tiny_model)
    many = run.collector.collect(0, 0, 0)
    alone = trainer(tiny_model, dynamic_sampling=False, max_resample_times=3)
    for group in {item.group for item in many.items}:
        once = alone.collector.collect(0, group, group)
        ids = [item.ids for item in many.items if item.group == group]
        assert [item.ids for item in once.items if item.group == group] == ids


def test_it_is_off_unless_asked_for_and_its_bound_means_nothing_without_it(
    tiny_model: Path,
) -> None:
    run = trainer(tiny_model, dynamic_sampling=False, max_resample_times=3)
    run._step()
    assert run.progress.prompts == 2
    assert not any(name.startswith("dynamic_sampling") for name in run.history[-1])
    with pytest.raises(ConfigError, match="max_resample_times has no effect without"):
        GRPOConfig(max_resample_times=7)


def test_groups_that_teach_nothing_are_those_of_equal_totals_or_fewer_than_two() -> None:
    totals: dict[int, list[float | None]] = {
        0: [1.0, 1.0, 1.0], 1: [1.0, 0.0, 1.0], 2: [None, 0.3, None], 3: [None, None, None],
        4: [0.1, None, 0.2], 5: [0.1, 0.1, None],
    }  # fmt: skip
    items = [
        Completion(group, 0, k, [1], [2], False, "", [], total=total)
        for group, mine in totals.items()
        for k, total in enumerate(mine)
    ]
    assert flat_groups(items) == {0, 2, 3, 5}


def test_a_judge_that_is_down_is_not_asked_again_and_again(tiny_model: Path) -> None:
    calls = 0

    def down(completion: str) -> float:
        nonlocal calls
        calls += 1
        raise ConnectionError("gone")

    with pytest.raises(Exception, match="gone"):
        trainer(tiny_model, rubric=Rubric(down)).train()
    assert calls == 16
