"""``rewardkit diff``: exit codes as of diff, both explanations, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

ROWS = [
    {"completion": "4", "answer": "4"},
    {"completion": "5\u001b[2J", "answer": "4"},
    {"completion": "4", "answer": None},
]
OTHER = """
parts:
  right: {verifier: "rewards.py:Right", correct: 2.0}
  brevity: {function: "rewards.py:brevity"}
"""


@pytest.fixture
def scores(cli: Cli, folder: Path) -> str:
    """Scores by ``rubric.yaml``; ``other.yaml`` pays less for what is right."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "other.yaml").write_text(OTHER)
    command = ("score", "rows.jsonl", "--rubric", "rubric.yaml", "--allow-code")
    assert cli(*command, "--out", "old.jsonl").code == 0
    return "old.jsonl"


def test_the_same_exits_with_0(cli: Cli, scores: str) -> None:
    done = cli("diff", scores, "--rubric", "rubric.yaml", "--allow-code")
    assert done.code == 0
    assert "0 rows differ, 3 are the same" in done.out
    assert cli("diff", scores, scores).code == 0


def test_what_differs_exits_with_1_and_explains_both(cli: Cli, scores: str) -> None:
    done = cli("diff", scores, "--rubric", "other.yaml", "--allow-code")
    assert done.code == 1
    assert "1 rows differ (total 1, value 1), 2 are the same" in done.out
    assert "mean total +1.47 → +0.97 (rows scored by both)" in done.out
    assert "1 × right: correct, worth 3 → correct, worth 2" in done.out
    assert "row 0: 4" in done.out
    assert "old  total  +2.99" in done.out
    assert "new  total  +1.99" in done.out
    assert "\x1b" not in done.out


def test_two_files_of_scores(cli: Cli, scores: str) -> None:
    command = ("score", "rows.jsonl", "--rubric", "other.yaml", "--allow-code")
    assert cli(*command, "--out", "new.jsonl").code == 0
    assert cli("diff", scores, "new.jsonl").code == 1


def test_json_holds_everything(cli: Cli, scores: str) -> None:
    done = cli("diff", scores, "--rubric", "other.yaml", "--allow-code", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["compared"], found["differ"]) == (3, 1)
    assert found["kinds"] == {"total": 1, "value": 1}
    assert found["groups"][0]["part"] == "right"
    assert found["changes"][0]["old"]["total"] == 2.99
    assert found["changes"][0]["new"]["total"] == 1.99


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("old.jsonl",), "say what to compare with"),
        (("old.jsonl", "old.jsonl", "--rubric", "other.yaml"), "say what to compare with"),
        (("rows.jsonl", "old.jsonl"), "row 0 has no score"),
        (("old.jsonl", "gone.jsonl"), "there is no file or run folder gone.jsonl"),
        (("old.jsonl", "old.jsonl", "--tolerance", "nan"), "--tolerance is at least 0"),
    ],
)
def test_what_cannot_be_compared_exits_with_2(
    cli: Cli, scores: str, arguments: tuple[str, ...], told: str
) -> None:
    done = cli("diff", *arguments)
    assert done.code == 2
    assert told in done.err


def test_other_data_is_trouble_unless_the_common_rows_are_asked_for(
    cli: Cli, folder: Path, scores: str
) -> None:
    text = (folder / scores).read_text().splitlines(keepends=True)
    (folder / "part.jsonl").write_text("".join(text[:2]))
    done = cli("diff", scores, "part.jsonl")
    assert done.code == 2
    assert "did not judge the same data" in done.err
    assert cli("diff", scores, "part.jsonl", "--common").code == 0


class TestScoringARun:
    def test_a_run_folder_is_scored_without_generating_anew(
        self, cli: Cli, folder: Path, scores: str
    ) -> None:
        rollouts = folder / "run" / "rollouts"
        rollouts.mkdir(parents=True)
        lines = (folder / scores).read_text().splitlines(keepends=True)
        for step, line in enumerate(lines, 1):
            row = {**json.loads(line), "step": step, "group_id": 0}
            (rollouts / f"step_{step:08d}.jsonl").write_text(json.dumps(row) + "\n")
        command = ("score", "run", "--rubric", "other.yaml", "--allow-code", "--out", "new.jsonl")
        done = cli(*command)
        assert done.code == 0, done.err
        assert "3 rows, rubric" in done.out
        assert "total  mean +0.97  (2 scored, 1 unscorable)" in done.out
        again = [json.loads(line) for line in (folder / "new.jsonl").read_text().splitlines()]
        assert [row["step"] for row in again] == [1, 2, 3]
        assert cli("diff", "run", "new.jsonl").code == 1
        assert cli("diff", "run", "--rubric", "rubric.yaml", "--allow-code").code == 0

    def test_resume_goes_on_and_refuses_another_rubric(
        self, cli: Cli, folder: Path, scores: str
    ) -> None:
        whole = (folder / scores).read_text()
        (folder / "part.jsonl").write_text(whole.splitlines(keepends=True)[0])
        resume = ("--allow-code", "--out", "part.jsonl", "--resume")
        done = cli("score", "rows.jsonl", "--rubric", "rubric.yaml", *resume)
        assert done.code == 0, done.err
        assert "3 rows" in done.out
        assert cli("diff", scores, "part.jsonl").code == 0
        done = cli("score", "rows.jsonl", "--rubric", "other.yaml", *resume)
        assert done.code == 2
        assert "was scored by rubric" in done.err

    def test_resume_needs_a_file(self, cli: Cli, scores: str) -> None:
        done = cli("score", "rows.jsonl", "--rubric", "rubric.yaml", "--allow-code", "--resume")
        assert done.code == 2
        assert "--resume goes with --out" in done.err
