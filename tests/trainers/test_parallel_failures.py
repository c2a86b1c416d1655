"""Promise: where one of several processes fails, dies or is stopped, all end with its error, and go
on together."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_runs import (
    CONFIG,
    ROWS,
    assert_near,
    assert_the_same_run,
    digits,
    in_processes,
    trained,
    trainer,
    values,
    whole,
)

from rewardkit import ConfigError
from rewardkit.errors import MissingExtraError
from rewardkit.trainers import GRPOConfig, checkpoints, parallel, step


def test_carried_numbers_that_went_apart_are_noticed(tiny_model: Path, tmp_path: Path) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run")
        mine.progress.carried["beta"] = 0.1 + parallel.rank()
        mine._save()

    for ended in in_processes(2, run):
        assert "do not agree on the numbers carried from step to step" in ended.error


def test_groups_that_cannot_be_whole_are_refused(tmp_path: Path) -> None:
    odd = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 1}
    for ended in in_processes(2, lambda: GRPOConfig(**{**CONFIG, **odd})):
        assert ended.error.startswith("ConfigError")
        assert "* 2 processes = 6 completions, which must be a multiple" in ended.error


def test_too_many_unscorable_stop_all_with_a_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    def second(completion: str) -> float | None:
        return None if parallel.rank() else digits(completion)

    def run() -> None:
        trainer(tiny_model, tmp_path / "run", reward=second, config={"max_unscorable_frac": 0.4})\
            .train()  # fmt: skip

    messages = {ended.error for ended in in_processes(2, run)}
    assert len(messages) == 1
    assert (
        "8 of 16 completions could not be scored, more than max_unscorable_frac" in messages.pop()
    )
    assert checkpoints.latest(tmp_path / "run" / "checkpoints") is not None
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "failed"


def lacks_an_extra(completion: str) -> float:
    if parallel.rank():
        raise MissingExtraError("the reward", "math", "sympy")
    return 1.0


def test_a_mistake_found_in_one_process_ends_all_with_it(tiny_model: Path, tmp_path: Path) -> None:
    first, second = in_processes(
        2, lambda: trainer(tiny_model, tmp_path / "run", reward=lacks_an_extra).train()
    )
    assert second.error.startswith("MissingExtraError: the reward needs the package 'sympy'")
    assert first.error.startswith(
        "RewardKitError: process 1 of 2 stopped the run for all: MissingExtraError: the reward"
    )


@pytest.mark.parametrize("where", ["learning", "logging", "saving", "loading"])
def test_an_error_in_one_process_ends_all_wherever_it_strikes(
    tiny_model: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strikes = {"learning": 1, "logging": 0, "saving": 0, "loading": 1}[where]

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError("CUDA out of disk")

    def run() -> None:
        if parallel.rank() == strikes:
            if where == "loading":
                monkeypatch.setattr("rewardkit.trainers.loop.as_policy", failing)
            if where == "learning":
                monkeypatch.setattr(step, "accumulate", failing)
            if where == "logging":
                monkeypatch.setattr("rewardkit.trainers.runfolder.RunFolder.log", failing)
            if where == "saving":
                monkeypatch.setattr(checkpoints, "write", failing)
        trainer(tiny_model, tmp_path / "run").train()

    ended = in_processes(2, run)
    assert ended[strikes].error == "OSError: CUDA out of disk"
    assert ended[1 - strikes].error.startswith(
        f"RewardKitError: process {strikes} of 2 stopped the run for all: OSError: CUDA out of disk"
    )


def test_processes_that_were_started_with_different_data_are_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    def run() -> None:
        trainer(tiny_model, tmp_path / "run", rows=ROWS[parallel.rank() :])

    for ended in in_processes(2, run):
        assert ended.error.startswith(
            "RewardKitError: the processes do not agree on the data (0: '"
        )


def test_weights_that_went_apart_are_noticed(tiny_model: Path, tmp_path: Path) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run")
        with torch.no_grad():
            mine.policy.trainable()[0][0, 0] += parallel.rank()
        mine._save()

    for ended in in_processes(2, run):
        assert "do not agree on the weights" in ended.error


def kill_in_step_three(model: Path, folder: Path) -> None:
    """Process 1 dies in the third step, at a backward pass, by a signal that nothing handles."""
    run = trainer(model, folder, "a reference, adapters, two passes")
    plain = torch.autograd.backward

    def backward(*args: Any, **kwargs: Any) -> None:
        if parallel.rank() and run.progress.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(*args, **kwargs)

    torch.autograd.backward = backward
    run.train()


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_run_of_which_one_process_was_killed_goes_on_in_as_many_or_in_one(
    tiny_model: Path, tmp_path: Path, count: int
) -> None:
    kind = "a reference, adapters, two passes"
    alone = trained(trainer(tiny_model, tmp_path / "one", kind, config=whole(kind)))
    left, killed = in_processes(2, lambda: kill_in_step_three(tiny_model, tmp_path / "two"))
    assert killed.code == -signal.SIGKILL
    assert left.error.startswith("RewardKitError: process 0 of 2 lost the others")
    assert "go on with --resume" in left.error
    config = {1: whole(kind), 2: {}}[count]
    for found in values(
        in_processes(
            count,
            lambda: trained(
                trainer(tiny_model, tmp_path / "two", kind, config=config, resume=True)
            ),
        )
    ):
        assert_near(found, alone)
    assert_the_same_run(tmp_path / "two", tmp_path / "one")


def test_going_on_with_another_batch_than_before_is_refused_and_says_how_it_counts(
    tiny_model: Path, tmp_path: Path
) -> None:
    values(in_processes(2, lambda: trainer(tiny_model, tmp_path / "run")._save()))
    with pytest.raises(ConfigError, match=r"steps: 4 -> 2\n  \(both as of all processes, .* 1\)"):
        trainer(tiny_model, tmp_path / "run", resume=True)


def test_a_signal_to_one_process_stops_all_after_the_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        mine = trainer(tiny_model, tmp_path / "run", config={"save_steps": 0})
        plain = mine.collector.collect

        def collect(*args: Any) -> Any:
            if parallel.rank() and mine.progress.step == 1:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)  # what launched them passes it on
            return plain(*args)

        monkeypatch.setattr(mine.collector, "collect", collect)
        mine.train()

    assert [ended.error for ended in in_processes(2, run)] == ["SystemExit: 143"] * 2
    found = checkpoints.latest(tmp_path / "run" / "checkpoints")
    assert found is not None
    assert found.name == "step_00000002"
