"""Promise: a fixture can pin every detail of a verdict, and a slip in a key is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit import DataError, Rubric
from rewardkit.testing import check_rows, fixture, load_fixtures
from rewardkit.verifiers import NumberVerifier, Proximity, ProximityBands, TagFormat

Write = Callable[..., Path]

RUBRIC = Rubric(
    format=TagFormat("<answer>...</answer>"),
    answer=NumberVerifier(extract="answer").reward(correct=3.0),
    near=Proximity(extract="answer").reward(partial=True, weight=0.5),
    band=ProximityBands(extract="answer").reward(weight=0.0),
    length=lambda completion: float(len(completion)),
).metrics("length")

RIGHT: dict[str, Any] = {"completion": "<answer>4</answer>", "answer": "4"}
NEAR: dict[str, Any] = {"completion": "<answer>5</answer>", "answer": "4"}
NO_GOLD: dict[str, Any] = {"completion": "<answer>5</answer>", "answer": "four-ish"}


def problems(row: dict[str, Any], part: str, judged: Any) -> list[str]:
    one = fixture("one", **row, expect={"verdicts": {part: judged}})
    return [str(p) for failure in check_rows([one], RUBRIC).failures for p in failure.problems]


@pytest.mark.parametrize(
    ("row", "part", "judged"),
    [
        (RIGHT, "answer", {"status": "correct", "text": "4", "span": [8, 9], "credit": 1.0}),
        (RIGHT, "answer", {"rule": "last <answer>", "reason": "gold"}),
        (RIGHT, "answer", {"fault": None}),
        (RIGHT, "format", {"status": "correct", "text": None}),
        (NEAR, "near", {"status": "incorrect", "credit": {"min": 0.01, "max": 0.99}}),
        (NEAR, "answer", {"credit": None}),
        (RIGHT, "band", {"label": "exact"}),
        (NO_GOLD, "answer", {"status": "unscorable", "fault": "dataset", "reason": "no number"}),
    ],
)
def test_details_that_hold(row: dict[str, Any], part: str, judged: Any) -> None:
    assert problems(row, part, judged) == []


@pytest.mark.parametrize(
    ("row", "part", "judged", "told"),
    [
        (RIGHT, "answer", {"text": "5"}, "text of 'answer': expected '5', got '4'"),
        (RIGHT, "answer", {"span": [5, 7]}, "span of 'answer': expected (5, 7), got (8, 9)"),
        (RIGHT, "answer", {"label": "near"}, "label of 'answer': expected 'near', got 'exact'"),
        (RIGHT, "answer", {"rule": "boxed"}, "rule of 'answer': expected 'boxed' in it, got"),
        (RIGHT, "answer", {"reason": "boxed"}, "reason of 'answer': expected 'boxed' in it, got"),
        (NEAR, "near", {"credit": 0.0}, "credit of 'near': expected 0.0, got 0."),
        (NEAR, "near", {"credit": None}, "credit of 'near': expected none, got 0."),
        (NO_GOLD, "answer", {"fault": "verifier"}, "expected 'verifier', got 'dataset'"),
        (RIGHT, "length", {"text": "5"}, "text of 'length': expected '5', got none"),
        (NEAR, "answer", "correct", "expected correct, got incorrect (5 is not 4)"),
    ],
)
def test_details_that_do_not(row: dict[str, Any], part: str, judged: Any, told: str) -> None:
    (problem,) = problems(row, part, judged)
    assert told in problem


def test_only_the_status_is_told_where_it_is_not_as_expected() -> None:
    judged = {"status": "correct", "text": "4", "credit": 1.0}
    assert len(problems(NEAR, "answer", judged)) == 1


def test_a_failure_is_a_diff_by_part() -> None:
    expect = {"total": 3.0, "verdicts": {"answer": {"status": "incorrect", "text": "5"}}}
    near = fixture("near", **NEAR, expect={**expect, "parts": {"format": 0.0}})
    text = str(check_rows([near], RUBRIC).failures[0])
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert ["total", "- 3.0"] in lines
    assert ["format", "- 0.0"] in lines
    assert ["+", "1.0"] in lines
    assert ["answer", "incorrect (0)"] in lines, "what is as expected stands there once"
    assert ["completion", "<answer>5</answer>"] in lines
    assert "judged '5' at 8:9 by last <answer>...</answer>" in text


class TestSlips:
    good = {"id": "a", "completion": "4", "answer": "4", "expect": {"total": 1}}

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"expects": {}}, "unknown key 'expects'; did you mean 'expect'?"),
            ({"promt": "2+2"}, "did you mean 'prompt'?"),
            ({"anwser": "4"}, "did you mean 'answer'?"),
            ({"aprox": 1}, "did you mean 'approx'?"),
            ({"Answer": 1}, "did you mean 'answer'?"),
            ({"total": 3}, "'total' is an expectation and belongs inside expect"),
            ({"above": "b"}, "'above' is an expectation"),
            ({"expect": {"totl": 1}}, "did you mean 'total'?"),
            ({"expect": {"verdicts": {"a": {"statuss": "correct"}}}}, "did you mean 'status'?"),
            ({"expect": {"verdicts": {"a": {}}}}, "nothing is expected"),
            ({"expect": {"below": "A"}}, "no row's id"),
            ({"truth": "yes"}, 'truth is "correct" or "incorrect"'),
            ({"truth": {"a": "yes"}}, "got {'a': 'yes'}"),
            ({"columns": 3}, "columns holds columns by their names"),
            ({"columns": {"prompt": "x"}}, "'prompt' cannot stand in columns"),
            ({"level": 1, "columns": {"level": 2}}, "'level' cannot stand in columns"),
            ({"recorded": {"rubric": "x"}}, "reviewed"),
        ],
    )
    def test_are_refused(self, write: Write, change: dict[str, Any], told: str) -> None:
        with pytest.raises(DataError) as caught:
            load_fixtures(write({**self.good, **change}))
        assert "sums.rewards.jsonl:2" in str(caught.value)
        assert told in str(caught.value)

    def test_what_is_no_slip_is_a_column(self, write: Write) -> None:
        columns = {"level": 1, "completion_ids": [1], "question": "x", "ground_truth": "4"}
        (row,) = load_fixtures(write({**self.good, **columns})).rows
        assert row.sample.columns == columns

    def test_columns_holds_columns_of_any_name(self, write: Write) -> None:
        odd = {"answers": ["4"], "total": 3, "expected": "x"}
        (row,) = load_fixtures(write({**self.good, "level": 1, "columns": odd})).rows
        assert row.sample.columns == {"level": 1, **odd}

    def test_the_first_row_too(self, write: Write) -> None:
        with pytest.raises(DataError, match="did you mean 'rubric'"):
            load_fixtures(write(self.good, header={"rubrik": "rubric.yaml"}))

    def test_an_unknown_part_is_told_with_the_one_that_was_meant(self) -> None:
        told = problems(RIGHT, "anwser", "correct")
        assert told == [
            "there is no part 'anwser'; the parts are: format, answer, near, band, length; "
            "did you mean 'answer'?"
        ]


class TestInPython:
    def test_rows_are_ordered(self) -> None:
        rows = [
            fixture("right", **RIGHT, expect={"above": "near"}),
            fixture("near", **NEAR, expect={"below": "right"}),
        ]
        assert check_rows(rows, RUBRIC).ok

    def test_a_slip_is_named_by_the_id(self) -> None:
        with pytest.raises(DataError, match=r"fixture 'one': unknown key 'anwser'"):
            fixture("one", completion="4", anwser="4", expect={"total": 1})

    def test_ids_are_unique_and_orders_point_somewhere(self) -> None:
        one = fixture("one", **RIGHT, expect={"total": 3})
        with pytest.raises(DataError, match="the id 'one' is given twice"):
            check_rows([one, one], RUBRIC)
        lost = fixture("two", **RIGHT, expect={"above": "on"})
        with pytest.raises(DataError, match="no row's id; did you mean 'one'?"):
            check_rows([one, lost], RUBRIC)

    def test_a_row_that_only_holds_a_truth_is_no_test(self) -> None:
        row = fixture("one", **RIGHT, truth="correct")
        assert not row.is_test
        report = check_rows([row], RUBRIC)
        assert (report.passed, report.ok) == ((), True)

    def test_a_row_must_hold_something(self) -> None:
        with pytest.raises(DataError, match="needs expect"):
            fixture("one", **RIGHT)
