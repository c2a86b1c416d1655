"""Fixtures held against a rubric: what passes, what fails, and what a failure shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Column, Rubric, Sample, Verdict, Verifier
from rewardkit.testing import Expect, Report, check_fixtures, check_rows, fixture
from rewardkit.testing.expect import mismatches

Write = Callable[..., Path]

RIGHT = {"id": "right", "completion": "4", "answer": "4"}
WRONG = {"id": "wrong", "completion": "five", "answer": "4"}
NO_GOLD = {"id": "no gold", "completion": "4"}


def check(write: Write, row: dict[str, Any], expect: dict[str, Any], **more: Any) -> Report:
    others = [
        {**r, "expect": {"total": {"min": -9}}} for r in (RIGHT, WRONG) if r["id"] != row["id"]
    ]
    return check_fixtures(write({**row, "expect": expect, **more}, *others), allow_code=True)


@pytest.mark.parametrize(
    ("row", "expect"),
    [
        (RIGHT, {"total": 2.99}),
        (RIGHT, {"total": {"min": 2.99}}),
        (RIGHT, {"total": {"max": 2.99}}),
        (RIGHT, {"total": {"min": 2, "max": 3}}),
        (NO_GOLD, {"total": None}),
        (RIGHT, {"parts": {"right": 3, "brevity": {"max": 0}}}),
        (NO_GOLD, {"parts": {"right": None, "brevity": -0.01}}),
        (RIGHT, {"verdicts": {"right": "correct"}}),
        (WRONG, {"verdicts": {"right": "incorrect"}}),
        (NO_GOLD, {"verdicts": {"right": "unscorable"}}),
        (WRONG, {"reason": "not the gold"}),
        (NO_GOLD, {"reason": "no total"}),
        (WRONG, {"reason": {"right": "not the gold"}}),
        (RIGHT, {"above": "wrong"}),
        (RIGHT, {"above": ["wrong"]}),
        (WRONG, {"below": "right"}),
    ],
)
def test_what_is_as_expected_passes(
    write: Write, row: dict[str, Any], expect: dict[str, Any]
) -> None:
    report = check(write, row, expect)
    assert report.ok, str(report)
    assert row["id"] in report.passed


@pytest.mark.parametrize(
    ("row", "expect", "told"),
    [
        (RIGHT, {"total": 3}, "total: expected 3.0, got 2.99"),
        (RIGHT, {"total": {"min": 3}}, "total: expected at least 3.0, got 2.99"),
        (RIGHT, {"total": {"max": 2}}, "total: expected at most 2.0, got 2.99"),
        (RIGHT, {"total": None}, "total: expected none (unscorable), got 2.99"),
        (NO_GOLD, {"total": 0}, "total: expected 0.0, got none (unscorable)"),
        (NO_GOLD, {"total": {"max": 9}}, "total: expected at most 9.0, got none (unscorable)"),
        (WRONG, {"parts": {"right": 3}}, "part 'right': expected 3.0, got 0.0"),
        (WRONG, {"parts": {"right": None}}, "part 'right': expected none (unscorable), got 0.0"),
        (NO_GOLD, {"verdicts": {"right": "incorrect"}}, "expected incorrect, got unscorable"),
        (RIGHT, {"verdicts": {"brevity": "correct"}}, "got no verdict (a function gives"),
        (RIGHT, {"reason": "nonsense"}, "expected 'nonsense' in the reason of some part"),
        (RIGHT, {"reason": {"right": "x"}}, "expected 'x' in it, got 'equal to the gold answer'"),
        (WRONG, {"above": "right"}, "'wrong' must out-score 'right', got -0.04 against 2.99"),
        (RIGHT, {"below": "wrong"}, "'wrong' must out-score 'right', got -0.04 against 2.99"),
        (NO_GOLD, {"above": "wrong"}, "'no gold' is unscorable"),
        (RIGHT, {"parts": {"rihgt": 3}}, "no part 'rihgt'; the parts are: right, brevity"),
        (RIGHT, {"verdicts": {"rihgt": "correct"}}, "no part 'rihgt'"),
        (RIGHT, {"reason": {"rihgt": "x"}}, "no part 'rihgt'"),
    ],
)
def test_what_is_not_fails_and_shows_both_and_the_explanation(
    write: Write, row: dict[str, Any], expect: dict[str, Any], told: str
) -> None:
    (failure,) = check(write, row, expect).failures
    assert failure.id == row["id"]
    text = str(failure)
    assert text.splitlines()[0].startswith(f"{row['id']}: ")
    assert told in text
    assert "sums.rewards.jsonl:2" in text
    assert "├─ right" in text, "the score is not explained"


def test_every_expectation_that_is_not_met_is_told(write: Write) -> None:
    expect = {"total": 9, "parts": {"right": 9, "brevity": 9}, "verdicts": {"right": "incorrect"}}
    (failure,) = check(write, RIGHT, expect).failures
    assert len(failure.problems) == 4


def test_an_order_shows_both_scores(write: Write) -> None:
    (failure,) = check(write, WRONG, {"above": "right"}).failures
    assert set(failure.scores) == {"wrong", "right"}
    assert "score of 'right':" in str(failure)


def test_equal_scores_are_no_order(write: Write) -> None:
    twin = {**RIGHT, "id": "twin"}
    report = check_fixtures(
        write({**twin, "expect": {"above": "right"}}, {**RIGHT, "expect": {"total": 2.99}}),
        allow_code=True,
    )
    assert [failure.id for failure in report.failures] == ["twin"]


def test_approx_is_how_far_a_number_may_be_off(write: Write) -> None:
    assert check(write, RIGHT, {"total": 3}, approx=0.011).ok
    assert not check(write, RIGHT, {"total": 3}, approx=0.009).ok
    assert check(write, RIGHT, {"total": {"min": 3}}, approx=0.011).ok
    assert not check(write, RIGHT, {"above": "wrong"}, approx=5).ok


def test_a_reward_that_raises_fails_its_row_alone_and_says_where(write: Write) -> None:
    boom = {"id": "boom", "completion": "boom", "answer": "4", "expect": {"total": 0}}
    rows = [boom, {**RIGHT, "expect": {"total": 2.99}}, {**WRONG, "expect": {"below": "boom"}}]
    report = check_fixtures(write(*rows), allow_code=True)
    assert report.passed == ("right",)
    text = str(report)
    assert "'brevity' raised ValueError: boom" in text
    assert re.search(r"\(at \S+/rewards\.py:\d+\)", text)
    assert "\x1b" not in text
    assert text.endswith("1 passed, 2 failed")


def test_a_row_without_a_column_that_is_asked_for_fails(write: Write) -> None:
    class Needs(Verifier):
        value: Column = Column("level")

        def _verify(self, sample: Sample) -> Verdict:
            self._argument(self.value, sample)
            return Verdict.correct()

    path = write({**RIGHT, "expect": {"total": 1}}, {**WRONG, "level": 1, "expect": {"total": 1}})
    report = check_fixtures(path, Rubric(level=Needs()))
    assert report.passed == ("wrong",)
    assert "needs the column 'level'" in str(report)


def test_a_rubric_that_is_given_wins_over_the_one_named(write: Write) -> None:
    path = write({**RIGHT, "expect": {"total": 1}}, header={"rubric": "gone.yaml"})
    assert check_fixtures(path, Rubric(one=lambda completion: 1.0)).ok
    path = write({**RIGHT, "expect": {"total": 1}}, header="none")
    assert check_fixtures(path, Rubric(one=lambda completion: 1.0)).ok


def test_a_part_behind_a_closed_gate_is_gated(write: Write) -> None:
    class Never(Verifier):
        def _verify(self, sample: Sample) -> Verdict:
            return Verdict.incorrect("never")

    rubric = Rubric(first=Never(), second=Never()).gate("second", on="first")
    expect = {
        "verdicts": {"first": "incorrect", "second": "gated"},
        "reason": {"second": "not run"},
    }
    assert check_fixtures(write({**RIGHT, "expect": expect}), rubric).ok


SPEC = {"parts": {"rank": {"function": "rewards.py:rank", "form": "group"}}}


class TestGroups:
    def rows(self, **more: Any) -> list[dict[str, Any]]:
        return [
            {"id": text, "completion": text, "expect": {"total": len(text) - 1}, **more}
            for text in ("aaa", "a", "aa")
        ]

    def test_rows_of_a_group_are_scored_together(self, write: Write, tmp_path: Path) -> None:
        path = write(*self.rows(group="g"), {**self.rows(group="h")[1], "id": "alone"})
        rubric = Rubric.from_spec(SPEC, allow_code=tmp_path)
        assert check_fixtures(path, rubric).ok

    def test_without_a_group_the_failure_says_what_to_do(
        self, write: Write, tmp_path: Path
    ) -> None:
        rubric = Rubric.from_spec(SPEC, allow_code=tmp_path)
        report = check_fixtures(write(*self.rows()), rubric)
        assert not report.passed
        assert 'the same "group"' in str(report)


def test_hostile_completions_write_no_lines_of_their_own(write: Write) -> None:
    forged = "5\n1 passed\n\x1b[2J\u202e"
    expect = {"total": 3, "reason": {"right": "x"}, "verdicts": {"right": "correct"}}
    report = check(write, {"id": "forged", "completion": forged, "answer": "4"}, expect)
    text = str(report)
    assert not any(c in text for c in "\x1b\u202e")
    assert "1 passed" not in [line.strip() for line in text.splitlines()]


finite = st.floats(-1e6, 1e6)


@given(value=finite, low=finite, high=finite)
def test_a_range_holds_exactly_from_min_to_max(value: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    score = Rubric(a=lambda completion: value).score(completion="x")
    expect = Expect.model_validate({"total": {"min": low, "max": high}})
    assert (not list(mismatches(expect, score, 0.0))) == (low <= value <= high)


def test_a_reason_that_quotes_judged_text_as_it_stands_writes_no_lines_either() -> None:
    class Quoting(Verifier):
        def _verify(self, sample: Sample) -> Verdict:
            return Verdict.incorrect(f"{sample.text} is wrong")

    forged = fixture(
        "forged", completion="5\n1 passed\n\x1b[2J\u202e", expect={"verdicts": {"a": "correct"}}
    )
    text = str(check_rows([forged], Rubric(a=Quoting())).failures[0])
    assert not any(c in text for c in "\x1b\u202e")
    assert "1 passed" not in [line.strip() for line in text.splitlines()]


def test_rows_whose_parts_wait_wait_together() -> None:
    running = peak = 0

    async def waits(completion: str) -> float:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.01)
        running -= 1
        return 1.0

    rows = [fixture(str(n), completion=str(n), expect={"total": 1.0}) for n in range(20)]
    assert check_rows(rows, Rubric(waits)).ok
    assert peak > 10
