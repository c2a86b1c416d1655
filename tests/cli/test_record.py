"""``rewardkit record``: from completions to accepted fixtures, and back after a change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

NEW = "new.rewards.jsonl"
RECORD = ("record", "rows.jsonl", "--rubric", "rubric.yaml", "--allow-code", "-o", NEW)


@pytest.fixture(autouse=True)
def rows(folder: Path) -> None:
    made = [
        {"completion": "4", "answer": "4"},
        {"completion": "5\u001b[2J", "answer": "4"},
        {"completion": "4", "answer": None},
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))


def test_record_review_accept(cli: Cli, folder: Path) -> None:
    done = cli(*RECORD)
    assert done.code == 0, done.err
    assert f"{NEW}: 3 of 3 completions recorded, 1 of them unscorable" in done.out
    assert "\x1b" not in done.out
    tested = cli("test", NEW, "--allow-code")
    assert tested.code == 1
    assert tested.out.endswith(f"{NEW}: 0 passed, 0 failed, 3 unreviewed\n")
    assert "unscorable-" in tested.out
    assert "├─ right" in cli("test", NEW, "--allow-code", "-v").out
    accepted = cli("record", "--accept", NEW, "--allow-code")
    assert accepted.code == 0
    assert f"{NEW}: 3 accepted" in accepted.out
    assert cli("test", NEW, "--allow-code").out == f"{NEW}: 3 passed, 0 failed\n"


def test_a_change_is_seen_updated_and_accepted_again(cli: Cli, folder: Path) -> None:
    cli(*RECORD)
    cli("record", "--accept", NEW, "--allow-code")
    rubric = (folder / "rubric.yaml").read_text()
    (folder / "rubric.yaml").write_text(rubric.replace("correct: 3.0", "correct: 2.0"))
    failed = cli("test", NEW, "--allow-code")
    assert failed.code == 1
    assert "total: expected 2.99, got 1.99" in failed.out
    refused = cli("record", "--accept", NEW, "--allow-code")
    assert refused.code == 1
    assert "2 accepted, 1 not, for they do not come out as recorded" in refused.out
    updated = cli("test", "--update", NEW, "--allow-code")
    assert updated.code == 1
    assert f"{NEW}: 1 recorded rows updated" in updated.out
    assert "unreviewed: total 1.99, right correct (2), brevity -0.01 (was total 2.99" in updated.out
    assert cli("record", "--accept", NEW, "--allow-code").code == 0
    assert cli("test", NEW, "--allow-code").code == 0


def test_recording_again_adds_only_what_is_new(cli: Cli, folder: Path) -> None:
    cli(*RECORD)
    with (folder / "rows.jsonl").open("a") as file:
        file.write(json.dumps({"completion": "44", "answer": "4"}) + "\n")
    again = cli("record", "rows.jsonl", "--allow-code", "-o", NEW)
    assert again.code == 0, again.err
    assert "1 of 4 completions recorded" in again.out
    assert len((folder / NEW).read_text().splitlines()) == 5
    assert "0 of 4" in cli("record", "rows.jsonl", "--allow-code", "-o", NEW).out


def test_what_is_there_is_not_recorded_again_however_it_comes_out_now(
    cli: Cli, folder: Path
) -> None:
    cli(*RECORD)
    functions = (folder / "rewards.py").read_text()
    (folder / "rewards.py").write_text(functions.replace("== str(", "!= str("))
    again = cli("record", "rows.jsonl", "--allow-code", "-o", NEW)
    assert "0 of 3 completions recorded" in again.out


def test_the_header_leads_to_the_rubric_from_the_file(cli: Cli, folder: Path) -> None:
    (folder / "sub").mkdir()
    assert cli(*RECORD[:-1], f"sub/{NEW}").code == 0
    header = json.loads((folder / "sub" / NEW).read_text().splitlines()[0])
    assert header == {"rubric": "../rubric.yaml"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("record",), "say what to record"),
        (("record", "rows.jsonl", "--accept", NEW), "say what to record"),
        (("record", "rows.jsonl", "--rubric", "rubric.yaml"), "-o NAME.rewards.jsonl"),
        (("record", "rows.jsonl", "-o", "other.rewards.jsonl"), "--rubric rubric.yaml"),
        ((*RECORD, "--count", "0"), "--count is at least 1"),
        (("record", "--accept", NEW, "gone", "--allow-code"), "no recorded row 'gone'"),
        (("record", "--accept", "gone.rewards.jsonl"), "there is no file"),
        (("record", "--accept", NEW, "--rubric", "rubric.yaml"), "leave out --rubric"),
        (
            ("test", NEW, "--update", "--rubric", "rubric.yaml", "--allow-code"),
            "leave out --rubric",
        ),
    ],
)
def test_mistakes_exit_with_2(cli: Cli, arguments: tuple[str, ...], told: str) -> None:
    cli(*RECORD)
    done = cli(*arguments)
    assert done.code == 2
    assert told in done.err


def test_of_parts_that_see_groups_whole_groups_are_recorded(cli: Cli, folder: Path) -> None:
    rubric = "parts: {rank: {function: 'rewards.py:rank', form: group}}"
    (folder / "rubric.yaml").write_text(rubric)
    made = [{"completion": "x" * n, "group": n % 2} for n in range(1, 6)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    refused = cli(*RECORD)
    assert refused.code == 2
    assert "'rank' sees all completions of a prompt" in refused.err
    assert "--group-by COLUMN" in refused.err
    assert cli(*RECORD, "--group-by", "group").code == 0
    assert cli("record", "--accept", NEW, "--allow-code").code == 0
    tested = cli("test", NEW, "--allow-code")
    assert tested.out == f"{NEW}: 5 passed, 0 failed\n"


def test_another_rubric_than_the_files_own_is_refused(cli: Cli, folder: Path) -> None:
    cli(*RECORD)
    (folder / "other.yaml").write_text("parts: {b: {function: 'rewards.py:brevity'}}")
    done = cli("record", "rows.jsonl", "--rubric", "other.yaml", "--allow-code", "-o", NEW)
    assert done.code == 2
    assert "is held against another rubric" in done.err
