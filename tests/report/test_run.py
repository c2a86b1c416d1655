"""Reading a run folder: what is there is read, what is not is said in plain words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import DataError, Rubric, Score
from rewardkit.report import load_run, summary, write_html
from rewardkit.report.page import html
from rewardkit.report.series import collect, smooth


def test_a_whole_run_has_no_problems(run_folder: Path) -> None:
    run = load_run(run_folder)
    assert run.problems == ()
    assert run.parts == ("right", "brevity")
    assert run.last_step == 3
    assert run.train["reward"].points == ((1, 0.5), (2, 2.5), (3, 2.0))
    assert (run.train["reward"].first, run.train["reward"].best) == (0.5, 2.5)
    assert run.warmup["loss"].values == (1.0, 0.5)


def test_examples_are_the_best_and_worst_of_the_last_step_and_one_unscorable(
    run_folder: Path,
) -> None:
    best, worst, lost = load_run(run_folder).examples
    assert (best.title, best.step, best.completion, best.prompt) == ("best", 3, "4", "[user] hi")
    assert best.score.total == pytest.approx(2.99)
    assert (worst.title, worst.step) == ("worst", 3)
    assert worst.completion.startswith("<script>")
    assert (lost.title, lost.step, lost.score.total) == ("unscorable", 1, None)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("manifest.json", "manifest.json is not there"),
        ("config.yaml", "config.yaml is not there"),
        ("metrics.jsonl", "no step was logged"),
        ("rollouts", "there are no rollouts"),
    ],
)
def test_a_missing_piece_is_told_and_the_rest_is_shown(
    run_folder: Path, missing: str, told: str
) -> None:
    path = run_folder / missing
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    run = load_run(run_folder)
    assert any(told in problem for problem in run.problems)
    assert told in summary(run)
    assert told in html(run)


def test_a_run_that_died_before_its_first_step(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"status": "running", "model": "m"}')
    run = load_run(tmp_path)
    text = summary(run)
    assert "no step was logged: the run ended before its first one" in text
    assert ["status", "running"] in [line.split() for line in text.splitlines()]
    write_html(run, tmp_path / "report.html")


def test_a_line_cut_off_by_a_kill_is_left_out_and_told(run_folder: Path) -> None:
    with (run_folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "kind": "tr')
    (run_folder / "rollouts" / "step_00000004.jsonl").write_text('{"step": 4, "comp')
    run = load_run(run_folder)
    assert run.last_step == 3
    assert run.problems == (
        "metrics.jsonl: 1 unreadable (line 8), left out",
        "rollouts/step_00000004.jsonl: 1 unreadable, left out",
    )
    assert [example.title for example in run.examples] == ["best", "worst", "unscorable"]


@pytest.mark.parametrize("text", ["{", "[1]", "", "[" * 100_000, "\x00"])
@pytest.mark.parametrize("name", ["manifest.json", "config.yaml"])
def test_a_broken_file_is_told(run_folder: Path, name: str, text: str) -> None:
    (run_folder / name).write_text(text)
    run = load_run(run_folder)
    assert any(name in problem for problem in run.problems)
    assert summary(run)
    assert html(run)


@pytest.mark.parametrize(
    "score",
    [None, {}, {"total": 1}, {"total": "x", "parts": {}}, {"total": 1, "parts": {"a": {}}}, [1]],
)
def test_a_rollout_without_a_readable_score_is_told(run_folder: Path, score: Any) -> None:
    row = {"step": 9, "prompt": "p", "completion": "c", "score": score}
    (run_folder / "rollouts" / "step_00000009.jsonl").write_text(json.dumps(row))
    run = load_run(run_folder)
    assert "rollouts/step_00000009.jsonl: 1 unreadable, left out" in run.problems
    assert run.examples[0].step == 3


def test_a_folder_that_is_not_there_or_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no run folder"):
        load_run(tmp_path / "gone")
    with pytest.raises(DataError, match="not a run folder"):
        load_run(tmp_path)


def test_scores_come_back_from_the_folder_as_they_were(
    rubric: Rubric, rollout: Callable[..., dict[str, Any]]
) -> None:
    for completion, answer in (("4", "4"), ("5", "4"), ("4", None)):
        before: Score = rubric.score(prompt="2 + 2", completion=completion, answer=answer)
        stored = json.loads(json.dumps(before.to_dict()))
        assert Score.from_dict(stored) == before
        assert Score.from_dict(stored).explain() == before.explain()


def test_a_step_logged_twice_counts_as_logged_last() -> None:
    rows = [{"step": s, "kind": "train", "reward": v} for s, v in ((1, 0.0), (2, 1.0), (2, 5.0))]
    assert collect(rows, "train")["reward"].points == ((1, 0.0), (2, 5.0))


@pytest.mark.parametrize(
    "value", [None, True, "1", float("nan"), float("inf"), 10**400, {}, [1], -1e305]
)
def test_what_is_no_figure_is_no_point(value: Any) -> None:
    assert collect([{"step": 1, "kind": "train", "reward": value}], "train") == {}


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=300), st.integers(1, 50))
def test_smoothing_keeps_within_the_values(values: list[float], most: int) -> None:
    points = tuple(enumerate(values))
    smoothed = smooth(points, most)
    assert 1 <= len(smoothed) <= most
    slack = 1e-6 * max(map(abs, values))
    assert all(min(values) - slack <= value <= max(values) + slack for _, value in smoothed)
