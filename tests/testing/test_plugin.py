"""The pytest plugin: rows are tests, failures are explanations, and other projects pay little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]

RIGHT = {"id": "right", "completion": "4", "answer": "4", "expect": {"total": 2.99}}
WRONG = {"id": "wrong", "completion": "5", "answer": "4", "expect": {"total": 3}}
ALSO = {"id": "also wrong", "completion": "6", "answer": "4", "expect": {"above": "right"}}


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_rows_are_items_and_failures_explain_themselves(write: Write, tmp_path: Path) -> None:
    write(RIGHT, WRONG, ALSO)
    done = run_pytest(tmp_path, "--rewards-allow-code")
    assert done.returncode == 1
    assert "2 failed, 1 passed" in done.stdout
    assert "total: expected 3.0, got -0.01" in done.stdout
    assert "├─ right" in done.stdout
    assert "'also wrong' must out-score 'right'" in done.stdout
    assert "Traceback" not in done.stdout
    assert "plugin.py" not in done.stdout
    assert "FAILED sums.rewards.jsonl::wrong - wrong: total: expected 3.0" in done.stdout


def test_rows_are_chosen_by_name_and_x_stops_at_the_first(write: Write, tmp_path: Path) -> None:
    write(WRONG, RIGHT, ALSO)
    chosen = run_pytest(tmp_path, "--rewards-allow-code", "-v", "-k", "right")
    assert chosen.returncode == 0
    assert "sums.rewards.jsonl::right PASSED" in chosen.stdout
    assert "2 deselected" in chosen.stdout
    stopped = run_pytest(tmp_path, "--rewards-allow-code", "-x", "sums.rewards.jsonl")
    assert "stopping after 1 failures" in stopped.stdout


def test_rows_are_spread_over_processes(write: Write, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    write(RIGHT, WRONG, ALSO)
    done = run_pytest(tmp_path, "--rewards-allow-code", "-n", "2")
    assert "2 failed, 1 passed" in done.stdout


@pytest.mark.parametrize("ending", ["yaml", "yml"])
def test_yaml_is_collected(write: Write, tmp_path: Path, ending: str) -> None:
    write(RIGHT).unlink()
    rows = [{"rubric": "rubric.yaml"}, RIGHT]
    (tmp_path / f"sums.rewards.{ending}").write_text(json.dumps(rows))
    assert "1 passed" in run_pytest(tmp_path, "--rewards-allow-code").stdout


def test_a_broken_file_is_one_error_without_a_traceback(write: Write, tmp_path: Path) -> None:
    write({**RIGHT, "expects": 1, "expect": {}})
    done = run_pytest(tmp_path)
    assert done.returncode == 2
    assert "nothing is expected" in done.stdout
    assert "Traceback" not in done.stdout
    assert "fixtures.py" not in done.stdout


def test_code_is_refused_unless_it_is_allowed(write: Write, tmp_path: Path) -> None:
    write(RIGHT)
    done = run_pytest(tmp_path)
    assert done.returncode == 2
    assert "pass --rewards-allow-code" in done.stdout


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("not json")
    (tmp_path / "rewards.yaml").write_text("- 1")
    assert run_pytest(tmp_path).returncode == 5, "something was collected"


def test_a_project_without_such_files_imports_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    assert 'rewardkit.testing.plugin' in sys.modules\n"
        "    heavy = {'rewardkit.testing.check', 'rewardkit.testing.fixtures', 'sympy', 'torch',\n"
        "             'trl', 'peft', 'transformers', 'datasets'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    done = run_pytest(tmp_path, "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout
