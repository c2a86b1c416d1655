"""Promise: the two trainers are made and run in the same words."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import ConfigError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy, TrainResult, make_trainer


def test_both_trainers_take_the_same_arguments_with_the_same_defaults() -> None:
    pytest.importorskip("trl")
    from rewardkit.trainers import TRLTrainer

    ours, theirs = (inspect.signature(cls.__init__) for cls in (GRPOTrainer, TRLTrainer))
    assert list(ours.parameters) == list(theirs.parameters)
    for name, parameter in ours.parameters.items():
        other = theirs.parameters[name]
        assert (parameter.kind, parameter.default) == (other.kind, other.default), name
        assert parameter.annotation == other.annotation, name
    assert inspect.signature(GRPOTrainer.train) == inspect.signature(TRLTrainer.train)
    assert inspect.signature(GRPOTrainer.train).return_annotation == TrainResult.__name__


ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]


def length(completion: str) -> float:
    return float(len(completion))


def trl_run(model: Path, folder: Path, rows: list[dict[str, str]], **options: Any) -> Any:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=4,
        max_steps=options.pop("steps", 3), save_steps=1, save_total_limit=None,
        gradient_checkpointing=False,
    )  # fmt: skip
    return make_trainer(
        model, Rubric(length), rows, config, backend="trl", output_dir=folder, quiet=True, **options
    )


def test_by_trl_too_a_run_goes_back_to_a_checkpoint_and_on_with_other_rows(
    tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    folder = tmp_path / "run"
    trl_run(tiny_model, folder, ROWS).train()
    with pytest.raises(ConfigError, match=r"no checkpoint of step 9 .*steps: 1, 2, 3"):
        trl_run(tiny_model, folder, ROWS, resume=True, checkpoint=9)
    assert trl_run(tiny_model, folder, ROWS, resume=True, checkpoint=1).train().steps == 3
    assert {"left_checkpoint-2", "left_checkpoint-3", "checkpoint-1", "checkpoint-3"} <= {
        path.name for path in (folder / "checkpoints").iterdir()
    }
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    others = [{"prompt": f"{i}*{i}="} for i in range(8)]
    with pytest.raises(ConfigError, match="data are not those"):
        trl_run(tiny_model, folder, others, resume=True, steps=4)
    trl_run(tiny_model, folder, others, resume=True, new_data=True, steps=4).train()
    written = (folder / "rollouts" / "step_00000004.jsonl").read_text().splitlines()
    assert {json.loads(row)["prompt"][1] for row in written} == {"*"}


def test_a_ready_policy_is_trained_by_either(tiny_model: Path) -> None:
    pytest.importorskip("trl")
    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=4, max_completion_length=4, max_steps=1,
        learning_rate=1e-2, gradient_checkpointing=False,
    )  # fmt: skip
    for backend in ("builtin", "trl"):
        policy = Policy.load(str(tiny_model), config=config)
        before = [p.detach().clone() for p in policy.trainable()]
        make_trainer(policy, Rubric(length), ROWS, config, backend=backend, quiet=True).train()
        assert any(not torch.equal(a, b) for a, b in zip(before, policy.trainable(), strict=True))
