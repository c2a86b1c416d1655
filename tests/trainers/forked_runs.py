"""Runs of one trainer in several processes, and what they are compared by."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import select
import signal
import socket
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from shortages import cuda_like

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, Policy, parallel

ROWS = [{"prompt": f"{i}+{i}="} for i in range(7)]
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 8,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "save_total_limit": None,
    "gradient_checkpointing": False,
}
LORA = LoraSettings(r=2, lora_alpha=4)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a reference, adapters, two passes": {
        "lora": LORA,
        "config": {"beta": 0.05, "num_iterations": 2, "ref_refresh_every": 2, "kl_target": 1e-3},
    },
    "std of the batch, entropies of the step, groups replaced": {
        "config": {
            "scale_rewards": "batch", "loss_type": "dapo", "dynamic_sampling": True,
            "top_entropy_quantile": 0.5, "use_adaptive_entropy": True, "steps_per_generation": 4,
        },
    },
    "loss of each micro-batch": {"config": {"loss_type": "bnpo"}},
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How one of them ended.

    Attributes:
        value: what its work gave.
        error: class and message of what it raised; empty if nothing.
        code: exit code; the negative of a signal.
    """

    value: Any
    error: str
    code: int


def in_processes(count: int, work: Callable[[], Any], limit_s: float = 120) -> list[Ended]:
    """Run ``work`` in each of as many processes, forked, so that they are there in milliseconds;
    they see what a launcher would have set.

    Raises:
        AssertionError: if one of them does not end in time; all are killed then.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(count, number, port, work) for number in range(count)]
    deadline = time.monotonic() + limit_s
    try:
        return [_ended(pid, pipe, deadline) for pid, pipe in children]
    finally:
        for pid, pipe in children:
            os.close(pipe)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _fork(count: int, number: int, port: int, work: Callable[[], Any]) -> tuple[int, int]:
    hear, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return pid, hear
    os.environ |= {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    value, error = None, ""
    try:
        value = work()
    except BaseException as raised:
        traceback.print_exc()
        error = f"{type(raised).__name__}: {raised}"
    with os.fdopen(say, "wb") as out:
        out.write(pickle.dumps((value, error)))
    os._exit(bool(error))


def _ended(pid: int, pipe: int, deadline: float) -> Ended:
    data = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise AssertionError("a process hangs")
        more = os.read(pipe, 1 << 20)
        if not more:
            break
        data += more
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    value, error = pickle.loads(data) if data else (None, "")
    return Ended(value, error, code)


def digits(completion: str) -> float:
    return round(sum(c.isdigit() for c in completion) / max(len(completion), 1), 1)


def digits_or_nothing(completion: str, prompt: str) -> float | None:
    """Of every prompt but two, which both are some process's alone in the first generation."""
    return None if prompt in ("1+1=", "5+5=") else digits(completion)


def trainer(model: Path, folder: Path, kind: str = "plain", **options: Any) -> GRPOTrainer:
    """In float64, in which what the order of a sum comes to is far below what a mistake does."""
    chosen = KINDS[kind]
    config = GRPOConfig(**{**CONFIG, **chosen.get("config", {}), **options.pop("config", {})})
    reward, rows = options.pop("reward", digits), options.pop("rows", ROWS)
    policy = Policy.load(str(model), lora=chosen.get("lora"), config=config)
    policy.model.double()
    return GRPOTrainer(
        policy, Rubric(reward), rows, config, output_dir=folder, eval_data=ROWS[:3], quiet=True,
        **options,
    )  # fmt: skip


def whole(kind: str) -> dict[str, Any]:
    """What makes one process do what two of the kind do together."""
    config = {**CONFIG, **KINDS[kind].get("config", {})}
    twice = ("gradient_accumulation_steps", "steps_per_generation")
    return {key: 2 * config[key] for key in twice if key in config}


def weights(of: GRPOTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in of.policy.trainable()]


def trained(run: GRPOTrainer) -> list[torch.Tensor]:
    run.train()
    return weights(run)


def lines(folder: Path) -> list[dict[str, Any]]:
    """What was logged, without what the clock says, and how many prompts were shared."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    left = ("time/", "step_time", "tokens/")
    return [{k: v for k, v in row.items() if not k.startswith(left)} for row in rows]


def rollouts(folder: Path) -> list[list[dict[str, Any]]]:
    return [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted((folder / "rollouts").iterdir())
    ]


def assert_close(a: Any, b: Any, where: str = "") -> None:
    """Equal, numbers up to what the order of a sum comes to; seconds are not compared."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            if key != "seconds":
                assert_close(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_close(*pair, f"{where}/{i}")
    elif isinstance(a, float) and isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-7), where
    else:
        assert a == b, where


def assert_the_same_run(two: Path, one: Path) -> None:
    assert_close(lines(two), lines(one))
    assert_close(rollouts(two), rollouts(one))


def assert_near(two: list[torch.Tensor], one: list[torch.Tensor]) -> None:
    """Weights that have moved by hundredths. Another cut packs its rows differently, and the norms
    of ``transformers``, which compute in float32 whatever the model does, round what differs."""
    assert max(float((a - b).abs().max()) for a, b in zip(two, one, strict=True)) <= 2e-6


def values(ended: list[Ended]) -> list[Any]:
    assert [e.error for e in ended] == [""] * len(ended)
    return [e.value for e in ended]


def run_out_of_memory(run: GRPOTrainer, *, learning: bool) -> list[str]:
    """Let process 1 have no memory for rows of more than 20 tokens; what warnings say is kept."""
    told: list[str] = []

    def look(_: torch.nn.Module, inputs: Any) -> None:
        rows, tokens = inputs[0].shape[:2]
        tried = run.policy.packs is not None  # the trial is shorter than any limit that counts
        if tried and rows == 1 and tokens > 20 and torch.is_grad_enabled() == learning:
            cuda_like()

    def heard(message: Any, *_: Any, **__: Any) -> None:
        told.append(str(message))

    warnings.showwarning = heard
    warnings.simplefilter("always")
    if parallel.rank() == 1:
        run.policy.base.model.layers[1].mlp.register_forward_pre_hook(look)
    return told
