"""The scoreboard keeps what it measured, and lists what it could not."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FIGURES: dict[str, Any] = {
    "form": "boxed", "runs the answer": False, "right": 1.0, "wrong": 0.0, "attacks": 221, "through": 3,
    "families": {"claims": 1, "hostile": 2}, "kinds": {"out-earns": 2, "hung": 1},
    "names": {"a": "out-earns", "b": "out-earns", "c": "hung"},
    "labelled": {
        "right": 10, "wrong": 20, "right refused": 1, "wrong, hung": 2,
        "boxed": {"right": 4, "interval": {"right refused": [0.0, 0.4899]}},
        "interval": {"right refused": [0.0179, 0.4042], "wrong accepted": [0.0, 0.1611]},
    },
}  # fmt: skip
CODE_FIGURES = {"attacks": 54, "through": 1, "kinds": {"crashed": 1}, "names": {"x": "crashed"}}


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with its folder on the path as when it is run."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("scoreboard")


@pytest.fixture
def peers(board: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The graders; what they put on the path is taken away again."""
    found = importlib.import_module("scoreboard_peers")
    monkeypatch.setattr(sys, "path", list(sys.path))
    found._path.cache_clear()
    return found


def page(board: ModuleType) -> str:
    heads = importlib.import_module("scoreboard_table").TITLES
    return f"before\n{heads['answers']}\n|---|\n| old | row |\n\nbetween\n{heads['code']}\nafter\n"


