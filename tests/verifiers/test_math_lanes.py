"""Promise: what is settled quickly is settled as the slower way would settle it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rewardkit import Sample, Verdict
from rewardkit.verifiers import MathVerifier
from rewardkit.verifiers.math import probing
from rewardkit.verifiers.math.shapes import parse
from rewardkit.verifiers.math.spelling import bare
from rewardkit.verifiers.math.understood import Understood, _parsed, _plain

DIGITS = st.text("0123456789", min_size=1, max_size=12)
WHOLE = st.integers(1, 10**15).map(str) | st.integers(1, 10**15).map("{:,}".format) | DIGITS
NUMBERS = st.builds(
    lambda sign, whole, after: sign + whole + after,
    st.sampled_from(["", "-"]), WHOLE, st.just("") | DIGITS.map(".{}".format),
)  # fmt: skip


@given(NUMBERS)
@example("1,234.50")
@example("007")
@example("-1,234,567")
@example("3.0")
@example("9" * 300)
@example("0." + "3" * 90)
def test_a_plain_number_is_read_as_the_grammar_reads_it(text: str) -> None:
    found = _plain(text)
    assert isinstance(found, Understood)
    if found.study.value:  # a zero with a sign is shown without it
        assert found == _parsed(text)
    else:
        assert found.study.value == _value(text)


def _value(text: str) -> object:
    found = _parsed(text)
    return found.study.value if isinstance(found, Understood) else None


@pytest.mark.parametrize(
    "text",
    ["", "-", "1,23", "12,34,567", "0,123", "1.2.3", ".5", "5.", "1e3", "+3", "١٢", "3 4", "1,234,",
     "9" * 301, "0." + "3" * 91, "--1", " 1", "1\n"],
)  # fmt: skip
def test_anything_less_plain_is_left_to_the_grammar(text: str) -> None:
    assert _plain(text) is None


def judged(gold: str, answer: str) -> Verdict:
    return MathVerifier().verify(Sample(completion=rf"\boxed{{{answer}}}", answer=gold))


def tier(verdict: Verdict) -> str:
    return str(verdict.evidence.details["tier"])


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("(n+4)!-9", "1089"),
        (r"\frac{5}{12}", "(n+1)!-1"),
        (r"\binom{2n}{n}", r"\frac{55}{44}"),
        (r"\binom{9n}{n}", "(x-7)^5(x+6)"),
        (r"\frac{abc}{8R}", r"\binom{2n}{n}"),
        ("(n+8)!-6", r"\frac{x^4+1}{x-3}"),
        ("3^n-2^n", "(n+5)!-5"),
        (r"\binom{n}{k}", r"\binom{n}{k+1}"),
        ("(2n)!", "2n!"),
        (r"\lfloor \frac{n}{2} \rfloor", r"\frac{n}{2}"),
        ("n^2", r"\lceil \frac{n^2+1}{3} \rceil"),
    ],
)
def test_functions_of_whole_numbers_that_differ_need_no_algebra(gold: str, answer: str) -> None:
    verdict = judged(gold, answer)
    assert (verdict.status, tier(verdict)) == ("incorrect", "digits")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("(n+1)!", r"(n+1)\cdot n!"),
        ("n!", r"n\cdot (n-1)!"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        (r"\binom{n}{k}", r"\frac{n!}{k!(n-k)!}"),
        (r"\binom{n}{k}", r"\binom{n}{n-k}"),
        (r"\binom{2n}{n}", r"\frac{(2n)!}{(n!)^2}"),
    ],
)
def test_those_that_agree_where_they_are_asked_are_proved_equal(gold: str, answer: str) -> None:
    verdict = judged(gold, answer)
    assert (verdict.status, tier(verdict)) == ("correct", "algebra")


def whole_points(gold: str, answer: str) -> list[int]:
    a, g = parse(bare(answer)), parse(bare(gold))
    drawn = probing.points(["n"], f"{a}{g}", True, probing.POINTS)
    return sorted({int(point["n"].re) for point in drawn})


@pytest.mark.parametrize("gold", ["n!", "(n+1)!", "(-1)^n", r"\binom{n}{2}"])
@pytest.mark.parametrize("most", [20, 60])
def test_a_product_that_vanishes_at_small_whole_numbers_forges_nothing(
    gold: str, most: int
) -> None:
    zero = "".join(f"(n-{root})" for root in range(2, most))
    assert judged(gold, f"{gold}+{zero}").status == "incorrect"


@pytest.mark.parametrize("gold", ["n!", "(-1)^n"])
def test_roots_at_the_points_of_another_pair_forge_nothing(gold: str) -> None:
    roots = whole_points(gold, gold)
    zero = "".join(f"(n-{root})" for root in roots)
    assert judged(gold, f"{gold}+{zero}").status == "incorrect"


@pytest.mark.parametrize(
    ("gold", "answer"), [(r"\frac{1+(-1)^n}{2}", "1"), (r"\frac{1-(-1)^n}{2}", "0")]
)
def test_even_and_odd_numbers_are_both_asked(gold: str, answer: str) -> None:
    assert judged(gold, answer).status == "incorrect"
    assert judged("(-1)^n", r"\cos(n\pi)").status == "correct"
    assert judged("(-1)^{n}", "(-1)^{3n}").status == "correct"


def test_points_are_the_same_for_the_same_pair() -> None:
    drawn = [list(probing.points(["k", "n"], "pair", whole, 12)) for whole in (True, False) * 2]
    assert drawn[:2] == drawn[2:]
    parities = {(int(p["k"].re) % 2, int(p["n"].re) % 2) for p in drawn[0]}
    assert len(parities) == 4
