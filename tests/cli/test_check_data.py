"""``rewardkit check-data``: rows whose gold cannot be judged are found before a run meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from rewardkit import AllOf, AnyOf, Column, Not, Sample, Verdict, Verifier
from rewardkit.verifiers import (
    Choice,
    CodeVerifier,
    Contains,
    ExactText,
    HasNumber,
    MathVerifier,
    MaxLength,
    NumberVerifier,
    Proximity,
    ProximityBands,
    TagFormat,
)

Cli = Callable[..., Any]

ROWS = [
    {"question": "2+2", "answer": "4"},
    {"question": "a", "answer": "??"},
    {"question": "b", "answer": r"\frac{1}{2}"},
    {"question": "c", "answer": None},
    {"question": "d", "answer": "!?\u001b[2J"},
]


def write(path: Path, *rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def rows(folder: Path) -> str:
    write(folder / "rows.jsonl", *ROWS)
    return "rows.jsonl"


def test_rows_that_cannot_be_judged_are_listed_and_counted_by_reason(cli: Cli, rows: str) -> None:
    done = cli("check-data", rows, "--verifier", "math")
    assert done.code == 1
    assert "row 1: math: '??': the gold answer: not supported: '??'" in done.out
    assert "row 3: math: None: " in done.out
    assert "row 0:" not in done.out
    assert "row 2:" not in done.out
    assert "5 rows (counted from 0), 3 cannot be judged:" in done.out
    assert "2 × math (dataset): the gold answer: not supported: …" in done.out
    assert "\x1b" not in done.out


def test_without_bad_rows_it_exits_with_0(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", {"answer": "4"}, {"answer": [0.5, "1/2"]})
    done = cli("check-data", "rows.jsonl", "--verifier", "math")
    assert (done.code, done.out) == (0, "2 rows, every gold can be judged\n")


def test_the_exit_code_reaches_the_shell(process: Cli, rows: str) -> None:
    assert process("check-data", rows, "--verifier", "math").code == 1


def test_json_holds_every_row(cli: Cli, rows: str) -> None:
    done = cli("check-data", rows, "--verifier", "math", "--json", "--show", "0")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["rows"], found["cannot_be_judged"], found["not_asked"]) == (5, 3, {})
    assert found["problems"][0] == {
        "source": "rows.jsonl",
        "row": 1,
        "part": "math",
        "gold": {"answer": "??"},
        "fault": "dataset",
        "reason": "the gold answer: not supported: '??'",
    }
    assert [problem["row"] for problem in found["problems"]] == [1, 3, 4]
    assert sum(reason["rows"] for reason in found["reasons"]) == 3


def test_at_most_so_many_rows_are_listed(cli: Cli, rows: str) -> None:
    done = cli("check-data", rows, "--verifier", "choice", "--show", "2")
    assert done.out.count("row ") == 2
    assert "... and 3 more" in done.out
    assert "5 × choice (dataset)" in done.out


def test_columns_are_named_as_for_score(cli: Cli, folder: Path) -> None:
    write(folder / "rows.jsonl", {"gold": "4"}, {"gold": "??"})
    done = cli("check-data", "rows.jsonl", "--verifier", "math", "--columns", "answer=gold")
    assert done.code == 1
    assert "row 1: math: '??'" in done.out


def test_a_rubric_is_asked_part_by_part_and_gates_hide_nothing(cli: Cli, folder: Path) -> None:
    parts = {
        "format": {"verifier": "tag_format", "args": {"template": "<answer>...</answer>"}},
        "answer": {"verifier": "math", "args": {"extract": "answer"}},
        "near": {"verifier": "proximity"},
        "brevity": {"function": "rewards.py:brevity"},
    }
    gates = [{"on": "format", "gated": ["answer", "near"]}]
    (folder / "rubric.yaml").write_text(json.dumps({"parts": parts, "gates": gates}))
    write(folder / "rows.jsonl", *ROWS)
    done = cli("check-data", "rows.jsonl", "--rubric", "rubric.yaml", "--allow-code")
    assert done.code == 1
    assert r"row 2: near: '\\frac{1}{2}': " in done.out
    assert "row 2: answer" not in done.out
    assert "row 1: answer: '??'" in done.out
    assert "row 1: near: '??'" in done.out
    assert "5 rows (counted from 0), 4 cannot be judged:" in done.out  # rows, however many parts
    assert "not asked: brevity (it is no verifier)" in done.out


def test_the_gold_may_be_another_column_than_the_answer(cli: Cli, folder: Path) -> None:
    args = {"tests": {"column": "tests"}, "entry": "double"}
    (folder / "rubric.yaml").write_text(
        json.dumps({"parts": {"code": {"verifier": "code", "args": args}}})
    )
    write(folder / "rows.jsonl", {"tests": [[[2], 4]]}, {"tests": []}, {"tests": "assert x"})
    done = cli("check-data", "rows.jsonl", "--rubric", "rubric.yaml", "--json")
    found = json.loads(done.out)
    assert [problem["row"] for problem in found["problems"]] == [1, 2]
    assert found["problems"][0]["gold"] == {"tests": []}


def test_a_run_is_checked_by_its_configuration(cli: Cli, folder: Path) -> None:
    write(folder / "train.jsonl", {"q": "2+2", "a": "so #### 4"}, {"q": "?", "a": "so #### ??"})
    write(folder / "test.jsonl", {"answer": "??"})
    config = {
        "model": "m",
        "output_dir": "o",
        "rubric": {"parts": {"answer": {"verifier": "math"}}},
        "data": {
            "path": "train.jsonl",
            "columns": {"prompt": "q", "answer": "a"},
            "answer_after": "####",
            "shuffle_seed": 1,  # rows keep the numbers that they have in the file
            "limit": 1,
        },
        "eval_data": {"path": "test.jsonl"},
    }
    (folder / "runs").mkdir()
    (folder / "train.yaml").write_text(json.dumps(config))
    done = cli("check-data", "train.yaml")
    assert done.code == 1
    assert "\neval_data: row 0: answer: '??'" in done.out
    assert done.out.startswith("data: row 1: answer: '??'")
    assert "3 rows (counted from 0), 2 cannot be judged:" in done.out


_OWN = """
from rewardkit import Sample, Verdict, Verifier


