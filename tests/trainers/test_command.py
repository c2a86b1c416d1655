"""Promise: `rewardkit train` runs a file from end to end, and says one clear thing when it cannot."""

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

ENV = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def project(tiny_model: Path, tmp_path: Path) -> Path:
    rows = [{"question": f"{i}+{i}=", "gold": f"so #### {2 * i}"} for i in range(8)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "rubric.yaml").write_text(
        "parts:\n  answer: {verifier: number, correct: 1.0}\n  near: {verifier: proximity, partial: true}\n"
    )
    write(tmp_path, model=str(tiny_model))
    return tmp_path


def write(folder: Path, **changes: Any) -> Path:
    config = {
        "model": "?",
        "rubric": "rubric.yaml",
        "data": {
            "path": "train.jsonl",
            "columns": {"prompt": "question", "answer": "gold"},
            "answer_after": "####",
        },
        "output_dir": "run",
        "grpo": {
            "num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 5,
            "max_steps": 2, "save_steps": 1, "gradient_checkpointing": False,
        },
    }  # fmt: skip
    known = folder / "config.yaml"
    if known.exists():
        config = yaml.safe_load(known.read_text())
    known.write_text(yaml.safe_dump({**config, **changes}))
    return known


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_one_file_trains_by_both_backends(project: Path, backend: str) -> None:
    out = project / f"run-{backend}"
    arguments = [
        "train",
        str(project / "config.yaml"),
        "--backend",
        backend,
        "--output-dir",
        str(out),
    ]
    assert main(arguments) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["backend"], manifest["steps"]) == ("finished", backend, 2)
    assert {"answer", "near"} == set(manifest["parts"])
    assert (out / "rubric.yaml").exists()
    assert main(["report", str(out)]) == 0


def test_a_run_killed_by_the_system_goes_on_by_its_folder_alone(project: Path) -> None:
    grpo = yaml.safe_load((project / "config.yaml").read_text())["grpo"]
    write(project, grpo={**grpo, "max_steps": 400})
    command = [sys.executable, "-m", "rewardkit", "train"]
    running = subprocess.Popen([*command, str(project / "config.yaml")], env=ENV, cwd="/")
    checkpoints = project / "run" / "checkpoints"
    try:
        while not list(checkpoints.glob("step_*")):
            assert running.poll() is None, "the run ended before it was killed"
    finally:
        running.kill()
        running.wait()
    saved = yaml.safe_load((project / "run" / "config.yaml").read_text())
    before = max(int(p.name[5:]) for p in checkpoints.glob("step_*"))
    saved["grpo"]["max_steps"] = before + 3
    (project / "run" / "config.yaml").write_text(yaml.safe_dump(saved))
    done = subprocess.run(
        [*command, "--resume", str(project / "run")],
        env=ENV,
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "resumed at step" in done.stdout
    rows = [
        json.loads(line) for line in (project / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [r["step"] for r in rows if r["kind"] == "train"] == list(range(1, before + 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modle": "x"}, "modle: Extra inputs"),
        (
            {"grpo": {"learning_rte": 1}},
            "grpo: GRPOConfig: learning_rte: .*\nkeys there are: .*learning_rate",
        ),
        ({"model": "./nowhere"}, "there is no model in the folder"),
        ({"rubric": "none.yaml"}, "cannot read"),
        ({"rubric": {"parts": {"a": {"verifier": "nmber"}}}}, "unknown verifier 'nmber'"),
        ({"rubric": {"parts": {"a": {"function": "x:y"}}}}, "--allow-code"),
        ({"data": {"path": "none.jsonl"}}, "none.jsonl"),
        ({"data": {"path": "empty.jsonl"}}, "empty"),
        (
            {"data": {"path": "train.jsonl", "columns": {"prompt": "qestion"}}},
            "columns there are: .*gold, question|Columns there are: gold, question",
        ),
        ({"data": {"path": "train.jsonl", "columns": {"prompt": "question"}}}, "'answer'"),
        ({"backend": "verl"}, "backend"),
    ],
)
def test_bad_input_gives_one_clear_message_and_a_non_zero_exit(
    project: Path, changes: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    (project / "empty.jsonl").write_text("")
    assert main(["train", str(write(project, **changes))]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error
    assert error.startswith("rewardkit: error: ")


def test_resume_and_a_configuration_exclude_each_other(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train"]) == 2
    assert main(["train", str(project / "config.yaml"), "--resume", str(project)]) == 2
    assert main(["train", "--resume", str(project)]) == 2
    assert "not a run folder" in capsys.readouterr().err


def test_a_reward_that_returns_nan_stops_the_run_and_names_itself(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "mine.py").write_text("def broken(completion):\n    return float('nan')\n")
    config = write(project, rubric={"parts": {"mine": {"function": "mine.py:broken"}}})
    assert main(["train", str(config), "--allow-code"]) == 2
    error = capsys.readouterr().err
    assert "mine: the reward returned nan" in error
    assert "max_error_frac" in error
