"""Golds of every kind: text, numbers, lists of accepted answers, expressions of sympy."""

from __future__ import annotations

from typing import Any

import pytest
import sympy

from rewardkit import Sample, Verdict
from rewardkit.verifiers import MathVerifier

x, y = sympy.symbols("x y")
WHOLE = MathVerifier(extract="whole")


def verdict(text: str, gold: Any, verifier: MathVerifier = WHOLE) -> Verdict:
    return verifier.verify(Sample(completion=text, answer=gold))


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        (sympy.Integer(-3), "-3", "3"),
        (sympy.Rational(1, 2), "0.5", "2"),
        (sympy.sqrt(2) / 2, r"\frac{\sqrt2}{2}", r"\frac{\sqrt3}{2}"),
        (x**2 + 2 * x + 1, "(x+1)^2", "x^2+1"),
        (sympy.sin(x) * sympy.exp(y), r"e^y \sin x", r"e^x \sin y"),
        (sympy.log(x), r"\ln x", r"\ln y"),
        (3 + 4 * sympy.I, "3+4i", "3-4i"),
        (sympy.Interval.Lopen(0, 1), "(0, 1]", "[0, 1)"),
        (sympy.Interval(3, sympy.oo), r"x \ge 3", "x > 3"),
        (sympy.Union(sympy.Interval(0, 1), sympy.Interval(2, 3)), r"[0,1]\cup[2,3]", "[0,3]"),
        (sympy.FiniteSet(1, 2), r"\{2, 1\}", r"\{1, 3\}"),
        (sympy.Tuple(1, 2), "(1, 2)", "(2, 1)"),
        (sympy.Matrix([[1, 2], [3, 4]]), r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1, 2, 3, 4)"),
        (sympy.Eq(x, 3), "x = 3", "x = 4"),
        (x > 3, "(3, \\infty)", "x < 3"),
        (sympy.pi, r"\pi", "3.14"),
        (sympy.Float("0.25"), "1/4", "0.2"),
        (sympy.EmptySet, r"\emptyset", "0"),
    ],
)
def test_expressions_of_sympy_are_golds(gold: Any, right: str, wrong: str) -> None:
    assert verdict(right, gold).status == "correct"
    assert verdict(wrong, gold).status == "incorrect"


@pytest.mark.parametrize("gold", [sympy.Integral(x, x), sympy.Function("f")(x), sympy.nan])
def test_an_expression_that_is_not_read_is_the_fault_of_the_dataset(gold: Any) -> None:
    found = verdict("1", gold)
    assert (found.status, found.fault) == ("unscorable", "dataset")


def test_one_of_several_accepted_answers_is_enough() -> None:
    assert verdict("1/2", ["2", 0.5]).status == "correct"
    assert verdict("2", ("2", "1/2")).status == "correct"
    assert verdict("3", ["2", "1/2"]).status == "incorrect"
    # The list is of alternatives: all of them together are another answer.
    assert verdict("2, 1/2", ["2", "1/2"]).status == "incorrect"


def test_a_list_with_one_gold_that_cannot_be_read_is_unscorable() -> None:
    found = verdict("2", ["2", r"\foo"])
    assert (found.status, found.fault) == ("unscorable", "dataset")


def test_boxes_of_a_gold_are_one_list() -> None:
    assert verdict("2, 3", r"So $\boxed{2}$ and $\boxed{3}$.").status == "correct"
    assert verdict("3", r"So $\boxed{2}$ and $\boxed{3}$.").status == "incorrect"


def test_what_is_not_decided_is_incorrect_unless_it_is_to_be_looked_at() -> None:
    hard, gold = r"\int x^2 dx", "x"  # without bounds: beyond us
    assert verdict(hard, gold).status == "incorrect"
    assert "not decided" in verdict(hard, gold).reason
    looked_at = MathVerifier(extract="whole", undecided="unscorable")
    found = verdict(hard, gold, looked_at)
    assert (found.status, found.fault) == ("unscorable", "verifier")