class Fragile(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.correct("") if float(sample.answer) > 0 else Verdict.incorrect("")


class Service(Verifier):
    async def _averify(self, sample: Sample) -> Verdict:
        raise RuntimeError("asked")


class Told(Service):
    checks_gold = True

    def check_gold(self, sample: Sample) -> Verdict | None:
        if not sample.answer:
            return Verdict.unscorable("no answer", fault="dataset")
        return None
"""


def test_a_verifier_that_fails_on_a_gold_is_told_too(cli: Cli, folder: Path) -> None:
    (folder / "own.py").write_text(_OWN)
    write(folder / "rows.jsonl", {"answer": "4"}, {"answer": "four"})
    done = cli("check-data", "rows.jsonl", "--verifier", "own.py:Fragile", "--allow-code")
    assert done.code == 1
    assert "row 1: own.py:Fragile: 'four': the verifier failed: ValueError" in done.out
    assert "(verifier)" in done.out


def test_a_verifier_that_may_ask_a_service_is_not_run(cli: Cli, folder: Path) -> None:
    (folder / "own.py").write_text(_OWN)
    write(folder / "rows.jsonl", {"answer": "4"}, {"answer": ""})
    done = cli("check-data", "rows.jsonl", "--verifier", "own.py:Service", "--allow-code")
    assert done.code == 0
    assert "not asked: own.py:Service (it may ask a service" in done.out
    done = cli("check-data", "rows.jsonl", "--verifier", "own.py:Told", "--allow-code")
    assert done.code == 1
    assert "row 1: own.py:Told: '': no answer" in done.out
    assert "not asked" not in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("gone.jsonl", "--verifier", "math"), "there is no file gone.jsonl"),
        (("rows.jsonl",), "--rubric rubric.yaml, or --verifier math"),
        (("rows.jsonl", "--verifier", "math", "--rubric", "rubric.yaml"), "--rubric rubric.yaml"),
        (("rows.jsonl", "--verifier", "maths"), "unknown verifier 'maths'; there are: "),
        (("rows.jsonl", "--verifier", "code"), "Write a rubric with its arguments"),
        (("rows.jsonl", "--verifier", "rewards.py:Right"), "--allow-code"),
        (("rows.jsonl", "--rubric", "gone.yaml"), "cannot read gone.yaml"),
        (("bare.jsonl", "--verifier", "math"), "bare.jsonl: row 0: part 'math' needs the column"),
        (("rubric.yaml",), "it needs the keys rubric and data"),
        (("text.yaml",), "data holds keys such as path and columns, got 'rows.jsonl'"),
        (("list.yaml",), "rubric is a file's path, or the rubric itself, got [1]"),
        (("key.yaml",), "column"),
        (("rubric.yaml", "--verifier", "math"), "leave out --rubric, --verifier and --columns"),
        (("rows.jsonl", "--rubric", "functions.yaml", "--allow-code"), "no part of this rubric"),
    ],
)
def test_mistakes_exit_with_2(
    cli: Cli, folder: Path, rows: str, arguments: tuple[str, ...], told: str
) -> None:
    write(folder / "bare.jsonl", {"question": "2+2"})
    functions = {"parts": {"short": {"function": "rewards.py:brevity"}}}
    (folder / "functions.yaml").write_text(json.dumps(functions))
    inline = {"parts": {"answer": {"verifier": "math"}}}
    for name, run in {
        "text.yaml": {"rubric": inline, "data": "rows.jsonl"},
        "list.yaml": {"rubric": [1], "data": {"path": "rows.jsonl"}},
        "key.yaml": {"rubric": inline, "data": {"path": "rows.jsonl", "column": {}}},
    }.items():
        (folder / name).write_text(json.dumps(run))
    done = cli("check-data", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert told in done.err


# Every verifier that reads a gold, with a row that it cannot judge. Those that read none are below.
READ_GOLD: list[tuple[Verifier, dict[str, Any]]] = [
    (MathVerifier(), {"answer": r"\foo"}),
    (MathVerifier(extract="answer", undecided="unscorable"), {"answer": []}),
    (NumberVerifier(), {"answer": "four"}),
    (Proximity(), {"answer": "four"}),
    (ProximityBands(), {"answer": None}),
    (ExactText(), {"answer": ""}),
    (Choice(), {"answer": "Paris"}),
    (Contains(Column("name")), {"name": " "}),
    (CodeVerifier(Column("tests"), entry="f"), {"tests": []}),
    (AllOf((TagFormat("<a>...</a>"), NumberVerifier())), {"answer": "four"}),
    (AnyOf((NumberVerifier(), Contains("yes"))), {"answer": "four"}),
    (Not(MathVerifier()), {"answer": "??"}),
    (Not(AllOf((Contains("yes"), AnyOf((Choice(),))))), {"answer": "4"}),
]
READ_NONE = {"has_number", "is_integer", "keywords", "marker_once", "max_length", "regex_format"}
READ_NONE |= {"tag_format"}


@pytest.mark.parametrize(
    ("verifier", "row"), READ_GOLD, ids=lambda value: str(value)[:40] if value else ""
)
def test_every_verifier_tells_a_gold_that_it_cannot_judge(
    verifier: Verifier, row: dict[str, Any]
) -> None:
    found = verifier.check_gold(Sample.from_row(row, completion="<a>yes</a> 4"))
    assert found is not None
    assert (found.status, found.fault) == ("unscorable", "dataset")


def test_no_verifier_is_forgotten_here() -> None:
    points = {point.name: point for point in entry_points(group="rewardkit.verifiers")}
    ours = {name for name, point in points.items() if point.value.startswith("rewardkit.")}
    asked = {type(verifier) for verifier, _ in READ_GOLD}
    assert {points[name].load() for name in ours - READ_NONE} == asked


@pytest.mark.parametrize(
    "verifier", [HasNumber(), TagFormat("<a>...</a>"), MaxLength(3), AllOf((HasNumber(),))]
)
def test_a_verifier_that_reads_no_gold_finds_none_at_fault(verifier: Verifier) -> None:
    assert verifier.check_gold(Sample(completion="x")) is None


def test_the_completion_of_the_row_is_not_looked_at() -> None:
    class Careless(Verifier):
        def _verify(self, sample: Sample) -> Verdict:
            assert sample.text == ""
            return Verdict.incorrect("")

    assert Careless().check_gold(Sample(completion="4", answer="4")) is None