def test_a_peer_that_is_not_installed_is_listed_with_the_reason(
    board: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOREBOARD_PEERS", str(tmp_path))
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    found = board.in_a_process("verl_gsm8k")
    assert list(found) == ["cannot be run"]
    assert "is not installed, see benchmarks/README.md" in found["cannot be run"]
    table = importlib.import_module("scoreboard_table")
    assert "cannot be run: " in table.line("verl_gsm8k", found)
    assert f"| not run | {found['cannot be run']} |" in table.renewed(
        page(board), {"verl_gsm8k": found}
    )


def test_a_peer_that_does_not_come_to_an_end_is_listed_and_killed(board: ModuleType) -> None:
    assert board.in_a_process("ours_math", 0.01) == {"cannot be run": "no figures after 0.01 s"}


def test_measuring_one_keeps_the_figures_of_the_others(board: ModuleType, tmp_path: Path) -> None:
    assert list(board.keep({"verl_gsm8k": FIGURES}, tmp_path)) == ["verl_gsm8k"]
    both = board.keep({"ours_math": {**FIGURES, "through": 0}}, tmp_path)
    assert list(both) == ["ours_math", "verl_gsm8k"]
    again = board.keep({"ours_math": {"cannot be run": "why"}}, tmp_path)
    written = json.loads((tmp_path / "scoreboard.json").read_text())["result"]
    assert written["graders"] == again == {**both, "ours_math": {"cannot be run": "why"}}
    assert "math-verify==0.9.0" in written["peers"]


def test_the_tables_are_written_anew_and_what_stands_around_them_is_kept(
    board: ModuleType,
) -> None:
    table = importlib.import_module("scoreboard_table")
    graders = {"verl_gsm8k": FIGURES, "ours_math": FIGURES, "evalplus": CODE_FIGURES}
    made = table.renewed(page(board), graders)
    lines = made.split("\n")
    assert [lines[0], lines[5], lines[6], *lines[-2:]] == ["before", "", "between", "after", ""]
    assert "old" not in made
    cells = (
        "3 of 221 | hostile 2, claims 1, hung 1 | 1 of 10: 10.0% (1.8 to 40.4) "
        "| 0 of 4: 0.0% (0.0 to 49.0) | 0 of 20: 0.0% (0.0 to 16.1) | 2 |"
    )
    assert lines[3:5] == [f"| `MathVerifier()` | {cells}", f"| verl 0.9.1 `gsm8k` | {cells}"]
    assert lines[9] == "| evalplus 0.3.1 `untrusted_check` | 1 of 54 | crashed: `x` |"
    assert table.renewed(made, graders) == made


def test_a_page_without_the_tables_is_refused(board: ModuleType) -> None:
    table = importlib.import_module("scoreboard_table")
    with pytest.raises(ValueError, match="no table that begins with"):
        table.renewed("nothing here", {"ours_math": FIGURES})


def test_the_docs_show_the_figures_that_were_measured(board: ModuleType) -> None:
    table = importlib.import_module("scoreboard_table")
    kept = json.loads((BENCHMARKS / "results" / "scoreboard.json").read_text())
    text = board.DOCS.read_text(encoding="utf-8")
    assert table.renewed(text, kept["result"]["graders"]) == text


def test_every_grader_has_a_title(peers: ModuleType) -> None:
    titles = [peers.title(name) for name in peers.PEERS]
    assert len(set(titles)) == len(titles)
    assert not [title for title in titles if "|" in title or title == "None"]


def test_a_folder_of_a_peer_never_hides_a_package_of_the_environment(
    peers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake" / "yaml").mkdir(parents=True)
    (tmp_path / "fake" / "only_there.py").touch()
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(peers, "REQUIREMENTS", {"fake": ()})
    peers._path("fake")
    assert sys.path[-1] == str(tmp_path / "fake")
    found = [importlib.util.find_spec(name) for name in ("yaml", "only_there")]
    places = [str(spec.origin) if spec else "nowhere" for spec in found]
    assert [str(tmp_path) in place for place in places] == [False, True]


def test_another_version_than_the_pinned_one_is_not_measured(peers: ModuleType) -> None:
    with pytest.raises(ImportError, match=r"pydantic 0\.0\.1 is to be measured"):
        peers._pinned("pydantic==0.0.1")


GRADER = """
def judge(completion, answer):
    if "spin" in completion:
        while True:
            pass
    if "raise" in completion:
        raise ValueError(completion)
    return float(answer in completion)
"""


def test_labelled_rows_without_a_verdict_are_neither_refused_nor_accepted(
    board: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "judge.py").write_text(GRADER)
    pairs, measure = (importlib.import_module(n) for n in ("math_pairs", "scoreboard_measure"))
    texts = [("\\boxed{4}", True), ("four", True), ("raise 4", True), ("no 4", False), ("5", False)]
    rows = [pairs.Pair("4", text, right, "kind") for text, right in [*texts, ("spin", False)]]
    monkeypatch.setattr(measure, "pairs_of", lambda name: rows)
    monkeypatch.setattr(measure, "SETS", ("one",))
    monkeypatch.setattr(measure, "LIMIT_S", 0.3)
    found = measure.labelled(f"{tmp_path / 'judge.py'}:judge")
    shares = found.pop("interval")
    assert found.pop("boxed")["right"] == 1
    assert found == {
        "right": 3, "right refused": 1, "right, failed": 1,
        "wrong": 3, "wrong accepted": 1, "wrong, hung": 1,
    }  # fmt: skip
    assert shares["right refused"] == [0.0615, 0.7923]


def test_what_stands_before_labelled_completions_is_seen_by_the_grader(
    board: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "judge.py").write_text(GRADER)
    pairs, measure = (importlib.import_module(n) for n in ("math_pairs", "scoreboard_measure"))
    monkeypatch.setattr(measure, "pairs_of", lambda name: [pairs.Pair("4", "five", True, "kind")])
    monkeypatch.setattr(measure, "SETS", ("one",))
    found = measure.labelled(f"{tmp_path / 'judge.py'}:judge", before="4 ")
    assert "right refused" not in found


@pytest.mark.parametrize(("body", "ran"), [("eval(completion)", True), ("len(completion)", False)])
def test_a_grader_that_evaluates_answers_is_found_out(
    board: ModuleType, tmp_path: Path, body: str, ran: bool
) -> None:
    text = f"def judge(completion, answer):\n    {body}\n    return 0.0\n"
    (tmp_path / "judge.py").write_text(text)
    measure = importlib.import_module("scoreboard_measure")
    form = measure.Form("plain", "{answer}")
    assert measure.runs_answers(f"{tmp_path / 'judge.py'}:judge", form) is ran


def test_a_peer_that_cannot_be_installed_does_not_keep_the_others_out(
    board: ModuleType, peers: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good" / "of_an_earlier_pin").mkdir(parents=True)
    asked: list[list[str]] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, int("bad==1" in command))

    monkeypatch.setattr(board.subprocess, "run", run)
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setattr(peers, "REQUIREMENTS", {"bad": ("bad==1",), "good": ("good==1", "a==2")})
    with pytest.raises(SystemExit, match="not installed, and so listed as not run: bad"):
        board.install()
    assert asked[1][-4:] == ["--target", str(tmp_path / "good"), "good==1", "a==2"]
    assert all("--no-deps" in command for command in asked)
    assert not (tmp_path / "good").exists()


def test_every_requirement_is_pinned(peers: ModuleType) -> None:
    assert [pin for pin in peers.PINS if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
