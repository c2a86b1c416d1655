"""Tag counting pays what is written, and says what it counted."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Rubric, Sample
from rewardkit.errors import RubricError
from rewardkit.verifiers import TagCount

TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")


def test_each_tag_counts_that_is_there_exactly_once() -> None:
    count = TagCount(TAGS)
    assert count.value("") == 0.0
    assert count.value("<answer>") == 0.125
    assert count.value("<answer><answer>") == 0.0
    assert count.value("<reasoning>a</reasoning><answer>4</answer>") == 0.5
    assert count.value("<reasoning>a</reasoning><answer>4</answer>\n \n") == 0.5


def test_text_after_the_last_tag_costs_by_the_character() -> None:
    count = TagCount(TAGS)
    assert count.value("<answer>4</answer>" + "x" * 10) == pytest.approx(0.25 - 0.01)
    assert count.value("<answer>4</answer> x\n") == pytest.approx(0.25 - 0.002)
    assert count.value("x" * 10 + "<answer>") == 0.125
    assert count.value("<answer>4</answer>" + "x" * 100_000) < -99
    assert TagCount(TAGS, least=-1.0).value("</answer>" + "x" * 100_000) == -1.0


def test_presence_and_absence_can_be_paid_otherwise() -> None:
    presence = TagCount(TAGS, each=0.2, exactly_once=False, per_trailing_character=0.0)
    assert presence.value("<answer><answer> x") == 0.2
    punished = TagCount(TAGS, each=0.5, otherwise=-1.0, per_trailing_character=0.0)
    assert punished.value("") == -4.0
    assert punished.value("<answer>") == -2.5


def test_the_range_is_known_where_there_is_one() -> None:
    assert TagCount(TAGS).range is None
    assert TagCount(TAGS, least=-1.0).range == (-1.0, 0.5)
    assert TagCount(TAGS, per_trailing_character=0.0).range == (0.0, 0.5)
    assert TagCount(TAGS, each=0.5, otherwise=-1.0, per_trailing_character=0.0).range == (-4, 2)
    assert TagCount(TAGS, each=-1.0, least=0.0).range == (0.0, 0.0)


PARTS = st.lists(st.sampled_from([*TAGS, "x", " "]), max_size=12).map("".join)
VALUES = st.sampled_from([-1.0, -0.001, 0.0, 0.5])


@given(PARTS, VALUES, VALUES, st.sampled_from([0.0, -0.1]), st.none() | VALUES, st.booleans())
def test_no_text_leaves_the_range(
    text: str, each: float, other: float, trailing: float, least: float | None, once: bool
) -> None:
    count = TagCount(
        TAGS, each=each, otherwise=other, exactly_once=once,
        per_trailing_character=trailing, least=least,
    )  # fmt: skip
    if count.range is not None:
        assert count.range[0] - 1e-12 <= count.value(text) <= count.range[1] + 1e-12


def test_a_score_explains_the_count() -> None:
    score = Rubric(tags=TagCount(TAGS)).score(Sample(completion="<answer>4</answer>x"))
    assert "2 of 4 tags exactly once, 1 characters after the last" in score.explain()
    assert score.total == pytest.approx(0.249)


@pytest.mark.parametrize(
    "options",
    [
        {"tags": ()},
        {"tags": "abc"},
        {"tags": ("a", "")},
        {"tags": ("a",), "each": float("nan")},
        {"tags": ("a",), "per_trailing_character": float("inf")},
        {"tags": ("a",), "weight": "x"},
    ],
)
def test_mistakes_are_refused_when_written(options: dict[str, Any]) -> None:
    with pytest.raises(RubricError):
        TagCount(**options)


def test_it_survives_specs_and_pickling() -> None:
    count = TagCount(TAGS, each=0.2, least=-2.0, weight=0.5)
    rubric = Rubric(tags=count)
    assert Rubric.from_spec(rubric.to_spec()) == rubric
    assert pickle.loads(pickle.dumps(count)) == count
