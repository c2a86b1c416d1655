"""Promise: an optimizer that fails amid changing the weights ends the run with what to do, and
nothing of what it left is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_runs import in_processes
from shortages import cuda_like, pythons, the_processors

from rewardkit import Rubric
from rewardkit.errors import HalfStepError
from rewardkit.trainers import (
    GRPOConfig,
    GRPOTrainer,
    LoraSettings,
    Policy,
    WarmupConfig,
    checkpoints,
    parallel,
    warm_up,
)
from rewardkit.trainers.update import apply_gradients

ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]


def otherwise() -> None:
    raise RuntimeError("device-side assert triggered")


def fail_half_way(optimizer: torch.optim.Optimizer, fail: Callable[[], None], at: int) -> None:
    """Let the step after ``at`` steps change the first half of the weights and then fail."""
    steps: list[dict[torch.Tensor, torch.Tensor]] = []

    def before(*_: Any) -> None:
        parameters = [p for g in optimizer.param_groups for p in g["params"]]
        steps.append({p: p.detach().clone() for p in parameters})

    def after(*_: Any) -> None:
        if len(steps) > at:
            with torch.no_grad():
                for p in list(steps[-1])[len(steps[-1]) // 2 :]:
                    p.copy_(steps[-1][p])
            fail()

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def trainer(model: Path, folder: Path, *, resume: bool = False) -> GRPOTrainer:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=8, max_steps=3,
        learning_rate=1e-2, gradient_checkpointing=False, save_steps=1,
    )  # fmt: skip
    rubric = Rubric(length=lambda completion: float(len(completion)))
    return GRPOTrainer(model, rubric, ROWS, config, output_dir=folder, resume=resume, quiet=True)


@pytest.mark.parametrize("fail", [cuda_like, the_processors, pythons])
def test_no_memory_for_the_optimizer_ends_the_run_at_its_last_checkpoint(
    tiny_model: Path, tmp_path: Path, fail: Callable[[], None]
) -> None:
    run = trainer(tiny_model, tmp_path / "run")
    fail_half_way(run.optimizer, fail, at=1)
    with pytest.raises(HalfStepError) as told:
        run.train()
    text = str(told.value)
    assert text.startswith("out of memory in the step of the optimizer (")
    assert "some weights may have changed and others not" in text
    assert "Take adapters (lora), or a smaller model, in a new run" in text
    assert "--resume" in text
    assert not (tmp_path / "run" / "failed").exists()
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"
    last = checkpoints.latest(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == "step_00000001"
    again = trainer(tiny_model, tmp_path / "run", resume=True)
    again.train()
    unbroken = trainer(tiny_model, tmp_path / "unbroken")
    unbroken.train()
    pairs = zip(again.policy.trainable(), unbroken.policy.trainable(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_another_failure_of_the_optimizer_is_told_as_it_is(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trainer(tiny_model, tmp_path / "run")
    fail_half_way(run.optimizer, otherwise, at=1)
    with pytest.raises(RuntimeError, match="device-side") as told:
        run.train()
    assert not isinstance(told.value, HalfStepError)
    assert not (tmp_path / "run" / "failed").exists()


@pytest.mark.parametrize(("fail", "own"), [(cuda_like, HalfStepError), (otherwise, RuntimeError)])
def test_where_it_fails_in_one_process_all_end_and_none_keeps_what_it_came_to(
    tiny_model: Path, tmp_path: Path, fail: Callable[[], None], own: type[Exception]
) -> None:
    def learn() -> None:
        run = trainer(tiny_model, tmp_path / "run")
        if parallel.rank() == 1:
            fail_half_way(run.optimizer, fail, at=1)
        run.train()

    first, second = in_processes(2, learn)
    assert second.error.startswith(own.__name__)
    assert first.error.startswith("HalfStepError")
    assert "process 1" in first.error
    if own is HalfStepError:
        assert "out of memory in the step of the optimizer of process 1" in first.error
    assert not (tmp_path / "run" / "failed").exists()
    last = checkpoints.latest(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == "step_00000001"


def test_a_warm_up_says_it_too(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(str(tiny_model))
    plain = torch.optim.AdamW.__init__

    def failing(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        fail_half_way(self, cuda_like, at=1)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", failing)
    with pytest.raises(HalfStepError, match=r"Load the model anew, with adapters \(lora\)"):
        warm_up(policy, [{"prompt": "2+2=", "completion": "4"}], WarmupConfig(max_steps=3))


@pytest.mark.parametrize(
    ("optim", "lora", "device", "advice"),
    [
        ("adamw_torch", None, "cuda", "Take optim='adamw_8bit', or optim='paged_adamw_8bit'"),
        ("adamw_8bit", None, "cuda", "Take optim='paged_adamw_8bit' which moves to the host"),
        ("paged_adamw_8bit", None, "cuda", r"Take adapters \(lora\), or a smaller model"),
        ("adamw_torch", LoraSettings(r=2), "cpu", "Take a smaller model, in a new run"),
    ],
)
def test_what_it_says_to_take_is_not_taken_already(
    small_model: Callable[..., Policy],
    monkeypatch: pytest.MonkeyPatch,
    optim: Any,
    lora: LoraSettings | None,
    device: str,
    advice: str,
) -> None:
    from rewardkit.trainers.step import remedy

    policy = small_model("llama", lora)
    monkeypatch.setattr(Policy, "device", property(lambda _: torch.device(device)))
    optimizer = torch.optim.SGD(policy.trainable(), lr=0.1)
    fail_half_way(optimizer, cuda_like, at=0)
    text = remedy(policy, GRPOConfig(optim=optim))
    with pytest.raises(HalfStepError, match=advice):
        apply_gradients(policy, optimizer, None, 0.0, 1.0, remedy=text)
