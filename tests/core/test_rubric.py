"""Promise: the total is the weighted sum by stated policies, and every score explains itself."""

from __future__ import annotations

import asyncio
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import (
    FunctionReward,
    Gate,
    RewardError,
    Rubric,
    RubricError,
    Sample,
    UsageError,
    Verdict,
    Verifier,
    VerifierReward,
    reward,
)


class Says(Verifier):
    """Reads its verdict from a column, so that tests can set every case."""

    column: str

    def _verify(self, sample: Sample) -> Verdict:
        said = sample.get(self.column, wanted_by="Says")
        if said == "unscorable":
            return Verdict.unscorable("nobody knows", fault="dataset", rule="said")
        if isinstance(said, float):
            return Verdict.incorrect("partly", credit=said, label="part", rule="said")
        made = Verdict.correct if said == "correct" else Verdict.incorrect
        return made(f"it is {said}", rule="said", text=sample.text, span=(0, len(sample.text)))


class Banded(Verifier):
    labels = ("near", "far")

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect("far", label="far")


def row(**columns: Any) -> Sample:
    return Sample(completion="text", columns=columns)


finite = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=6))
def test_the_total_is_the_weighted_sum_and_never_renormalised(
    pairs: list[tuple[float, float]],
) -> None:
    parts = {
        f"p{i}": FunctionReward(lambda completion, v=value: v, weight=weight)
        for i, (value, weight) in enumerate(pairs)
    }
    total = Rubric(**parts).score(completion="x").total
    assert total is not None
    assert total == pytest.approx(math.fsum(v * w for v, w in pairs), abs=1e-6)


def test_a_verdict_is_paid_by_status_by_credit_and_by_label() -> None:
    pay = Says("a").reward(correct=3.0, incorrect=-1.0, partial=True)
    assert [pay.pay(Says("a").verify(row(a=x))) for x in ("correct", "no", 0.5)] == [3.0, -1.0, 1.0]
    assert Says("a").reward(2.0, -2.0).pay(Verdict.incorrect("", credit=0.9)) == -2.0
    labelled = Says("a").reward(correct=3.0, incorrect=-1.0, values={"part": 0.25})
    assert labelled.pay(Says("a").verify(row(a=0.9))) == 0.25
    assert labelled.range == (-1.0, 3.0)
    assert pay.pay(Verdict.unscorable("x", fault="dataset")) is None


def test_unscorable_makes_the_total_none_and_says_why() -> None:
    score = Rubric(a=Says("a"), b=Says("b")).score(row(a="correct", b="unscorable"))
    assert score.total is None
    assert score.values == {"a": 1.0, "b": None}
    assert score.notes == ("no total: b could not be judged: nobody knows",)
    assert [part.name for part in score.unscorable] == ["b"]
    assert score["b"].fault == "dataset"


def test_a_metric_is_logged_and_not_learned_from_even_when_it_abstains() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b")).metrics("b")
    score = rubric.score(row(a="correct", b="unscorable"))
    assert (score.total, score["b"].value) == (1.0, None)
    assert rubric.score(row(a="correct", b="correct")).total == 1.0


def test_skip_leaves_the_part_out_and_scales_the_rest_to_the_same_weight() -> None:
    rubric = Rubric(
        a=Says("a").reward(weight=2.0),
        b=Says("b").reward(weight=1.0, unscorable="skip"),
    )
    assert rubric.score(row(a="correct", b="correct")).total == 3.0
    score = rubric.score(row(a="correct", b="unscorable"))
    assert score.total == pytest.approx(3.0)
    assert score.notes == ("b could not be judged and is left out, by its policy",)
    alone = Rubric(b=Says("b").reward(unscorable="skip"))
    assert alone.score(row(b="unscorable")).total is None


def test_a_stated_value_counts_as_stated() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b").reward(weight=2.0, unscorable=-0.5))
    score = rubric.score(row(a="correct", b="unscorable"))
    assert score.total == 0.0
    assert score["b"].counted == -1.0
    assert "counts as -0.5" in score.notes[0]


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rubric(), "at least one part"),
        (
            lambda: Rubric.from_parts([("a", Says("a")), ("a", Says("b"))]),
            "two parts are called 'a'",
        ),
        (lambda: Rubric.from_parts({"a": 1.0}), "must be a function"),  # type: ignore[arg-type]
        (lambda: Rubric(a=Says), r"is a class: pass an instance, as Says\(\.\.\.\)"),
        (
            lambda: Banded().reward(values={"nera": 1.0}),
            "never says 'nera'; its labels are: near, far",
        ),
        (lambda: Rubric(Says("a")), "no name of its own"),
        (lambda: Rubric(lambda completion: 1.0), "no name of its own"),
        (lambda: Rubric(a=Says("a")).gate("b", on="a"), "no part 'b'; the parts are: a"),
        (lambda: Rubric(a=Says("a"), b=Says("b")).gate("b", on="a").gate("a", on="b"), "circle"),
        (lambda: Rubric(a=Says("a")).gate("a", on="a"), "circle"),
        (lambda: Rubric(a=Says("a"), f=reward_).gate("f", on="a"), "declare its range"),
        (lambda: Rubric(a=Says("a"), b=Says("b")).gate("b", on="a", at_least=1.5), "never open"),
        (lambda: Rubric(a=Says("a")).gate(on="a", cap=math.nan), "finite"),
        (lambda: Rubric(a=Says("a")).weighted(a=math.inf), "finite"),
        (lambda: Rubric(a=Says("a")).weighted(b=1.0), "no part 'b'"),
        (lambda: Says("a").reward(correct=math.nan), "finite"),
        (lambda: Says("a").reward(values={"x": math.inf}), "finite"),
    ],
)
def test_a_rubric_that_cannot_mean_what_it_says_is_refused_early(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def reward_(completion: str) -> float:
    return 1.0


def test_positional_functions_are_called_by_their_names() -> None:
    assert list(Rubric(reward_, other=Says("a"))) == ["reward_", "other"]


def test_sync_async_and_batch_give_the_same_scores() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b").reward(3.0, -1.0, partial=True), n=reward_).gate(
        "b", on="a"
    )
    samples = [
        row(a=a, b=b)
        for a in ("correct", "no", "unscorable")
        for b in ("correct", 0.25, "unscorable")
    ]

    def plain(scores: Any) -> list[Any]:
        return [(s.total, s.values, s.notes, [p.why for p in s]) for s in scores]

    batch = plain(rubric.score_many(samples))
    assert plain([rubric.score(s) for s in samples]) == batch
    assert plain(asyncio.run(rubric.ascore_many(samples))) == batch
    assert plain([asyncio.run(rubric.ascore(s)) for s in samples]) == batch
    assert plain(rubric.score_many(samples, limit_s=60)) == batch
    assert rubric.score_many([]) == []


