"""Promise: kill -9 at any moment, go on, and nobody can tell: every bit is that of an unbroken run.

The runs are forked from the test's own process, so that they are there in milliseconds, and killed
by a real SIGKILL, which nothing handles.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, checkpoints
from rewardkit.trainers.rollout.decode import _Batch

ROWS = [{"prompt": f"{i}+{i}="} for i in range(7)]
LORA = LoraSettings(r=2, lora_alpha=4)
KINDS: dict[str, dict[str, Any]] = {
    "adapters, a reference refreshed, dynamic sampling, an adapted beta": {
        "lora": LORA,
        "config": {
            "beta": 0.05, "ref_refresh_every": 2, "dynamic_sampling": True, "kl_target": 0.01,
        },
    },
    "full weights, two passes, a warm-up of the rate": {
        "config": {"num_iterations": 2, "warmup_steps": 3, "loss_type": "dapo"},
    },
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "steps_per_generation": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 8,
    "max_steps": 6,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "save_total_limit": None,
    "gradient_checkpointing": False,
}
MICRO_STEPS = 12


def digits(completion: str) -> float:
    return round(sum(c.isdigit() for c in completion) / max(len(completion), 1), 1)


def trainer(model: Path, folder: Path, kind: str, resume: bool = False) -> GRPOTrainer:
    chosen = KINDS[kind]
    config = GRPOConfig(**{**CONFIG, **chosen["config"]})
    return GRPOTrainer(
        model, Rubric(digits), ROWS, config, eval_data=ROWS[:2], lora=chosen.get("lora"),
        output_dir=folder, resume=resume, quiet=True,
    )  # fmt: skip


def in_child(work: Callable[[], None]) -> int:
    """Run in a process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.set_num_threads(1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """How it ended: 0, or the negative of a signal."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("a run did not end")


def run(model: Path, folder: Path, kind: str, resume: bool = False) -> int:
    return ended(in_child(lambda: trainer(model, folder, kind, resume).train() and None))  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=KINDS, ids=lambda name: name[:8])
def unbroken(
    request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    assert run(tiny_model, folder, request.param) == 0
    return request.param, folder


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was logged, without what the clock says."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if not k.startswith(("time/", "step_time"))} for row in rows
    ]


def rollouts(folder: Path) -> list[list[Any]]:
    keys = ("group_id", "sample", "completion_ids", "logprobs", "advantage", "dropped")
    return [
        [row[key] for key in keys] + [row["score"]["total"]]
        for path in sorted((folder / "rollouts").iterdir())
        for row in map(json.loads, path.read_text().splitlines())
    ]


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, tensors included."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


def assert_the_same_state(broken: Path, unbroken: Path) -> None:
    """By content: which strings a pickle shares is not part of it."""
    states = [torch.load(f / "trainer.pt", weights_only=True) for f in (broken, unbroken)]
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert same(states[0][name], states[1][name]), name


def assert_the_same_run(broken: Path, unbroken: Path) -> None:
    assert lines(broken) == lines(unbroken)
    assert rollouts(broken) == rollouts(unbroken)
    last = "checkpoints/step_00000006"
    assert_the_same_state(broken / last, unbroken / last)
    manifest = json.loads((broken / "manifest.json").read_text())
    assert (manifest["status"], manifest["steps"]) == ("finished", 6)


def killing(at: int, calls: list[int]) -> None:
    """Count a call; die in the one that it is the turn of."""
    calls.append(1)
    if len(calls) == at:
        os.kill(os.getpid(), signal.SIGKILL)


def kill_at_backward(model: Path, folder: Path, kind: str, at: int) -> None:
    """A run that dies at the beginning of its ``at``-th backward pass."""
    plain, calls = torch.autograd.backward, list[int]()

    def backward(*args: Any, **kwargs: Any) -> None:
        killing(at, calls)
        plain(*args, **kwargs)

    torch.autograd.backward = backward
    trainer(model, folder, kind).train()


def kill_while_writing(model: Path, folder: Path, kind: str, at: int) -> None:
    """A run that dies at the ``at``-th token that a generation or evaluation writes."""
    plain, calls = _Batch.advance, list[int]()

    def advance(self: _Batch, tokens: torch.Tensor) -> None:
        killing(at, calls)
        plain(self, tokens)

    _Batch.advance = advance  # type: ignore[method-assign]
    trainer(model, folder, kind).train()


def check_kill(
    how: Callable[[Path, Path, str, int], None],
    at: int,
    tiny_model: Path,
    unbroken: tuple[str, Path],
    tmp_path: Path,
) -> None:
    kind, whole = unbroken
    folder = tmp_path / "run"
    assert ended(in_child(lambda: how(tiny_model, folder, kind, at))) == -signal.SIGKILL
    assert run(tiny_model, folder, kind, resume=True) == 0
    assert_the_same_run(folder, whole)


@pytest.mark.parametrize("at", [1, 6, 11])
def test_killed_at_a_micro_step(
    tiny_model: Path, unbroken: tuple[str, Path], tmp_path: Path, at: int
) -> None:
    check_kill(kill_at_backward, at, tiny_model, unbroken, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, MICRO_STEPS + 1))
def test_killed_at_each_micro_step(
    tiny_model: Path, unbroken: tuple[str, Path], tmp_path: Path, at: int
) -> None:
    check_kill(kill_at_backward, at, tiny_model, unbroken, tmp_path)


def test_a_run_of_six_steps_has_so_many_micro_steps(tiny_model: Path, tmp_path: Path) -> None:
    """Were it fewer, the kills after the last one would test nothing."""

    def beyond() -> None:
        kill_at_backward(tiny_model, tmp_path / "run", next(iter(KINDS)), MICRO_STEPS + 1)

    assert ended(in_child(beyond)) == 0


@pytest.mark.parametrize("at", [3, 30])
def test_killed_while_it_writes_completions(
    tiny_model: Path, unbroken: tuple[str, Path], tmp_path: Path, at: int
) -> None:
    check_kill(kill_while_writing, at, tiny_model, unbroken, tmp_path)


def saving(model: Path, folder: Path, kind: str, say: int, resume: bool) -> None:
    """A run that says by a byte when it begins to save."""
    plain = checkpoints.write

    def write(*args: Any, **kwargs: Any) -> Path:
        os.write(say, b".")
        return plain(*args, **kwargs)

    checkpoints.write = write
    trainer(model, folder, kind, resume).train()


def killed_while_saving(
    tiny_model: Path, unbroken: tuple[str, Path], folder: Path, seed: int, kills: int
) -> None:
    """Killed again and again, each time somewhere in a save, until a run comes to its end."""
    kind, whole = unbroken
    draw = random.Random(seed)
    for number in range(kills):
        hear, say = os.pipe()
        resume = (folder / "manifest.json").exists()
        pid = in_child(lambda w=say, r=resume: saving(tiny_model, folder, kind, w, r))  # type: ignore[misc]
        os.close(say)
        for _ in range(draw.choice((1, 1, 2))):
            os.read(hear, 1)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.close(hear)
        assert ended(pid) in (0, -signal.SIGKILL), f"kill {number}"
        for path in (folder / "checkpoints").glob("step_*"):
            assert checkpoints.damage(path) is None, f"kill {number} left half a checkpoint"
    assert run(tiny_model, folder, kind, resume=True) == 0
    assert_the_same_run(folder, whole)


def test_killed_somewhere_in_a_save(
    tiny_model: Path, unbroken: tuple[str, Path], tmp_path: Path
) -> None:
    killed_while_saving(tiny_model, unbroken, tmp_path / "run", seed=0, kills=4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 13))
def test_killed_somewhere_in_many_saves(
    tiny_model: Path, unbroken: tuple[str, Path], tmp_path: Path, seed: int
) -> None:
    killed_while_saving(tiny_model, unbroken, tmp_path / "run", seed, kills=8)


@pytest.mark.slow
def test_the_command_killed_at_random_moments_ends_as_if_it_had_not_been(
    tiny_model: Path, tmp_path: Path
) -> None:
    rows = "".join(json.dumps({**row, "answer": "4"}) + "\n" for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(rows)
    parts = {"near": {"verifier": "proximity", "partial": True}, "n": {"verifier": "has_number"}}
    settings = {
        "model": str(tiny_model), "rubric": {"parts": parts}, "data": {"path": "rows.jsonl"},
        "output_dir": "unbroken", "grpo": {**CONFIG, "max_steps": 60, "save_total_limit": 2},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "rewardkit", "train"]
    begin = [*command, str(tmp_path / "config.yaml"), "--output-dir"]
    whole, broken = tmp_path / "unbroken", tmp_path / "broken"
    subprocess.run([*begin, str(whole)], env=environment, check=True, cwd="/")
    draw, arguments = random.Random(0), [*begin, str(broken)]
    for _ in range(4):
        process = subprocess.Popen(arguments, env=environment, cwd="/")
        while process.poll() is None and not list(broken.glob("checkpoints/step_*")):
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 4))
        process.kill()
        process.wait()
        arguments = [*command, "--resume", str(broken)]
    subprocess.run(arguments, env=environment, check=True, cwd="/")
    assert lines(broken) == lines(whole)
    assert rollouts(broken) == rollouts(whole)
    last = "checkpoints/step_00000060"
    weights = [(f / last / "model.safetensors").read_bytes() for f in (broken, whole)]
    assert weights[0] == weights[1]
    assert_the_same_state(broken / last, whole / last)
