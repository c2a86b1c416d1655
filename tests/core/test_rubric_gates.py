"""Promise: a part behind a closed gate earns the least it can, and a gate nobody can judge decides
nothing."""

from __future__ import annotations

import pytest
from says import Says, row

from rewardkit import (
    FunctionReward,
    Rubric,
    RubricError,
    Sample,
    reward,
)


def test_a_closed_gate_pays_the_least_and_does_not_run_the_part() -> None:
    calls = []

    @reward(bounds=(-2.0, 5.0))
    def costly(completion: str) -> float:
        calls.append(completion)
        return 5.0

    rubric = Rubric(format=Says("a"), answer=costly).gate("answer", on="format")
    closed = rubric.score(row(a="no"))
    assert (closed.total, closed["answer"].state, closed["answer"].gated_by) == (
        -2.0,
        "gated",
        "format",
    )
    assert calls == []
    assert rubric.score(row(a="correct")).total == 6.0
    assert len(calls) == 1


def test_behind_a_closed_gate_a_negative_weight_still_earns_the_least() -> None:
    penalty = FunctionReward(lambda completion: 0.0, bounds=(0.0, 3.0), weight=-1.0)
    rubric = Rubric(format=Says("a"), length=penalty).gate("length", on="format")
    # Paying 0 instead would make breaking the format a way around the penalty.
    assert rubric.score(row(a="no")).total == -3.0


def test_a_gate_that_cannot_be_judged_makes_the_total_unscorable() -> None:
    rubric = Rubric(format=Says("a").reward(unscorable="skip"), answer=Says("b")).gate(on="format")
    score = rubric.score(row(a="unscorable", b="correct"))
    assert score.total is None
    assert "gate 'format' could not be judged" in score["answer"].why
    as_metric = Rubric(format=Says("a"), answer=Says("b")).gate(on="format").metrics("format")
    assert as_metric.score(row(a="unscorable", b="correct")).total is None


def test_gates_chain_and_a_gated_gate_is_closed() -> None:
    rubric = Rubric(c=Says("c"), b=Says("b"), a=Says("a")).gate("b", on="a").gate("c", on="b")
    assert rubric.stages == (("a",), ("b",), ("c",))
    score = rubric.score(row(a="no", b="correct", c="correct"))
    assert [score[n].gated_by for n in "abc"] == [None, "a", "b"]
    assert score.total == 0.0


def test_a_number_opens_a_gate_from_a_stated_value() -> None:
    def length(completion: str) -> float:
        return float(len(completion))

    with pytest.raises(RubricError, match="from which value the gate is open"):
        Rubric(length=length, a=Says("a")).gate("a", on="length")
    rubric = Rubric(length=length, a=Says("a")).gate("a", on="length", at_least=5).metrics("length")
    assert rubric.score(Sample(completion="text", columns={"a": "correct"})).total == 0.0
    assert rubric.score(Sample(completion="texts", columns={"a": "correct"})).total == 1.0


def test_a_cap_bounds_the_total_where_the_gate_is_closed() -> None:
    rubric = Rubric(safe=Says("a").reward(0.0, 0.0), good=Says("b").reward(5.0, -1.0)).gate(
        on="safe", cap=0.5
    )
    assert rubric.score(row(a="correct", b="correct")).total == 5.0
    capped = rubric.score(row(a="no", b="correct"))
    assert (capped.total, capped.notes) == (0.5, ("capped at 0.5: gate 'safe' is closed",))
    assert rubric.score(row(a="no", b="no")).total == -1.0


def test_a_part_by_group_behind_a_gate_sees_the_completions_that_came_through() -> None:
    def size(completions: list[str]) -> list[float]:
        return [float(len(completions))] * len(completions)

    part = FunctionReward(size, form="group", bounds=(0.0, 9.0))
    rubric = Rubric(a=Says("a").reward(0.0), p=part).gate("p", on="a")
    samples = [row(a=a) for a in ("correct", "no", "correct")]
    scores = rubric.score_many(samples, group_ids=[1, 1, 1])
    assert [s["p"].value for s in scores] == [2.0, 0.0, 2.0]
