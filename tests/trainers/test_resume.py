"""Promise: a run survives. Whatever step it is killed at, it goes on to the same weights."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import ConfigError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, checkpoints

ROWS = [{"prompt": f"{i}+{i}="} for i in range(7)]


def digits(completion: str) -> float:
    return sum(c.isdigit() for c in completion) / max(len(completion), 1)


CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "steps_per_generation": 4,
    "gradient_accumulation_steps": 2,
    "num_iterations": 2,
    "max_completion_length": 8,
    "max_steps": 8,
    "learning_rate": 1e-2,
    "beta": 0.05,
    "ref_refresh_every": 3,
    "save_steps": 1,
    "save_total_limit": None,
    "gradient_checkpointing": False,
}


class Killed(BaseException):
    """As good as SIGKILL: nothing handles it."""


def trainer(model: Path, folder: Path, resume: bool = False, **options: Any) -> GRPOTrainer:
    config = GRPOConfig(**{**CONFIG, **options.pop("config", {})})
    rubric, rows = options.pop("rubric", Rubric(digits)), options.pop("rows", ROWS)
    return GRPOTrainer(
        model, rubric, rows, config, output_dir=folder, resume=resume, quiet=True, **options
    )


def weights(of: GRPOTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in of.policy.trainable()]


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was logged, without what the clock says."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if not k.startswith(("time/", "step_time"))} for row in rows
    ]


@pytest.mark.parametrize("lora", [None, LoraSettings(r=2, lora_alpha=4)])
def test_a_run_killed_after_any_step_ends_bit_equal_to_one_that_was_not(
    tiny_model: Path, tmp_path: Path, lora: LoraSettings | None
) -> None:
    unbroken = trainer(tiny_model, tmp_path / "unbroken", lora=lora)
    unbroken.train()
    for kill_after in (1, 3, 6):  # within a generation, where the reference changes, in the next
        folder = tmp_path / f"killed-{kill_after}"
        first = trainer(tiny_model, folder, lora=lora)
        for _ in range(kill_after):
            first._step()
        del first
        again = trainer(tiny_model, folder, resume=True, lora=lora)
        assert again.progress.step == kill_after
        again.train()
        assert all(
            torch.equal(a, b) for a, b in zip(weights(unbroken), weights(again), strict=True)
        )
        assert lines(folder) == lines(tmp_path / "unbroken")
        for rollout in (tmp_path / "unbroken" / "rollouts").iterdir():
            ours = (folder / "rollouts" / rollout.name).read_text().splitlines()
            for a, b in zip(rollout.read_text().splitlines(), ours, strict=True):
                assert json.loads(a)["completion_ids"] == json.loads(b)["completion_ids"]


def test_what_was_logged_after_the_last_checkpoint_is_written_again_and_not_twice(
    tiny_model: Path, tmp_path: Path
) -> None:
    run = trainer(tiny_model, tmp_path / "run", config={"save_steps": 4})
    for _ in range(6):
        run._step()
    (tmp_path / "run" / "metrics.jsonl").open("a").write('{"step": 7, "ki')  # cut off by the kill
    again = trainer(tiny_model, tmp_path / "run", resume=True, config={"save_steps": 4})
    assert again.progress.step == 4
    again.train()
    assert [row["step"] for row in lines(tmp_path / "run")] == list(range(1, 9))


def test_a_kill_while_saving_leaves_the_last_good_checkpoint(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tiny_model, tmp_path / "run")
    run._step()
    real = torch.save

    def cut_off(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(Killed):
        run._step()
    monkeypatch.undo()
    found = checkpoints.latest(tmp_path / "run" / "checkpoints")
    assert found is not None
    assert found.name == "step_00000001"
    again = trainer(tiny_model, tmp_path / "run", resume=True)
    assert again.progress.step == 1
    again.train()
    assert again.progress.step == 8


def test_old_checkpoints_are_pruned(tiny_model: Path, tmp_path: Path) -> None:
    trainer(tiny_model, tmp_path / "run", config={"save_total_limit": 2}).train()
    kept = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step_00000007", "step_00000008"]


def test_a_run_does_not_go_on_with_another_rubric(tiny_model: Path, tmp_path: Path) -> None:
    trainer(tiny_model, tmp_path / "run")._step()
    config = GRPOConfig(**CONFIG)
    changed = Rubric(digits).weighted(digits=2.0)
    with pytest.raises(ConfigError, match="not the one that this run began with"):
        GRPOTrainer(
            tiny_model, changed, ROWS, config, output_dir=tmp_path / "run", resume=True, quiet=True
        )


def test_a_folder_that_holds_a_run_is_not_written_over(tiny_model: Path, tmp_path: Path) -> None:
    trainer(tiny_model, tmp_path / "run")
    with pytest.raises(ConfigError, match="already holds a run"):
        trainer(tiny_model, tmp_path / "run")


def test_a_checkpoint_of_another_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer(tiny_model, tmp_path / "run")._step()
    with pytest.raises(ConfigError, match=r"lora\.r: None -> 2"):
        trainer(tiny_model, tmp_path / "run", resume=True, lora=LoraSettings(r=2))
    from rewardkit.trainers import make_tiny_model

    other = make_tiny_model(tmp_path / "other", hidden_size=16, layers=1, heads=2)
    with pytest.raises(ConfigError, match="another model or other adapters"):
        trainer(other, tmp_path / "run", resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_after_the_step_with_a_checkpoint_and_twice_at_once(
    tiny_model: Path,
    tmp_path: Path,
    times: int,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, before = tmp_path / "run", signal.getsignal(number)
    config = {"save_steps": 0, "num_iterations": 1}
    run = trainer(tiny_model, folder, config=config)
    plain = run.collector.collect

    def interrupted(generation: int, *rest: Any) -> Any:
        if generation == 1:  # the second, at step 3 of 8
            for _ in range(times):
                signal.raise_signal(number)
        return plain(generation, *rest)

    monkeypatch.setattr(run.collector, "collect", interrupted)
    expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with pytest.raises(expected) as stopped:
        run.train()
    assert getattr(stopped.value, "code", 143) == 143
    assert signal.getsignal(number) is before
    assert json.loads((folder / "manifest.json").read_text())["status"] == "stopped"
    found = checkpoints.latest(folder / "checkpoints")
    if times == 2:
        assert found is None
        return
    assert found is not None
    again = trainer(tiny_model, folder, resume=True, config=config)
    assert again.progress.step == int(found.name[5:]) == 3
    again.train()
    assert again.progress.step == 8


def test_the_same_seed_twice_is_bit_equal(tiny_model: Path, tmp_path: Path) -> None:
    runs = [trainer(tiny_model, tmp_path / str(i)) for i in range(2)]
    for run in runs:
        run.train()
    assert all(torch.equal(a, b) for a, b in zip(*map(weights, runs), strict=True))
    other = trainer(tiny_model, tmp_path / "other", config={"seed": 7})
    other.train()
    assert not torch.equal(weights(other)[0], weights(runs[0])[0])


def test_a_run_killed_before_its_first_checkpoint_begins_again_and_logs_nothing_twice(
    tiny_model: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"config": {"save_steps": 0}, "eval_data": ROWS[:2]}
    first = trainer(tiny_model, tmp_path / "run", **options)
    first._evaluate()
    first._step()
    again = trainer(tiny_model, tmp_path / "run", resume=True, **options)
    assert again.progress.step == 0
    result = again.train()
    assert [(r["step"], r["kind"]) for r in lines(tmp_path / "run")] == [
        (0, "eval"), *((n, "train") for n in range(1, 9)), (8, "eval")
    ]  # fmt: skip
    assert len(result.evaluations()) == 2


def test_a_run_killed_before_its_last_evaluation_makes_it_up(
    tiny_model: Path, tmp_path: Path
) -> None:
    first = trainer(tiny_model, tmp_path / "run", eval_data=ROWS[:2])
    first._evaluate()
    for _ in range(8):
        first._step()
    result = trainer(tiny_model, tmp_path / "run", resume=True, eval_data=ROWS[:2]).train()
    assert [r["step"] for r in result.evaluations()] == [0, 8]
    assert [r["step"] for r in result.history if r["kind"] == "train"] == list(range(1, 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 1e-3}, r"learning_rate: 0.01 -> 0.001"),
        (
            {"beta": 0.0, "ref_refresh_every": None},
            r"beta: 0.05 -> 0.0(.|\n)*ref_refresh_every: 3 -> None",
        ),
        ({"num_generations": 2}, "num_generations: 4 -> 2"),
    ],
)
def test_a_changed_configuration_is_refused_with_what_changed(
    tiny_model: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    trainer(tiny_model, tmp_path / "run")._step()
    with pytest.raises(ConfigError, match=message):
        trainer(tiny_model, tmp_path / "run", resume=True, config=change)
    trainer(tiny_model, tmp_path / "run", resume=True, config={"max_steps": 9, "save_steps": 3})


def test_adapters_of_another_rank_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    trainer(tiny_model, tmp_path / "run", lora=LoraSettings(r=1))._step()
    with pytest.raises(ConfigError, match=r"lora\.r: 1 -> 4"):
        trainer(tiny_model, tmp_path / "run", resume=True, lora=LoraSettings(r=4))
    settings = LoraSettings(r=1, lora_alpha=64)  # of the same shapes
    with pytest.raises(ConfigError, match=r"lora\.lora_alpha: 32 -> 64"):
        trainer(tiny_model, tmp_path / "run", resume=True, lora=settings)


def test_saving_the_same_step_again_never_leaves_a_moment_without_a_checkpoint(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tiny_model, tmp_path / "run", config={"save_total_limit": 1})
    run._step()
    before = checkpoints.latest(tmp_path / "run" / "checkpoints")
    monkeypatch.setattr("shutil.rmtree", lambda *a, **k: pytest.fail("something was removed"))
    run._save()
    assert checkpoints.latest(tmp_path / "run" / "checkpoints") == before is not None
