"""The math verifier: exact, in many spellings, never paid for the question, never hung."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from time import process_time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewardkit import MissingExtraError, Rubric, Sample, Verdict
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


# value: the default; simplified: powers and roots worked out as well; any: equality.
FORMS = [
    (r"37 \cdot 41", "1517", "incorrect", "incorrect"),
    ("84/2", "42", "incorrect", "incorrect"),
    (r"\frac{84}{2}", "42", "incorrect", "incorrect"),
    (r"\frac12+\frac13", "5/6", "incorrect", "incorrect"),
    ("40+2", "42", "incorrect", "incorrect"),
    ("2(21)", "42", "incorrect", "incorrect"),
    ("0.5/2", "0.25", "incorrect", "incorrect"),
    (r"\frac{2 \cdot 3}{7}", "6/7", "incorrect", "incorrect"),
    ("1/2/3", "1/6", "incorrect", "incorrect"),
    (r"2^{3+7}", "1024", "incorrect", "incorrect"),
    (r"\sqrt{40+2}", r"\sqrt{42}", "incorrect", "incorrect"),
    (r"1+2+\sqrt{2}", r"3+\sqrt{2}", "incorrect", "incorrect"),
    (r"1+\sqrt{2}+2", r"3+\sqrt{2}", "incorrect", "incorrect"),
    (r"2\cdot3\sqrt{2}", r"6\sqrt{2}", "incorrect", "incorrect"),
    (r"2^3 \cdot 3", "24", "incorrect", "incorrect"),
    ("2^{10}", "1024", "correct", "incorrect"),
    (r"\sqrt{1764}", "42", "correct", "incorrect"),
    (r"\sqrt{1764}", r"\sqrt{1764}", "correct", "correct"),
    (r"2^3 \cdot 3", r"3 \cdot 2^3", "correct", "correct"),
    ("24", r"3 \cdot 2^3", "correct", "correct"),
    ("5 + 37", "40 + 2", "correct", "correct"),
    ("6 \\cdot 7", "40 + 2", "incorrect", "incorrect"),
    (r"2\sqrt{2}", r"\sqrt{8}", "correct", "correct"),
    (r"\frac{2\sqrt{3}}{3}", r"\frac{2}{\sqrt{3}}", "correct", "correct"),
    (r"1-\sqrt{2}", r"-\sqrt{2}+1", "correct", "correct"),
    ("6/4", "3/2", "correct", "correct"),
    ("1 1/2", "3/2", "correct", "correct"),
    (r"3 \times 10^5", "300000", "correct", "correct"),
    ("12%", "0.12", "correct", "correct"),
]


@pytest.mark.parametrize(("text", "gold", "value", "simplified"), FORMS)
def test_an_answer_is_a_value_not_the_question_again(
    text: str, gold: str, value: str, simplified: str
) -> None:
    for form, expected in (("value", value), ("simplified", simplified), ("any", "correct")):
        verifier = MathVerifier(extract="whole", form=form)  # type: ignore[arg-type]
        found = verdict(text, gold, verifier)
        assert found.status == expected, (form, found.reason)


RESTATED = [
    (r"37 \cdot 41", "1517", ()),
    ("2^{10}", "1024", ("value", "any")),
    ("7!", "5040", ("value", "any")),
    (r"\binom{10}{3}", "120", ("value", "any")),
    (r"\gcd(84,36)", "12", ()),
    (r"\sqrt{1764}", "42", ("value", "any")),
    (r"\sum_{k=1}^{100} k", "5050", ()),
    (r"\int_0^1 x^2 dx", "1/3", ()),
    (r"\lim_{x\to0}\frac{\sin x}{x}", "1", ()),
    (r"\det[[1,2],[3,4]]", "-2", ()),
    (r"\frac12+\frac13", "5/6", ()),
    (r"\log_2 8", "3", ("value", "any")),
    (r"\lfloor\pi\rfloor", "3", ()),
    (r"\sin(30^\circ)", "1/2", ("value", "any")),
    (r"\prod_{k=1}^5 k", "120", ()),
    (r"100 \bmod 7", "2", ()),
    (r"\frac{d}{dx}x^2", "2x", ()),
]


@pytest.mark.parametrize(("text", "gold", "paid"), RESTATED)
def test_the_question_restated_earns_nothing_but_as_a_closed_form(
    text: str, gold: str, paid: tuple[str, ...]
) -> None:
    for form in ("value", "simplified"):
        verifier = MathVerifier(form=form)
        found = verdict(rf"\boxed{{{text}}}", gold, verifier)
        assert found.status == ("correct" if form in paid else "incorrect"), form


def test_the_verdict_names_tier_values_place_and_what_was_refused() -> None:
    found = verdict(r"\boxed{3}, better \boxed{0.5}", "1/2", MathVerifier())
    assert found.evidence.details == {"tier": "rational", "value": "0.5", "gold": "1/2"}
    assert found.evidence.span == (25, 28)
    assert [refused.text for refused in found.evidence.refused] == ["3"]


@pytest.mark.parametrize(
    ("text", "gold", "tier"),
    [
        ("1/2", "1/2", "form"),
        ("0.5", "1/2", "rational"),
        (r"\sqrt{3}", r"\sqrt{2}", "digits"),
        (r"\sqrt{8}", r"2\sqrt{2}", "digits"),
        ("x^2 - 1", "(x-1)(x+1)", "digits"),
        (r"\{1, 2\}", r"\{2, 3\}", "structure"),
        ("1 + e^{-1000}", "1", "algebra"),
    ],
)
def test_each_tier_decides_what_it_can(text: str, gold: str, tier: str) -> None:
    assert verdict(text, gold).evidence.details["tier"] == tier


def test_the_last_number_comes_with_its_scale_and_those_joined_to_it() -> None:
    for text, taken in (
        ("About 2.5 million people.", "2.5 million"),
        ("So it takes 3 hours.", "3 hours"),
        ("The roots are 2 and 3.", "2 and 3"),
        ("The angle is 3π/2.", "3π/2"),
    ):
        found = verdict(text, "1", MathVerifier()).evidence
        assert found.text == taken
        assert found.span is not None
        assert text[slice(*found.span)] == taken
    denied = verdict("The total is not 27.", "27", MathVerifier())
    assert (denied.status, denied.label) == ("incorrect", "missing")


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


def test_threads_give_the_same_verdicts() -> None:
    rows = [(text, gold) for text, gold in EQUAL] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: verdict(*row).status, rows))
    assert found == ["correct"] * len(rows)


def test_it_works_deep_in_the_stack_of_a_thread() -> None:
    results: list[str] = []

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            results.append(verdict("1+" * 60 + "1", "61").status)

    thread = threading.Thread(target=deep, args=(300,))
    thread.start()
    thread.join()
    assert results == ["incorrect"]


def test_sympy_is_never_imported_by_the_caller() -> None:
    code = (
        "from rewardkit import Sample; from rewardkit.verifiers import MathVerifier; import sys;"
        r"v = MathVerifier(extract='whole').verify(Sample(completion='1+e^{-1000}', answer='1'))"
        "; assert v.evidence.details['tier'] == 'algebra', v; assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_without_sympy_rationals_are_judged_and_the_rest_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rewardkit.verifiers.math.algebra.find_spec", lambda name: None)
    assert verdict("1/2", "0.5").status == "correct"
    assert verdict(r"\sqrt{3}", r"\sqrt{2}").status == "incorrect"
    with pytest.raises(MissingExtraError, match=r"rewardkit\[math\]"):
        verdict("2 + e^{-1000}", "2")


def test_it_survives_specs_and_pickling() -> None:
    verifier = MathVerifier(extract="boxed", form="simplified")
    rubric = Rubric(answer=verifier.reward(3.0, -3.0))
    assert Rubric.from_spec(rubric.to_spec()) == rubric
    assert pickle.loads(pickle.dumps(verifier)) == verifier


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
