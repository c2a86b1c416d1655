"""Promise: ``accelerate launch`` and ``torchrun`` start runs of several processes as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewardkit.cli import main

ROWS = [{"prompt": f"{i}+{i}=", "answer": "4"} for i in range(7)]
CONFIG: dict[str, Any] = {
    "num_generations": 4,
    "per_device_train_batch_size": 4,
    "max_completion_length": 8,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "save_steps": 1,
    "gradient_checkpointing": False,
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def written(folder: Path) -> list[list[Any]]:
    """Every completion, with its place and its score."""
    return [
        [row["group_id"], row["sample"], row["completion_ids"], row["score"]["total"]]
        for path in sorted((folder / "rollouts").iterdir())
        for row in map(json.loads, path.read_text().splitlines())
    ]


def command(folder: Path, model: Path, output: str, accumulate: int) -> list[str]:
    """The arguments of a run, whose files are written."""
    rows = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "rows.jsonl").write_text(rows)
    parts = {"near": {"verifier": "proximity", "partial": True}, "n": {"verifier": "has_number"}}
    settings = {
        "model": str(model), "data": {"path": "rows.jsonl"},
        "rubric": {"parts": parts, "silence": ["form-outweighs-answer"]}, "output_dir": output,
        "grpo": {**CONFIG, "gradient_accumulation_steps": accumulate},
    }  # fmt: skip
    path = folder / f"{output}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return ["rewardkit", "train", str(path)]


def test_accelerate_launch_trains_as_one_process_does(tiny_model: Path, tmp_path: Path) -> None:
    launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    options = ["--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"]
    arguments = command(tmp_path, tiny_model, "two", 2)
    done = subprocess.run(
        [sys.executable, "-m", *launch, *options, "--num_machines", "1", "-m", *arguments],
        env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder:") == 1
    assert "3/3" in done.stdout
    assert main(command(tmp_path, tiny_model, "one", 4)[1:]) == 0
    assert written(tmp_path / "two") == written(tmp_path / "one")
    for mine, alone in zip(lines(tmp_path / "two"), lines(tmp_path / "one"), strict=True):
        for key in ("step", "loss", "grad_norm", "reward", "entropy", "num_tokens", "epoch"):
            assert mine[key] == pytest.approx(alone[key], rel=1e-4, abs=1e-6), key


@pytest.mark.slow
def test_the_trl_backend_runs_in_two_processes_and_goes_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    run += ["--nproc-per-node", "2", "-m"]
    arguments = command(tmp_path, tiny_model, "two", 2)
    shorter = [*arguments, "--backend", "trl", "--max-steps", "2"]
    for more in (
        shorter,
        ["rewardkit", "train", "--resume", str(tmp_path / "two"), "--max-steps", "3"],
    ):
        done = subprocess.run(
            [*run, *more], env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("run folder:") == 1
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert (manifest["status"], manifest["steps"], manifest["processes"]) == ("finished", 3, 2)
    assert [row["step"] for row in lines(tmp_path / "two")] == [1, 2, 3]
    assert (tmp_path / "two" / "checkpoints" / "final" / "model.safetensors").is_file()
