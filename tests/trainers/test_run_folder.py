"""Promise: a run folder says all that a score and a completion depended on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewardkit import Rubric, Sample, Score
from rewardkit.sandbox import SandboxUnavailable
from rewardkit.trainers import GRPOConfig, GRPOTrainer
from rewardkit.trainers.runfolder import RunFolder
from rewardkit.verifiers import CodeVerifier, NumberVerifier

ROWS = [{"prompt": f"{i}+{i}=", "answer": str(2 * i), "level": i} for i in range(4)]


def test_saved_rollouts_can_be_scored_again_to_the_same_scores(
    tiny_model: Path, tmp_path: Path
) -> None:
    rubric = Rubric(
        answer=NumberVerifier().reward(2.0, -1.0), level=lambda completion, level: float(level)
    )
    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=8, max_completion_length=5, max_steps=2
    )
    GRPOTrainer(tiny_model, rubric, ROWS, config, output_dir=tmp_path / "run", quiet=True).train()
    files = sorted((tmp_path / "run" / "rollouts").iterdir())
    assert [f.name for f in files] == ["step_00000001.jsonl", "step_00000002.jsonl"]
    rows = [json.loads(line) for f in files for line in f.read_text().splitlines()]
    assert len(rows) == 16
    for row in rows:
        again = rubric.score(
            Sample(
                completion=row["completion"],
                prompt=row["prompt"],
                answer=row["answer"],
                columns=row["columns"],
            )
        )
        stored = Score.from_dict(row["score"])
        assert (stored.total, stored.values, stored.fingerprint) == (
            again.total,
            again.values,
            again.fingerprint,
        )
        assert len(row["logprobs"]) == len(row["completion_ids"])
        assert row["columns"]["level"] == row["row"]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert {"torch", "transformers", "rewardkit"} <= manifest["versions"].keys()
    assert "rubric_not_saved" in manifest  # a lambda cannot be written to a spec, and it says so


def test_the_manifest_says_what_the_sandbox_holds(tmp_path: Path) -> None:
    rubric = Rubric(code=CodeVerifier([[[1], 1]], entry="f"), n=NumberVerifier())
    folder = RunFolder(tmp_path / "run")
    try:
        folder.begin({}, rubric)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert set(manifest["environment"]) == {"code"}
    assert manifest["environment"]["code"]["sandbox"]["holds"]["network"] is True


def test_hostile_completions_are_written_and_read_back_unchanged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    hostile = '\ud800 \x00 \u2028 \x1b[2J\n"}{'
    folder.write_rollouts(1, [{"completion": hostile, "odd": object}])
    lines = (tmp_path / "run" / "rollouts" / "step_00000001.jsonl").read_text().split("\n")
    assert json.loads(lines[0])["completion"] == hostile
    assert lines[1:] == [""]
