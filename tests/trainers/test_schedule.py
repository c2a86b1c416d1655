"""Promise: learning rates are those of ``transformers`` under its names, and nothing that a run does
not use is imported for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

from rewardkit import ConfigError
from rewardkit.trainers.config import Scheduler
from rewardkit.trainers.schedule import make_schedule


def optimizer(rate: float = 3e-4) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


@pytest.mark.parametrize("name", get_args(Scheduler))
@pytest.mark.parametrize(("warmup", "total"), [(0, 10), (3, 10), (10, 10), (12, 10), (1, 1)])
def test_rates_are_those_of_transformers(name: Scheduler, warmup: int, total: int) -> None:
    from transformers import get_scheduler

    mine, theirs = optimizer(), optimizer()
    ours = make_schedule(name, mine, warmup, total)
    scheduler = get_scheduler(name, theirs, warmup, total)
    exactly = 0.0 if name in ("linear", "cosine", "constant") else 1e-12
    for step in range(total):
        assert ours.get_last_lr() == pytest.approx(scheduler.get_last_lr(), rel=exactly, abs=0)
        if step < total - 1:  # after that transformers may divide by zero
            for one in (mine, theirs, ours, scheduler):
                one.step()


def test_a_schedule_of_transformers_goes_on_as_ours() -> None:
    """Checkpoints from before hold its state."""
    from transformers import get_scheduler

    theirs, mine = optimizer(), optimizer()
    scheduler, ours = get_scheduler("linear", theirs, 2, 10), make_schedule("linear", mine, 2, 10)
    for _ in range(4):
        theirs.step()
        scheduler.step()
    ours.load_state_dict(scheduler.state_dict())
    assert ours.get_last_lr() == scheduler.get_last_lr()
    for one in (mine, theirs, ours, scheduler):
        one.step()
    assert ours.get_last_lr() == pytest.approx(scheduler.get_last_lr(), rel=1e-12)


def test_a_polynomial_that_begins_below_its_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be more: take 'linear'"):
        make_schedule("polynomial", optimizer(1e-7), 0, 10)


def test_full_weights_are_trained_without_what_adapters_need(tiny_model: Path) -> None:
    """peft imports bitsandbytes, which on some processors prints a line about other packages."""
    code = f"""
import sys
from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy, WarmupConfig, warm_up
policy = Policy.load({str(tiny_model)!r})
warm_up(policy, [dict(prompt="1", completion="2")], WarmupConfig(max_steps=1))
small = GRPOConfig(num_generations=2, per_device_train_batch_size=2, max_steps=1,
                   max_completion_length=4)
rubric = Rubric(length=lambda completion: float(len(completion)))
GRPOTrainer(policy, rubric, [dict(prompt="1")], small, quiet=True).train()
print(sorted({{"peft", "bitsandbytes", "trl", "datasets"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
