"""Promise: the total is the weighted sum by stated policies, and every score explains itself."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from says import Says, row

from rewardkit import (
    FunctionReward,
    Gate,
    Reward,
    RewardError,
    Rubric,
    RubricError,
    Sample,
    Score,
    TooManyUnscorableError,
    UsageError,
    Verdict,
    Verifier,
    VerifierReward,
)
from rewardkit.metrics import check_unscorable, score_metrics
from rewardkit.rewards import Outcome
from rewardkit.scoring import MAX_THREADS


class Banded(Verifier):
    labels = ("near", "far")

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect("far", label="far")


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
    assert score.notes == (
        "b could not be judged and is left out, by its policy",
        "what the other parts count is multiplied by 1.5 in its place",
    )
    assert score.total == sum(part.counted for part in score if part.counted is not None)
    assert "+3 = 1 × 2 × 1.5" in score.explain()
    alone = Rubric(b=Says("b").reward(unscorable="skip"))
    assert alone.score(row(b="unscorable")).total is None


def test_a_stated_value_counts_as_stated() -> None:
    rubric = Rubric(a=Says("a"), b=Says("b").reward(weight=2.0, unscorable=-0.5))
    score = rubric.score(row(a="correct", b="unscorable"))
    assert score.total == 0.0
    assert score["b"].counted == -1.0
    assert "counts as -0.5" in score.notes[0]


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


def test_a_score_is_plain_data_and_pickles() -> None:
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


class Credits(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect(credit=0.5)


@pytest.mark.parametrize(
    "parts",
    [
        {"a": Says("a").reward(1e300, weight=1e300)},
        {"a": Says("a").reward(10**300, weight=10**300)},
        {"a": Says("a").reward(1.7e308), "b": Says("a").reward(1.7e308)},
        {"a": Says("a").reward(1.7e308, weight=2.0), "b": Says("a").reward(1.7e308, weight=-2.0)},
    ],
)
def test_an_overflowing_total_is_an_error_and_abstains_in_training(parts: dict[str, Any]) -> None:
    rubric, sample = Rubric(**parts), row(a="correct")
    with pytest.raises(RubricError, match="too large"):
        rubric.score(sample)
    score = rubric.score(sample, on_error="abstain")
    assert (score.total, score["a"].fault) == (None, "verifier")
    assert score["a"].verdict is not None
    assert score["a"].verdict.evidence.rule == "function error"
    assert "could not be judged" in score.notes[0]
    with pytest.raises(TooManyUnscorableError):
        check_unscorable([score], 0.5, 1.0)


def test_an_overflowing_value_is_an_error_of_its_part() -> None:
    rubric = Rubric(a=Credits().reward(1.7e308, -1.7e308, partial=True))
    with pytest.raises(RewardError, match="'a' came to inf"):
        rubric.score(completion="x")
    assert rubric.score(completion="x", on_error="abstain").total is None


class Custom(Reward):
    """A reward of a class of its own, which says what its sample says."""

    def outcomes(self, samples: Any, limit_s: float | None = None) -> list[Outcome]:
        made = [s.columns["gives"] for s in samples]
        if "raise" in made:
            raise KeyError("no such thing")
        return [Outcome(v) for v in made] if "too few" not in made else []


@pytest.mark.parametrize("gives", ["raise", "too few", math.nan, math.inf, "text", 10**400, [1.0]])
def test_a_reward_class_that_fails_is_an_error_and_costs_only_its_own_score(gives: Any) -> None:
    rubric = Rubric(p=Custom())
    samples = [row(gives=1.0), row(gives=gives), row(gives=2)]
    with pytest.raises(RewardError, match="'p'"):
        rubric.score_many(samples)
    scores = rubric.score_many(samples, on_error="abstain")
    assert [s.total for s in scores] == [1.0, None, 2.0]
    assert scores[1]["p"].fault == "verifier"
    again = asyncio.run(rubric.ascore_many(samples, on_error="abstain"))
    assert [s.total for s in again] == [1.0, None, 2.0]


def test_a_reward_class_that_gives_nothing_is_unscorable() -> None:
    score = Rubric(p=Custom()).score(row(gives=None))
    assert (score.total, score["p"].why) == (None, "it gave no value")


class TestWhatIsLogged:
    """Promise: failures are seen, whatever policy a part has."""

    @pytest.mark.parametrize("policy", ["abstain", "skip", -1.0])
    def test_no_policy_hides_a_failing_reward(self, policy: Any) -> None:
        def fails(completion: str) -> float:
            raise OSError("the service is down")

        rubric = Rubric(a=Says("a"), b=FunctionReward(fails, unscorable=policy))
        scores = rubric.score_many([row(a="correct")] * 4, on_error="abstain")
        with pytest.raises(TooManyUnscorableError, match=r"max_error_frac.*b: .*service is down"):
            check_unscorable(scores, 0.05, 1.0)
        metrics = score_metrics(scores)
        assert metrics["unscorable/verifier"] == 4
        assert "service is down" in str(metrics["unscorable/reasons"])
        assert metrics["unscorable/frac"] == (1.0 if policy == "abstain" else 0.0)

    def test_a_failing_metric_is_logged_and_stops_nothing(self) -> None:
        def fails(completion: str) -> float:
            raise OSError("the service is down")

        rubric = Rubric(a=Says("a"), b=fails).metrics("b")
        scores = rubric.score_many([row(a="correct")] * 4, on_error="abstain")
        check_unscorable(scores, 0.0, 0.0)
        metrics = score_metrics(scores)
        assert metrics["parts/b/unscorable"] == 4
        assert "unscorable/verifier" not in metrics
        # Beside a part that does not fail but has no gold, the metric is still none of the causes.
        lost = rubric.score_many([row(a="unscorable")] * 4, on_error="abstain")
        check_unscorable(lost, 0.0, 1.0)

    def test_a_failing_gate_of_weight_0_does_stop_a_run(self) -> None:
        class Fails(Verifier):
            def _verify(self, sample: Sample) -> Verdict:
                raise KeyError("broken")

        rubric = Rubric(g=Fails(), a=Says("a")).gate("a", on="g").metrics("g")
        scores = rubric.score_many([row(a="correct")] * 4)
        with pytest.raises(TooManyUnscorableError, match="max_error_frac.*g: .*broken"):
            check_unscorable(scores, 0.05, 1.0)

    def test_a_limit_that_costs_and_does_not_abstain_is_no_failure(self) -> None:
        class Limited(Verifier):
            def _verify(self, sample: Sample) -> Verdict:
                return Verdict.incorrect("ran past its limit", rule="limit")

        check_unscorable(Rubric(a=Limited()).score_many([row()]), 0.0, 0.0)

    def test_a_part_that_was_always_gated_was_never_correct(self) -> None:
        rubric = Rubric(f=Says("a"), v=Says("b"), n=FunctionReward(reward_, bounds=(0.0, 1.0)))
        scores = rubric.gate(on="f").score_many([row(a="no", b="correct")] * 3)
        metrics = score_metrics(scores)
        assert (metrics["parts/f/correct"], metrics["parts/v/correct"]) == (0.0, 0.0)
        assert "parts/n/correct" not in metrics
        mixed = rubric.gate(on="f").score_many([row(a=a, b="correct") for a in ("no", "correct")])
        assert score_metrics(mixed)["parts/v/correct"] == 0.5
        again = [Score.from_dict(json.loads(json.dumps(s.to_dict()))) for s in scores]
        assert score_metrics(again)["parts/v/correct"] == 0.0

    def test_the_mean_of_huge_values_is_a_number(self) -> None:
        rubric = Rubric(a=Says("a").reward(1.7e308, -1.7e308))
        samples = [row(a="correct")] * 3 + [row(a="no")]
        metrics = score_metrics(rubric.score_many(samples))
        assert metrics["reward"] == pytest.approx(0.85e308)
        assert math.isfinite(metrics["parts/a/std"])


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


def test_a_rubric_of_many_groups_does_not_start_a_thread_for_each() -> None:
    seen: set[int] = set()

    async def counted(completions: list[str]) -> list[float]:
        seen.add(threading.active_count())
        return [1.0] * len(completions)

    rubric = Rubric(p=FunctionReward(counted, form="group"))
    before = threading.active_count()
    scores = rubric.score_many([row() for _ in range(400)], group_ids=list(range(400)))
    assert all(score.total == 1.0 for score in scores)
    assert max(seen) <= before + MAX_THREADS + 2
