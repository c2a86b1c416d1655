"""Texts that run away, or are none: judged soon, and twice the same."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import Sample, Verdict
from rewardkit.verifiers import MathVerifier

WHOLE = MathVerifier(extract="whole")


def verdict(text: str, gold: Any, verifier: MathVerifier = WHOLE) -> Verdict:
    return verifier.verify(Sample(completion=text, answer=gold))


POISON = [
    "9^{9^{9}}",
    "9^{9^{9^{9}}}",
    "9^9^9^9",
    "2^{2^{2^{2^{2^2}}}}",
    "10^{10^{10}}",
    "10^{-10^{10}}",
    r"\dfrac{5^{5^{5^{5^5}}-4}-5}{16}",
    r"2^{\sqrt{2}\cdot 10^{300}}",
    r"\sqrt{2}^{10^{300}}",
    r"(1+\sqrt{2})^{999}",
    r"\sqrt[1000]{" + "9" * 400 + "}",
    "1e999",
    "1e-999",
    "(" * 10_000 + "42" + ")" * 10_000,
    "{" * 10_000 + "42" + "}" * 10_000,
    r"\frac{1}{" * 500 + "2" + "}" * 500,
    r"\sqrt{" * 60 + "2" + "}" * 60,
    "-" * 1000 + "42",
    "42" + "%" * 1000,
    "1+" * 99 + "1",
    "1+" * 5000 + "1",
    "√2" * 99,
    "2^" * 99 + "2",
    "(" + "+".join(f"\\sqrt{{{n}}}" for n in (2, 3, 5, 7, 11, 13, 17, 19)) + ")^{40}",
    "9" * 400,
    "9" * 5000,
    "9" * 1_000_000,
    "x=" * 500_000,
    "\\" * 1_000_000,
    "\\frac" * 200_000,
    "\\boxed{" * 100_000,
    "4\x002",
    "\ud800",
    "42" + "\u200b" * 100_000,
]


@pytest.mark.parametrize("text", POISON, ids=range(len(POISON)))
def test_poison_is_incorrect_and_ends_soon(text: str) -> None:
    start = process_time()
    for gold in ("42", r"\sqrt{2}"):
        assert verdict(text, gold).status == "incorrect"
        assert verdict(text, gold, MathVerifier()).status != "unscorable"
    assert process_time() - start < 20.0  # algebra has a worker and a budget of its own


def test_algebra_that_takes_too_long_is_killed_and_costs_the_answer_not_us() -> None:
    brief = MathVerifier(extract="whole", cpu_s=0.03)
    hard = r"\int_0^1 \sqrt{\tan x} e^{x^2} dx"
    found = verdict(hard, "1", brief)
    assert found.status == "incorrect"
    assert "not decided within 0.03 s of processor time" in found.reason
    assert verdict(r"\sqrt{8}", r"2\sqrt{2}").status == "correct"  # and the next one is judged


GARBAGE = st.lists(
    st.sampled_from(
        [
            "1",
            "2",
            "42",
            ".",
            ",",
            "+",
            "-",
            "*",
            "/",
            "^",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            "%",
            " ",
            "\\frac",
            "\\sqrt",
            "\\left",
            "\\text{",
            "\\boxed{",
            "$",
            "=",
            "x",
            "√",
            "²",
            "e",
            "!",
        ]
    ),
    max_size=14,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(GARBAGE)
def test_garbage_is_judged_and_twice_the_same(text: str) -> None:
    quick = MathVerifier(extract="whole", cpu_s=0.2)
    first, second = verdict(text, "42", quick), verdict(text, "42", quick)
    assert first.status in ("correct", "incorrect")
    assert (first.status, first.reason) == (second.status, second.reason)
