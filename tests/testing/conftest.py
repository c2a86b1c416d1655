"""A folder with a rubric of plain functions, and fixture files in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# What tests of this folder and of those in it share is found beside them.
sys.path.insert(0, str(Path(__file__).parent))
try:
    import ours  # noqa: F401
finally:
    sys.path.pop(0)

_FUNCTIONS = '''
from rewardkit import Sample, Verdict, Verifier, reward


class Right(Verifier):
    """Correct where the text is the answer; cannot say without one."""

    def _verify(self, sample: Sample) -> Verdict:
        if sample.answer is None:
            return Verdict.unscorable("there is no gold answer", fault="dataset")
        if sample.text == str(sample.answer):
            return Verdict.correct("equal to the gold answer")
        return Verdict.incorrect(f"{sample.text!r} is not the gold answer", credit=0.25)


@reward(bounds=(-1.0, 0.0))
def brevity(completion):
    if completion == "boom":
        raise ValueError("boom \\x1b[2J")
    return -min(len(completion) / 100, 1.0)


def rank(completions):
    order = sorted(completions, key=len)
    return [float(order.index(c)) for c in completions]
'''

_RUBRIC = """
parts:
  right: {verifier: "rewards.py:Right", correct: 3.0}
  brevity: {function: "rewards.py:brevity"}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows as a fixture file beside ``rubric.yaml``; returns its path."""
    (tmp_path / "rewards.py").write_text(_FUNCTIONS)
    (tmp_path / "rubric.yaml").write_text(_RUBRIC)

    def write(*rows: Any, name: str = "sums.rewards.jsonl", header: Any = None) -> Path:
        path = tmp_path / name
        lines = [{"rubric": "rubric.yaml"} if header is None else header, *rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines if line != "none"))
        return path

    return write
