"""``rewardkit test``: exit codes and what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

RIGHT = {"id": "right", "completion": "4", "answer": "4", "expect": {"total": 2.99}}
WRONG = {"id": "wrong", "completion": "5", "answer": "4", "expect": {"total": 3}}


@pytest.fixture
def fixtures(folder: Path) -> Callable[..., str]:
    """Writes a fixture file; returns its name."""

    def write(*rows: dict[str, Any], name: str = "sums.rewards.jsonl") -> str:
        lines = [{"rubric": "rubric.yaml"}, *rows]
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return name

    return write


def test_all_as_expected_exits_with_0(process: Cli, fixtures: Callable[..., str]) -> None:
    done = process("test", fixtures(RIGHT), "--allow-code")
    assert (done.code, done.err) == (0, "")
    assert done.out == "sums.rewards.jsonl: 1 passed, 0 failed\n"


def test_a_failure_exits_with_1_and_explains_itself(
    process: Cli, fixtures: Callable[..., str]
) -> None:
    done = process("test", fixtures(RIGHT, WRONG), "--allow-code")
    assert done.code == 1
    assert "wrong: total: expected 3.0, got -0.01" in done.out
    assert "├─ right" in done.out
    assert done.out.endswith("1 passed, 1 failed\n")


def test_verbose_names_the_rows(cli: Cli, fixtures: Callable[..., str]) -> None:
    done = cli("test", fixtures(RIGHT, WRONG), "--allow-code", "-v")
    assert "ok    right\nFAIL  wrong\n" in done.out


def test_several_files_are_all_checked(cli: Cli, fixtures: Callable[..., str]) -> None:
    names = fixtures(WRONG, name="a.rewards.jsonl"), fixtures(RIGHT, name="b.rewards.jsonl")
    done = cli("test", *names, "--allow-code")
    assert done.code == 1
    assert "b.rewards.jsonl: 1 passed" in done.out


def test_another_rubric_can_be_given(cli: Cli, folder: Path, fixtures: Callable[..., str]) -> None:
    spec = {"parts": {"short": {"function": "rewards.py:brevity"}}}
    (folder / "other.json").write_text(json.dumps(spec))
    row = {**RIGHT, "expect": {"total": -0.01}}
    done = cli("test", fixtures(row), "--rubric", "other.json", "--allow-code")
    assert done.code == 0, done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("gone.rewards.jsonl",), "there is no file gone.rewards.jsonl"),
        (("sums.rewards.jsonl",), "--allow-code"),
        (("sums.rewards.jsonl", "--rubric", "gone.yaml"), "cannot read gone.yaml"),
    ],
)
def test_mistakes_exit_with_2(
    cli: Cli, fixtures: Callable[..., str], arguments: tuple[str, ...], told: str
) -> None:
    fixtures(RIGHT)
    done = cli("test", *arguments)
    assert done.code == 2
    assert told in done.err


def test_a_terminal_gets_colours_and_a_file_does_not(
    cli: Cli, fixtures: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fixtures(RIGHT, WRONG)
    assert "\x1b" not in cli("test", name, "--allow-code").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    painted = cli("test", name, "--allow-code").out
    assert "\x1b[32m  total    - 3.0\x1b[0m" in painted
    assert "\x1b[31m           + -0.01\x1b[0m" in painted
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in cli("test", name, "--allow-code").out
