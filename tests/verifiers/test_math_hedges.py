"""Promise: an answer that leaves another one open, or that bends out of sight, earns nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

JUDGE = MathVerifier()
NUMBERS = st.integers(-(10**6), 10**6)
JOINTS = st.sampled_from(
    [" or ", ", or maybe ", " (or perhaps ", "$ or $", " 或 ", " or it could be "]
)


def status(completion: str, answer: str, judge: MathVerifier = JUDGE) -> str:
    return judge.verify(Sample(completion=completion, answer=answer)).status


@settings(max_examples=60)
@given(first=NUMBERS, second=NUMBERS, joint=JOINTS)
def test_a_second_value_after_the_box_is_refused_unless_it_is_the_same(
    first: int, second: int, joint: str
) -> None:
    wanted = "correct" if first == second else "incorrect"
    assert status(rf"$\boxed{{{first}}}${joint}{second}", str(first)) == wanted
    assert status(rf"$\boxed{{{first}}}${joint}{first}", str(first)) == "correct"


def test_who_ignores_retractions_ignores_hedges_too() -> None:
    loose = MathVerifier(retraction="ignore")
    assert status(r"\boxed{3} or 4", "3", loose) == "correct"


@pytest.mark.parametrize(
    "after",
    ["or so", "or thereabouts.", "or, in words, three", "or 3 of them", "orange 4", "or $", "or"],
)
def test_words_that_name_no_other_value_take_nothing_back(after: str) -> None:
    assert status(rf"\boxed{{3}} {after}", "3") == "correct"


@pytest.mark.parametrize("after", ["or " * 50_000, "or $" + "{" * 50_000, "or " + "9" * 100_000])
def test_a_hedge_without_end_is_looked_at_for_a_hundred_characters(after: str) -> None:
    assert status(rf"\boxed{{3}} {after}", "3") in ("correct", "incorrect")


@settings(max_examples=30)
@given(bend=st.integers(1, 10**15), sign=st.sampled_from("+-"), gold=st.integers(-9, 9))
def test_what_vanishes_on_one_side_of_a_bend_is_not_nothing(
    bend: int, sign: str, gold: int
) -> None:
    other = "-" if sign == "+" else "+"
    for form in (rf"|x{sign}{bend}|+x{sign}{bend}", rf"|x{sign}{bend}|-x{other}{bend}"):
        assert status(rf"\boxed{{{gold}+{form}}}", str(gold)) == "incorrect"
        assert status(rf"\boxed{{y+{form}}}", "y") == "incorrect"
    assert status(rf"\boxed{{|{bend}{other}x|}}", rf"|x{other}{bend}|") == "correct"
