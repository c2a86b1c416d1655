"""Promise: what a run wrote can be scored again as it was scored then, and is counted alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewardkit.cli import main

LENGTH = "def length(completion_ids):\n    return float(len(completion_ids))\n"


def row(**more: object) -> str:
    judged = {"prompt": "2+2", "completion": "4", "answer": "4", "columns": {"level": 1}}
    return json.dumps({**judged, **more}) + "\n"


def test_the_token_ids_of_a_rollout_are_a_column_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(LENGTH)
    (tmp_path / "rubric.yaml").write_text("parts: {n: {function: 'mine.py:length'}}")
    (tmp_path / "step_00000001.jsonl").write_text(row(completion_ids=[5, 6, 7], score={}))
    command = ["score", str(tmp_path / "step_00000001.jsonl"), "--rubric"]
    assert main([*command, str(tmp_path / "rubric.yaml"), "--allow-code"]) == 0
    assert "total  mean +3  (1 scored" in capsys.readouterr().out


def test_the_table_counts_correct_as_training_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is behind a closed gate was not correct, here as in ``parts/<name>/correct``."""
    spec = {
        "parts": {
            "form": {"verifier": "tag_format", "args": {"template": "<a>...</a>"}},
            "answer": {"verifier": "number"},
            "length": {"reward": "tag_count", "args": {"tags": ["<a>"]}},
        },
        "gates": [{"on": "form", "gated": ["answer"]}],
    }
    (tmp_path / "rubric.json").write_text(json.dumps(spec))
    rows = [{"completion": c, "answer": "4"} for c in ("<a>4</a>", "4", "4", "<a>5</a>")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert (
        main(["score", str(tmp_path / "rows.jsonl"), "--rubric", str(tmp_path / "rubric.json")])
        == 0
    )
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines["form"][2:] == ["50.0%", "0", "0"]
    assert lines["answer"][2:] == ["25.0%", "2", "0"]
