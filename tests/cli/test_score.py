"""``rewardkit score``: the summary, the file of scores, and rows that cannot be scored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

BASE = ("score", "rows.jsonl", "--rubric", "rubric.yaml", "--allow-code")
COLUMNS = ("--columns", "answer=gold", "prompt=question")


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def spec(folder: Path, function: str, **more: Any) -> None:
    part = {"function": f"rewards.py:{function}", **more}
    (folder / "rubric.yaml").write_text(json.dumps({"parts": {function: part}}))


def test_the_summary_counts_what_is_unscorable_and_why(cli: Cli) -> None:
    done = cli(*BASE, *COLUMNS)
    assert done.code == 0, done.err
    assert "3 rows, rubric " in done.out
    assert "total  mean +1.465  (2 scored, 1 unscorable)" in done.out
    right = next(line for line in done.out.splitlines() if line.startswith("right"))
    assert right.split() == ["right", "+1.5", "50.0%", "0", "1"]
    assert "1 × right (dataset): there is no gold answer" in done.out


def test_scores_are_written_with_all_that_was_judged(cli: Cli, folder: Path) -> None:
    done = cli(*BASE, *COLUMNS, "--out", "scored.jsonl")
    assert "written to scored.jsonl" in done.out
    rows = [json.loads(line) for line in (folder / "scored.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [0, 1, 2]
    assert [row["score"]["total"] for row in rows] == [2.99, pytest.approx(-0.06), None]
    assert rows[0]["prompt"] == "2 + 2"
    assert rows[0]["score"]["parts"]["right"]["verdict"]["status"] == "correct"
    assert rows[1]["completion"] == "5\u001b[2J\ud800"


def test_what_was_written_can_be_scored_again(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", {"completion": "4", "answer": "4", "level": 2})
    spec(folder, "leveled")
    cli(*BASE, "--out", "scored.jsonl")
    again = cli("score", "scored.jsonl", *BASE[2:])
    assert "total  mean +2  (1 scored, 0 unscorable)" in again.out


def test_explain_shows_every_row_and_no_control_characters(cli: Cli) -> None:
    done = cli(*BASE, *COLUMNS, "--explain")
    assert done.out.count("├─ right") == 3
    assert "row 1: 5\\x1b[2J\\ud800" in done.out
    assert "\x1b" not in done.out


def test_the_rows_may_be_overwritten_by_their_scores(cli: Cli, folder: Path) -> None:
    assert cli(*BASE, *COLUMNS, "--out", "rows.jsonl").code == 0
    assert "score" in json.loads((folder / "rows.jsonl").read_text().splitlines()[0])


def test_a_failed_run_leaves_no_file_behind(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", {"completion": "4"}, {"completion": "boom"})
    before = sorted(folder.iterdir())
    done = cli(*BASE, "--out", "scored.jsonl")
    assert done.code == 2
    assert sorted(p for p in folder.iterdir() if p.name != "__pycache__") == before


def test_a_reward_that_raises_is_told_with_its_row(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", *[{"completion": "4"}] * 300, {"completion": "boom"})
    done = cli(*BASE)
    assert done.code == 2
    assert "reward 'brevity' raised ValueError: boom \\x1b[2J (row 300)" in done.err


def test_a_reward_of_nan_is_told(cli: Cli, folder: Path) -> None:
    spec(folder, "nan")
    done = cli(*BASE)
    assert done.code == 2
    assert "reward 'nan' returned nan" in done.err


def test_a_missing_column_lists_those_there_are(cli: Cli, folder: Path) -> None:
    spec(folder, "leveled")
    write(folder / "rows.jsonl", {"completion": "4", "level": 1}, {"completion": "4", "lvl": 1})
    done = cli(*BASE)
    assert done.code == 2
    assert "row 1: " in done.err
    assert "'level'" in done.err
    assert "completion, lvl" in done.err


def test_rows_need_a_completion(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", {"output": "4"})
    done = cli(*BASE)
    assert done.code == 2
    assert "needs the column 'completion'" in done.err
    assert cli(*BASE, "--columns", "completion=output").code == 0


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("answer",), "takes pairs such as prompt=question, got 'answer'"),
        (("answer=",), "takes pairs"),
        (("answer=gold", "answer=question"), "maps 'answer' twice"),
        (("answer=golf",), "needs the column 'golf'"),
    ],
)
def test_columns_that_mean_nothing(cli: Cli, columns: tuple[str, ...], told: str) -> None:
    done = cli(*BASE, "--columns", *columns)
    assert done.code == 2
    assert told in done.err


def test_groups_are_named_by_a_column(cli: Cli, folder: Path) -> None:
    spec(folder, "rank", form="group")
    rows = [{"completion": "x" * n, "group": n % 2} for n in range(1, 6)]
    write(folder / "rows.jsonl", *rows)
    assert "'rank' sees all completions of a prompt" in (told := cli(*BASE).err)
    assert "--group-by COLUMN" in told
    assert cli(*BASE, "--group-by", "group", "--out", "scored.jsonl").code == 0
    scored = (folder / "scored.jsonl").read_text().splitlines()
    assert [json.loads(line)["score"]["total"] for line in scored] == [0, 0, 1, 1, 2]
    again = cli("score", "scored.jsonl", *BASE[2:], "--out", "again.jsonl")
    assert again.code == 0, again.err  # the groups are noted in the file
    assert cli("diff", "scored.jsonl", "again.jsonl").code == 0
    assert "no column 'gruop' to group by" in cli(*BASE, "--group-by", "gruop").err


def test_code_is_refused_unless_it_is_allowed(cli: Cli) -> None:
    done = cli(*BASE[:-1])
    assert done.code == 2
    assert "--allow-code" in done.err


@pytest.mark.parametrize("out", ["gone/scored.jsonl", "."])
def test_a_file_that_cannot_be_written_is_told_before_scoring(cli: Cli, out: str) -> None:
    done = cli(*BASE, *COLUMNS, "--out", out)
    assert done.code == 2
    assert "rewardkit: error: cannot write" in done.err