def test_scores_do_not_depend_on_the_order_of_the_batch() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b")).gate("b", on="a")
    samples = [row(a=a, b=b) for a in ("correct", "no") for b in ("correct", "no", "unscorable")]
    forward = [s.total for s in rubric.score_many(samples)]
    assert [s.total for s in rubric.score_many(samples[::-1])] == forward[::-1]


def test_a_score_explains_itself() -> None:
    rubric = Rubric(format=Says("a"), answer=Says("b").reward(3.0, -1.0)).gate(
        "answer", on="format"
    )
    text = rubric.score(row(a="correct", b="no")).explain()
    for expected in ("total  +0", "├─ format", "└─ answer", "-1 = -1 × 1", "incorrect", "it is no",
                     "judged 'text' at 0:4 by said", "Says version 1", "ms]", rubric.fingerprint):  # fmt: skip
        assert expected in text
    lost = rubric.score(row(a="correct", b="unscorable"))
    assert "none (unscorable)" in lost.explain()
    assert "fault: dataset" in lost.explain()
    assert "gated" in rubric.score(row(a="no", b="no")).explain()
    assert repr(lost) == "Score(total=None, format=1, answer=None)"


def test_judged_text_cannot_write_on_the_terminal_or_into_the_page() -> None:
    hostile = "\x1b[2J\x1b[32mtotal +99\r\n<script>alert(1)</script>\u202e"
    sample = Sample(completion=hostile, columns={"a": "no"})
    score = Rubric(a=Says("a")).score(sample)
    assert not {"\x1b", "\r", "\u202e"} & set(score.explain())
    assert "<script>" not in score._repr_html_()


def test_a_score_is_plain_data_and_pickles() -> None:
    import json

    score = Rubric(a=Says("a")).score(row(a="no"))
    again = json.loads(json.dumps(score.to_dict()))
    assert again["parts"]["a"]["verdict"]["status"] == "incorrect"
    assert pickle.loads(pickle.dumps(score)).total == score.total


def test_a_rubric_knows_its_range() -> None:
    rubric = Rubric(a=Says("a").reward(3.0, -1.0, weight=2.0), b=Says("b").reward(weight=-1.0))
    assert rubric.range == (-3.0, 6.0)
    assert Rubric(a=Says("a"), f=reward_).range is None
    assert Rubric(a=Says("a"), f=reward_).metrics("f").range == (0.0, 1.0)


def test_a_rubric_is_not_changed_by_its_methods() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b"))
    gated = rubric.gate("b", on="a").weighted(b=2.0)
    assert (rubric.gates, rubric.parts["b"].weight) == ((), 1.0)
    assert gated.gates == (Gate("a", ("b",)),)
    assert rubric == Rubric(a=Says("a"), b=Says("b")) != gated
    assert ".gate('b', on='a')" in repr(gated)
    assert ".gate(on='a', at_least=0.5, cap=1.0)" in repr(
        rubric.gate(on="a", at_least=0.5, cap=1.0)
    )
    assert list(rubric.with_parts(c=Says("c"), a=Says("d"))) == ["a", "b", "c"]


def test_an_overflowing_total_is_an_error_and_not_infinite() -> None:
    huge = FunctionReward(lambda completion: 1e300, weight=1e300)
    with pytest.raises(RubricError, match="too large"):
        Rubric(a=huge).score(completion="x")


def test_score_takes_a_sample_or_keywords() -> None:
    with pytest.raises(RubricError, match="not both"):
        Rubric(reward_).score(Sample(completion="x"), answer="y")
    with pytest.raises(RubricError, match="completion"):
        Rubric(reward_).score()
    with pytest.raises(UsageError, match="expected Samples"):
        Rubric(reward_).score_many(["text"])  # type: ignore[list-item]


def test_an_error_in_one_part_does_not_hide_in_a_batch() -> None:
    def picky(completion: str) -> float:
        return 1 / len(completion)

    samples = [Sample(completion=c) for c in ("a", "", "ab")]
    with pytest.raises(RewardError, match="'picky' raised ZeroDivisionError"):
        Rubric(picky).score_many(samples)
    totals = [s.total for s in Rubric(picky).score_many(samples, on_error="abstain")]
    assert totals == [1.0, None, 0.5]


def test_verifier_rewards_pickle() -> None:
    made = VerifierReward(Says("a"), 3.0, -1.0, values={"part": 0.5}, weight=2.0)
    assert pickle.loads(pickle.dumps(made)) == made
