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


def run_pytest(
    folder: Path, *options: str, installed: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs pytest; with ``installed`` it finds the plugin as users' does, by its entry point."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    if not installed:  # the plugins of other packages take longer than all the rest
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        command += ["-p", "rewardkit.testing.plugin"]
        command += ["-p", "xdist"] if "-n" in options else []
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
    done = run_pytest(tmp_path, "--rewards-allow-code", installed=True)
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
    done = run_pytest(tmp_path, "-p", "no:hypothesispytest", installed=True)
    assert done.returncode == 0, done.stdout


def junit(folder: Path) -> str:
    return (folder / "junit.xml").read_text(encoding="utf-8")


RECORDED = {"rubric": "0123456789abcdef", "reviewed": False, "was": {"total": 1.0}}


def test_unreviewed_rows_fail_and_say_how_they_are_accepted(write: Write, tmp_path: Path) -> None:
    write({**RIGHT, "recorded": RECORDED}, {**RIGHT, "id": "b"})
    done = run_pytest(tmp_path, "--rewards-allow-code", "--junitxml", "junit.xml")
    assert "1 failed, 1 passed" in done.stdout
    assert "right: unreviewed: total 2.99" in done.stdout
    assert "(was total 1.0)" in done.stdout
    assert 'message="right: unreviewed: total 2.99' in junit(tmp_path)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_rows_accepted_under_another_rubric_pass_and_are_counted(
    write: Write, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    if workers:
        pytest.importorskip("xdist")
    accepted = {**RECORDED, "reviewed": True}
    write({**RIGHT, "recorded": accepted}, {**RIGHT, "id": "b", "recorded": accepted})
    done = run_pytest(tmp_path, "--rewards-allow-code", *workers)
    assert done.returncode == 0, done.stdout
    assert "2 recorded rows come out as accepted, but were accepted under another" in done.stdout


def test_rows_that_failed_last_come_again(write: Write, tmp_path: Path) -> None:
    write(RIGHT, WRONG)
    cached = ("--rewards-allow-code", "-p", "cacheprovider")
    assert "1 failed, 1 passed" in run_pytest(tmp_path, *cached).stdout
    again = run_pytest(tmp_path, *cached, "--lf")
    assert "1 failed" in again.stdout
    assert "passed" not in again.stdout


def test_rows_that_only_hold_a_truth_are_no_tests(write: Write, tmp_path: Path) -> None:
    write({"id": "t", "completion": "4", "answer": "4", "truth": "correct"}, RIGHT)
    assert "1 passed" in run_pytest(tmp_path, "--rewards-allow-code").stdout


def test_expected_and_got_have_colours_of_their_own(write: Write, tmp_path: Path) -> None:
    write(WRONG)
    done = run_pytest(tmp_path, "--rewards-allow-code", "--color=yes")
    (expected,) = [line for line in done.stdout.splitlines() if "- 3.0" in line]
    (got,) = [line for line in done.stdout.splitlines() if "+ -0.01" in line]
    assert expected.startswith("\x1b[32m")
    assert got.startswith("\x1b[31m")


_OWN_TESTS = """
import pytest
from rewardkit import Rubric
from rewardkit.testing import fixture

ROWS = [
    fixture("short", completion="4", expect={"total": {"min": -0.1}, "above": "long"}),
    fixture("long", completion="4" * 50, expect={"parts": {"brevity": -0.4}}),
]

@pytest.mark.rewards(*ROWS)
@pytest.mark.rubric("short.yaml")
def test_rows(reward_row, rubric):
    reward_row.check(rubric)

@pytest.mark.rewards("sums.rewards.jsonl")
def test_file(reward_row, rubric):
    reward_row.check(rubric)

def test_default(rubric):
    assert isinstance(rubric, Rubric)
    assert list(rubric) == ["right", "brevity"]
"""


def test_rows_in_python_and_the_rubric_fixture(write: Write, tmp_path: Path) -> None:
    write(RIGHT)
    (tmp_path / "short.yaml").write_text("parts: {brevity: {function: 'rewards.py:brevity'}}")
    (tmp_path / "test_own.py").write_text(_OWN_TESTS)
    done = run_pytest(tmp_path, "--rewards-allow-code", "-v", "test_own.py")
    assert "test_own.py::test_rows[short] PASSED" in done.stdout
    assert "test_own.py::test_file[right] PASSED" in done.stdout
    assert "test_own.py::test_default PASSED" in done.stdout
    assert "test_own.py::test_rows[long] FAILED" in done.stdout
    assert "part 'brevity': expected -0.4, got -0.5" in done.stdout
    assert "plugin.py" not in done.stdout, "our own frames are shown"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("def test_a(reward_row): pass", "say which rows"),
        (
            "import pytest\n@pytest.mark.rewards('gone.rewards.jsonl')\ndef test_a(reward_row): ...",
            "there is no file",
        ),
        ("def test_a(rubric): pass", "put a rubric.yaml beside test_own.py"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, body: str, told: str) -> None:
    (tmp_path / "test_own.py").write_text(body)
    done = run_pytest(tmp_path)
    assert done.returncode != 0
    assert told in done.stdout + done.stderr


def test_a_thousand_rows_cost_little_more_than_scoring_them(write: Write) -> None:
    """By counting: every row is scored once, however many others it is ordered against."""
    from rewardkit import Rubric
    from rewardkit.testing import check_fixtures

    rows = [
        {"id": str(n), "completion": str(n), "expect": {"total": n, "above": str(n - 1)}}
        for n in range(1, 1000)
    ]
    first = {"id": "0", "completion": "0", "expect": {"total": 0, "below": ["1", "999"]}}
    path = write(first, *rows, header="none")
    seen: list[str] = []

    def counted(completion: str) -> float:
        seen.append(completion)
        return float(completion)

    report = check_fixtures(path, Rubric(counted))
    assert (len(report.passed), len(report.failures)) == (1000, 0)
    assert len(seen) == 1000
