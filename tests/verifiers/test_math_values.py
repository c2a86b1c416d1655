"""Equal values in many spellings are equal, others are not, and golds are read as answers are."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rewardkit import Sample, Verdict
from rewardkit.verifiers import MathVerifier

WHOLE = MathVerifier(extract="whole")


def verdict(text: str, gold: Any, verifier: MathVerifier = WHOLE) -> Verdict:
    return verifier.verify(Sample(completion=text, answer=gold))


EQUAL = [
    ("1234", "1,234"),
    ("1{,}234", "1234"),
    (r"1\,234", "1234"),
    ("1234.0", "1234"),
    ("1.234e3", "1234"),
    ("1.", "1"),
    ("0.5", r"\frac{1}{2}"),
    (".5", "1/2"),
    (r"\dfrac12", "0.5"),
    (r"\tfrac{1}2", "0.5"),
    (r"\frac1{2}", "0.5"),
    (r"\frac{-1}{2}", "-1/2"),
    (r"-\frac{1}{2}", "-0.5"),
    ("2/4", "1/2"),
    ("2 1/2", "5/2"),
    (r"2\frac{1}{2}", "2.5"),
    (r"-2\frac12", "-2.5"),
    (r"50\%", "1/2"),
    ("50%", r"50 \%"),
    ("2^{10}", "1024"),
    ("2**10", "1024"),
    ("3²", "9"),
    ("2^{-1}", "0.5"),
    ("-2^2", "-4"),
    ("2^3^2", "512"),
    (r"\sqrt{16}", "4"),
    ("√16", "4"),
    ("sqrt(16)", "4"),
    (r"\sqrt[3]{-27}", "-3"),
    ("8^{2/3}", "4"),
    (r"3\times10^{5}", "300000"),
    (r"-6.02 \cdot 10^{-3}", "-0.00602"),
    (r"$\left(-3\right)$", "-3"),
    (r"\(3\)", "3"),
    ("x = 3", "3"),
    ("x=3", "x = 3"),
    (r"\text{42}", "42"),
    ("42.", "42"),
    ("**42**", "42"),
    (r"\$42", "42"),
    (r"\boxed{\frac{1}{2}}", "1/2"),
    ("-(-2)", "2"),
    ("−2", "-2"),
    (r"\sqrt{8}", r"2\sqrt2"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"1+\sqrt{2}", r"\sqrt{2} + 1"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"2^{\sqrt{2}}", r"2^{\sqrt2}"),
    (r"\sqrt{2}\sqrt{2}", "2"),
    (r"\sqrt[3]{16}", r"2\sqrt[3]{2}"),
]


@pytest.mark.parametrize(("text", "gold"), EQUAL)
def test_equal_values_are_equal_in_any_spelling(text: str, gold: str) -> None:
    found = verdict(text, gold)
    assert found.status == "correct", found.reason


@pytest.mark.parametrize(("text", "gold"), EQUAL)
def test_and_in_the_other_direction_where_the_form_is_let_free(text: str, gold: str) -> None:
    free = MathVerifier(extract="whole", form="any")
    assert verdict(gold, text, free).status == "correct"


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("43", "42"),
        ("-42", "42"),
        ("4.2", "42"),
        ("0.333", "1/3"),
        ("1.41421356237309504880", r"\sqrt{2}"),
        ("49", r"50\%"),
        ("50%", "50"),
        ("4 2", "42"),
        ("$4$$2$", "42"),
        ("43 = 42", "42"),
        ("y = 42", "x = 42"),
        ("x = 43 = 42", "42"),
        (r"\neq 42", "42"),
        (r"\pm 42", "42"),
        (r"41 \approx 42", "42"),
        (r"41 \text{ or } 42", "42"),
        ("41, 42", "42"),
        ("{42}{43}", "42"),
        (r"42 \text{ million}", "42"),
        ("3, 14", "3.14"),
        ("3,140", "3.14"),
        ("5,0", "5"),
        ("1.2", "1,2"),
        ("٤٢", "42"),
        ("4\u200b2", "42"),
        ("nan", "0"),
        ("inf", "42"),
        (r"\infty", "42"),
        ("1e999999", "42"),
        ("1/0", "42"),
        ("0^0", "1"),
        ("0^{-1}", "0"),
        (r"\sqrt{-4}", "2"),
        (r"\sqrt[0]{4}", "4"),
        (r"\sqrt[1.5]{4}", "4"),
        ("(-8)^{1/3}", "-2"),
        (r"\sqrt12", r"\sqrt{12}"),
        (r"\frac123", r"\frac{1}{23}"),
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        (r"1-\frac{5051}{2^{100}}", r"1-\frac{8051}{2^{100}}"),
        (r"\sqrt{10^{40}+1}-10^{20}", "0"),
        (r"\boxed{42", "42"),
        ("", "42"),
        ("()", "42"),
        ("42)", "42"),
        ("(42", "42"),
        ("42+", "42"),
        ("__import__('os').system('true')", "42"),
    ],
)
def test_different_values_and_what_is_no_value_are_incorrect(text: str, gold: str) -> None:
    found = verdict(text, gold)
    assert found.status == "incorrect"
    assert found.reason


@pytest.mark.parametrize("text", [r"\foo{3}", "3 4", "(1, 2", "5 +", r"\frac{d}{dx}", "x^^2"])
def test_what_is_not_supported_is_incorrect_and_says_so(text: str) -> None:
    assert "not supported" in verdict(text, "42").reason
    found = verdict("42", text)
    assert (found.status, found.fault) == ("unscorable", "dataset")
    # Also for the very text of the gold: that it can be judged must not depend on the answer.
    assert verdict(text, text).status == "unscorable"


GOLDS: list[Any] = [
    "",
    "   ",
    None,
    True,
    float("nan"),
    float("inf"),
    [],
    ["1", None],
    {"a": 1},
    10**5000,
]
GOLDS += ["####", "1/0", "9^{9^{9}}", r"\sqrt[1.5]{2}", "1" * 3000, b"4", object()]


@pytest.mark.parametrize("gold", GOLDS, ids=range(len(GOLDS)))
def test_a_gold_without_a_value_is_the_fault_of_the_dataset(gold: Any) -> None:
    found = verdict("42", gold)
    assert (found.status, found.fault) == ("unscorable", "dataset")


@pytest.mark.parametrize(
    "gold", [0.5, Fraction(1, 2), Decimal("0.5"), "x\n#### 1/2", r"\boxed{.5}"]
)
def test_golds_of_every_kind_are_read(gold: Any) -> None:
    assert verdict("1/2", gold).status == "correct"
    assert verdict("-4", -4).status == "correct"


RATIONALS = st.fractions(max_denominator=10**6)


@given(RATIONALS)
def test_one_value_written_in_many_ways_is_one_value(value: Fraction) -> None:
    n, d = value.numerator, value.denominator
    spellings = [f"{n}/{d}", rf"\frac{{{n}}}{{{d}}}", rf"$\dfrac{{{n}}}{{{d}}}$", f"x = {n}/{d}"]
    if d == 1:
        spellings += [f"{n}", f"{n:,}", f"{n}.0", rf"\boxed{{{n}}}", rf"{n}00\%"]
    free = MathVerifier(extract="whole", form="any")
    for spelling in spellings:
        assert verdict(spelling, value, free).status == "correct", spelling


@given(RATIONALS, RATIONALS)
def test_different_values_differ(a: Fraction, b: Fraction) -> None:
    free = MathVerifier(extract="whole", form="any")
    expected = "correct" if a == b else "incorrect"
    assert verdict(f"{a.numerator}/{a.denominator}", b, free).status == expected


# Pairs: an expression as an answer, and the same for Python.
LEAF = st.integers(0, 9).map(lambda n: (str(n), f"F({n})"))
FORMS_OF_TWO = [
    ("({0})+({1})", "({0})+({1})"),
    ("({0})-({1})", "({0})-({1})"),
    (r"({0})\cdot({1})", "({0})*({1})"),
    ("({0})({1})", "({0})*({1})"),
    ("({0})/({1})", "({0})/({1})"),
    (r"\frac{{{0}}}{{{1}}}", "({0})/({1})"),
    (r"-({0})^{{2}} + {1}", "-(({0})**2)+({1})"),
    (r"\left({0}\right)^3 - ({1})\%", "({0})**3-({1})/100"),
    (r"\sqrt{{({0})^2}}+{1}", "abs({0})+({1})"),
]


def _joined(form: tuple[str, str], a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
    return form[0].format(a[0], b[0]), form[1].format(a[1], b[1])


TREES = st.recursive(
    LEAF,
    lambda inner: st.builds(_joined, st.sampled_from(FORMS_OF_TWO), inner, inner),
    max_leaves=6,
)


@given(TREES)
def test_arithmetic_agrees_with_that_of_fractions(pair: tuple[str, str]) -> None:
    text, source = pair
    assume("+-" not in text)  # which people write for plus or minus, and is read so
    free = MathVerifier(extract="whole", form="any")
    try:
        value = eval(source, {"F": Fraction, "abs": abs})
    except ZeroDivisionError:
        assert verdict(text, "1").status == "incorrect"
        return
    assert verdict(text, value, free).status == "correct"
    assert verdict(text, value + 1, free).status == "incorrect"
