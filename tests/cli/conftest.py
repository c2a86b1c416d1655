"""A folder with a rubric and rows, and two ways to run the command line in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rewardkit.cli import main

_FUNCTIONS = """
from rewardkit import Sample, Verdict, Verifier, reward


class Right(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        if sample.answer is None:
            return Verdict.unscorable("there is no gold answer", fault="dataset")
        if sample.text == str(sample.answer):
            return Verdict.correct("equal")
        return Verdict.incorrect(f"got {sample.text}")


@reward(bounds=(-1.0, 0.0))
def brevity(completion):
    if completion == "boom":
        raise ValueError("boom \\x1b[2J")
    return -min(len(completion) / 100, 1.0)


def leveled(completion, level):
    return float(level)


def nan(completion):
    return float("nan")


def rank(completions):
    order = sorted(completions, key=len)
    return [float(order.index(c)) for c in completions]
"""

_RUBRIC = """
parts:
  right: {verifier: "rewards.py:Right", correct: 3.0}
  brevity: {function: "rewards.py:brevity"}
"""

_ROWS = [
    {"question": "2 + 2", "completion": "4", "gold": "4"},
    {"question": "2 + 2", "completion": "5\u001b[2J\ud800", "gold": "4"},
    {"question": "2 + 2", "completion": "4", "gold": None},
]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``rubric.yaml`` and ``rows.jsonl`` in it."""
    (tmp_path / "rewards.py").write_text(_FUNCTIONS)
    (tmp_path / "rubric.yaml").write_text(_RUBRIC)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _ROWS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command line in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def process(folder: Path) -> Cli:
    """Runs the command line in a process of its own, as users do."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
        command = [sys.executable, "-c", "from rewardkit.cli import main; raise SystemExit(main())"]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            env={**os.environ, **(env or {})},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
