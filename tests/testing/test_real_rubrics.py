"""Fixtures of rubrics of the house's own verifiers, and of a preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Rubric
from rewardkit.cli import main
from rewardkit.testing import check_fixtures

RUBRIC = """
parts:
  format:
    verifier: tag_format
    args: {template: "<think>...</think><answer>...</answer>"}
  answer: {verifier: number, args: {extract: answer}, correct: 3.0, incorrect: -1.0}
  near: {verifier: proximity, args: {extract: answer}, partial: true, weight: 0.5}
gates:
  - {on: format, gated: [answer, near]}
"""

THINK = "<think>two and two</think>"


def row(name: str, completion: str, **expect: Any) -> dict[str, Any]:
    return {
        "id": name,
        "completion": completion,
        "answer": "4",
        "prompt": "2 + 2",
        "expect": expect,
    }


ROWS = [
    row("right", f"{THINK}<answer>4</answer>", total=4.5, verdicts={"answer": "correct"}),
    row("near", f"{THINK}<answer>5</answer>", above=["far", "no format"], below="right"),
    row("far", f"{THINK}<answer>400</answer>", parts={"answer": -1, "near": {"max": 0.01}}),
    row("no format", "4", total=-1, verdicts={"format": "incorrect", "answer": "gated"}),
    {**row("no gold", f"{THINK}<answer>4</answer>", total=None), "answer": "four-ish"},
]


@pytest.fixture
def fixtures(tmp_path: Path) -> Path:
    (tmp_path / "rubric.yaml").write_text(RUBRIC)
    path = tmp_path / "sums.rewards.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in [{"rubric": "rubric.yaml"}, *ROWS]))
    return path


def test_from_python_and_from_the_command_line(fixtures: Path) -> None:
    report = check_fixtures(fixtures)
    assert report.ok, str(report)
    assert main(["test", str(fixtures)]) == 0


def test_a_rubric_made_worse_is_caught(fixtures: Path) -> None:
    rubric = Rubric.load(fixtures.parent / "rubric.yaml").weighted(answer=-1.0)
    rubric = rubric.silence("right-pays-less")
    failed = {failure.id for failure in check_fixtures(fixtures, rubric).failures}
    assert failed == {"right", "near", "no format"}


def test_a_preset_is_named_by_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "sums.rewards.jsonl"
    rows = [
        {"preset": "arithmetic"},
        {"id": "4", "completion": "4", "answer": "4", "expect": {"above": ["8", "a letter"]}},
        {"id": "8", "completion": "8", "answer": "4", "expect": {"above": "a letter"}},
        {"id": "a letter", "completion": "b", "answer": "4", "expect": {"total": {"max": -1}}},
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    report = check_fixtures(path)
    assert report.ok, str(report)
