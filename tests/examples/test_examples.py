"""Promise: each example runs as it is, and shows what it says that it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rewardkit import Rubric, Sample
from rewardkit.testing import check_fixtures

Load = Callable[[str], ModuleType]
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(path: Path, *arguments: str) -> str:
    """What an example prints, run as a user runs it."""
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env=ENV,
        cwd=path.parent,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test(root: Path) -> None:
    """A new one must be added here, or to the tests of its folder."""
    names = {path.name for path in (root / "examples").iterdir()} - {"__pycache__"}
    assert names == {
        "carry", "own_verifier.py", "quickstart.py", "quickstart.rewards.jsonl", "quickstart.yaml",
        "train_from_python.py", "word_problems",
    }  # fmt: skip


def test_the_quickstart_explains_three_scores(examples: Path) -> None:
    said = run(examples / "quickstart.py")
    assert [line.split()[1] for line in said.splitlines() if line.startswith("total")] == [
        "+4", "-0.1667", "-1",
    ]  # fmt: skip
    assert "not run: gate 'format' is closed" in said


def test_the_quickstart_as_a_file_is_the_same_rubric(examples: Path, load: Load) -> None:
    written = Rubric.load(examples / "quickstart.yaml")
    assert written == load("quickstart").rubric
    assert written.fingerprint == load("quickstart").rubric.fingerprint


@pytest.mark.parametrize("fixtures", ["quickstart", "carry/carry", "word_problems/word_problems"])
def test_the_fixtures_hold(examples: Path, fixtures: str) -> None:
    report = check_fixtures(examples / f"{fixtures}.rewards.jsonl")
    assert report.ok, str(report)
    assert len(report.passed) >= 5


def test_the_fixtures_of_the_quickstart_notice_a_worse_rubric(examples: Path) -> None:
    rubric = Rubric.load(examples / "quickstart.yaml").weighted(answer=0.0)
    failed = {f.id for f in check_fixtures(examples / "quickstart.rewards.jsonl", rubric).failures}
    assert {"right", "gold-unreadable"} & failed


def test_own_verifier_runs_and_explains_itself(examples: Path) -> None:
    said = run(examples / "own_verifier.py")
    assert "spells cat" in said
    assert "no word to spell" in said


def test_own_verifier_scores_as_it_says(load: Load) -> None:
    module = load("own_verifier")
    good, short, empty = (
        module.rubric.score(completion=text, word=word)
        for text, word in ((module.POEMS[0], "cat"), (module.POEMS[1], "cat"), ("Cow", ""))
    )
    assert good["acrostic"].status == "correct"
    assert good.total == pytest.approx(2.0 + 0.5 * good["brevity"].value + good["variety"].value)
    assert short["acrostic"].verdict.credit == pytest.approx(1 / 3)
    assert short["variety"].gated_by == "acrostic"
    assert empty.total is None
    assert empty["acrostic"].fault == "dataset"
    assert good["charm"].weight == 0.0


@pytest.mark.parametrize("text", ["", "\n\n", "\u202e" * 50, "C\n" * 10_000, "C\nA\nT\nS\nX"])
def test_own_verifier_takes_any_text(load: Load, text: str) -> None:
    verdict = load("own_verifier").Acrostic("cat").verify(Sample(completion=text))
    assert verdict.status == "incorrect"
    assert 0.0 <= verdict.credit < 1.0


@pytest.mark.parametrize("backend", ["builtin", "trl"])
def test_training_from_python_by_both_backends(
    load: Load,
    tmp_path: Path,
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    arguments = ["--backend", backend, "--steps", "2", "--output-dir", str(out)]
    monkeypatch.setattr(sys, "argv", ["train_from_python.py", *arguments])
    load("train_from_python").main()
    said = capsys.readouterr().out
    assert "status   finished" in said
    assert f"backend  {backend}" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["steps"] == 2
    assert set(manifest["parts"]) == {"number", "right"}
