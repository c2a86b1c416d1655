"""Numbers are exact, nearness never misleads, and what is no number earns nothing."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Rubric, Sample, Verdict
from rewardkit.errors import UsageError
from rewardkit.verifiers import HasNumber, IsInteger, NumberVerifier, Proximity, ProximityBands
from rewardkit.verifiers._decimal import gold_number, read_number, show

WHOLE = NumberVerifier(extract="whole")


def verdict(verifier: Any, text: str, gold: Any = "1") -> Verdict:
    found: Verdict = verifier.verify(Sample(completion=text, answer=gold))
    return found


@pytest.mark.parametrize(
    "text",
    [
        "1234",
        "1,234",
        "1234.0",
        "1234.",
        "1.234e3",
        "1.234E+3",
        "12340e-1",
        "+1234",
        "01234",
        "$1,234",
        "\\$1234",
        "$1234$",
        "**1234**",
        "€1234",
        " 1234\n",
        "0.01234e5",
    ],
)
def test_every_spelling_of_a_value_is_the_value(text: str) -> None:
    assert verdict(WHOLE, text, "1234").status == "correct"
    assert verdict(WHOLE, text, 1234).status == "correct"


@pytest.mark.parametrize(
    "text",
    [
        "1235",
        "-1234",
        "1234.0000001",
        "1,2,3,4",
        "12,34",
        "1 234",
        "1_234",
        "0x4d2",
        "1234 apples",
        "1234%",
        "2468/2",
        "one",
        "nan",
        "inf",
        "-inf",
        "infinity",
        "1e999999999",
        "1e-999999999",
        "１２３４",
        "١٢٣٤",
        "1234\u200b5",
        "1234٠",
        "²",
        "¼",
        "True",
        "1234=1234",
        "--1234",
        ".",
        "9" * 401,
        "9" * 5000,
        "9" * 1_000_000,
        "1e" + "9" * 1_000_000,
        "1234\x00",
        "\ud800",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_anything_else_is_incorrect(text: str) -> None:
    assert verdict(WHOLE, text, "1234").status == "incorrect"


def test_the_unicode_minus_is_a_minus() -> None:
    assert verdict(WHOLE, "−4", "-4").status == "correct"
    assert verdict(WHOLE, "-$4", -4).status == "correct"


def test_a_float_gold_means_what_is_written() -> None:
    assert verdict(WHOLE, "0.1", 0.1).status == "correct"
    assert verdict(WHOLE, "0.1000000000000000055511151231257827", 0.1).status == "incorrect"
    assert verdict(WHOLE, "0.30", 0.1 + 0.2).status == "incorrect"
    assert verdict(WHOLE, "1e22", 1e22).status == "correct"


def test_close_values_are_not_equal_however_close() -> None:
    # As floats these are the same number.
    assert verdict(WHOLE, "9007199254740993", "9007199254740992").status == "incorrect"
    assert verdict(WHOLE, "1e-400", "0").status == "incorrect"


NO_NUMBERS: list[Any] = ["", "abc", None, True, False, "nan", "inf", "1e9999", "####", "1/2", b"4"]
NO_NUMBERS += [math.nan, math.inf, [4], {"a": 4}, 10**5000, -(10**5000), 1j, object()]
NO_NUMBERS += [Decimal("NaN"), Decimal("Infinity"), Decimal("1e99999"), Fraction(1, 10**5000)]


@pytest.mark.parametrize("gold", NO_NUMBERS, ids=range(len(NO_NUMBERS)))
@pytest.mark.parametrize("verifier", [WHOLE, Proximity(), ProximityBands()], ids=type)
def test_a_gold_that_is_no_number_is_the_fault_of_the_dataset(verifier: Any, gold: Any) -> None:
    found = verdict(verifier, "4", gold)
    assert (found.status, found.fault) == ("unscorable", "dataset")


def test_golds_of_every_numeric_kind_are_read() -> None:
    for gold in (4, 4.0, "4", "x\n#### 4", r"\boxed{4}", Decimal("4.0"), Fraction(8, 2)):
        assert gold_number(gold) == 4


def test_exact_text_and_equal_value_have_their_labels() -> None:
    assert verdict(WHOLE, "4", "x #### 4").label == "exact"
    assert verdict(WHOLE, "4.0", "4").label == "equal"
    assert verdict(WHOLE, "4", 4).label == "exact"
    assert verdict(WHOLE, "5", "4").label is None
    assert verdict(WHOLE, "five", "4").label == "missing"


def test_evidence_names_both_values_and_the_place() -> None:
    found = verdict(NumberVerifier(), "so 1,235.50.", "1234.5")
    assert found.evidence.details == {"value": "1235.5", "gold": "1234.5"}
    assert found.evidence.span == (3, 11)
    assert "1235.5 is not 1234.5" in found.reason


@given(st.integers(-(10**30), 10**30), st.integers(-20, 20))
def test_reading_is_exact(digits: int, power: int) -> None:
    assert read_number(f"{digits}e{power}") == Fraction(digits) * Fraction(10) ** power
    assert read_number(f"{digits:,}") == digits


@given(st.fractions())
def test_what_is_shown_is_short_and_the_same_for_the_same_value(value: Fraction) -> None:
    assert len(show(value)) < 100
    assert show(value) == show(value + 0)


def test_huge_values_never_meet_the_digit_limit_of_the_interpreter() -> None:
    # 10**1399 has more than 4300 digits in no step, but its square does.
    big = "9" * 399 + "e1000"
    assert verdict(WHOLE, big, big).status == "correct"
    assert verdict(WHOLE, big, "-" + big).status == "incorrect"
    for shape in ("linear", "reciprocal", "exponential"):
        near = Proximity(extract="whole", shape=shape, scale="absolute", tolerance=1e-300)
        assert verdict(near, big, "-1e-1000").credit == 0.0
        assert verdict(near, "1e-1000", big).credit == 0.0
    assert len(show(Fraction(10**5000))) < 100


def test_has_number_and_is_integer() -> None:
    assert verdict(HasNumber(), "I say 4").status == "correct"
    assert verdict(HasNumber(), "<answer>about 4</answer>").status == "correct"
    for text in ("B", "", "<answer>four</answer> 4", "nan", "４", "1e99999"):
        assert verdict(HasNumber(), text).status == "incorrect", text
    for text in ("4", "-4", "1,234", "+4", "007"):
        assert verdict(IsInteger(extract="whole"), text).status == "correct", text
    for text in ("4.0", "4.5", "4e2", "²", "four", "", "4 apples", "１"):
        assert verdict(IsInteger(extract="whole"), text).status == "incorrect", text


def test_nearer_earns_more() -> None:
    near = Proximity(extract="last_number")
    assert verdict(near, "9", 10).credit == 0.9
    assert verdict(near, "3", 10).credit == 0.3
    assert verdict(near, "11", 10).credit == 0.9
    assert verdict(near, "25", 10).credit == 0.0
    assert verdict(near, "10.0", 10).status == "correct"
    assert verdict(near, "-9", -10).credit == 0.9


def test_a_miss_is_incorrect_and_its_credit_is_below_one_however_near() -> None:
    for shape in ("linear", "reciprocal", "exponential"):
        found = verdict(Proximity(extract="whole", shape=shape), "1." + "0" * 300 + "1", "1")
        assert found.status == "incorrect"
        assert found.credit is not None
        assert 0.99 < found.credit < 1.0


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e99999", "", "ten", "９", "9" * 1000])
def test_what_is_no_number_is_missing_and_earns_no_credit(text: str) -> None:
    for verifier in (Proximity(extract="whole"), ProximityBands(extract="whole")):
        found = verdict(verifier, text, 10)
        assert (found.status, found.credit, found.label) == ("incorrect", 0.0, "missing")


def test_a_huge_answer_cannot_widen_its_own_tolerance() -> None:
    assert verdict(Proximity(extract="whole"), "1e300", 10).credit == 0.0
    assert verdict(Proximity(extract="whole"), "1e999", 10).credit == 0.0


def test_a_gold_of_zero_is_judged_by_absolute_distance() -> None:
    near = Proximity(extract="whole")
    assert verdict(near, "0", 0).status == "correct"
    assert verdict(near, "-0.0", 0).status == "correct"
    assert verdict(near, "0.25", 0).credit == 0.75
    assert verdict(near, "5", 0).credit == 0.0


SHAPES = st.sampled_from(["linear", "reciprocal", "exponential"])
SCALES = st.sampled_from(["relative", "absolute"])
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.integers()


@given(NUMBERS, NUMBERS, NUMBERS, SHAPES, SCALES, st.floats(1e-6, 1e6))
def test_closer_is_never_worse(
    a: Any, b: Any, gold: Any, shape: Any, scale: Any, tolerance: float
) -> None:
    near = Proximity(extract="whole", shape=shape, scale=scale, tolerance=tolerance)
    first, second = verdict(near, str(a), str(gold)), verdict(near, str(b), str(gold))
    values = [read_number(str(x)) for x in (a, b, gold)]
    if not all(isinstance(value, Fraction) for value in values):
        return
    x, y, g = (value for value in values if isinstance(value, Fraction))
    assert first.credit is not None
    assert second.credit is not None
    if abs(x - g) <= abs(y - g):
        assert first.credit >= second.credit
    assert (first.status == "correct") == (x == g)


@given(st.fractions(min_value=0, max_value=2000), st.integers(1, 10**15), SHAPES)
def test_not_even_rounding_makes_farther_better(at: Fraction, step: int, shape: Any) -> None:
    near = Proximity(extract="whole", shape=shape, scale="absolute", tolerance=1.0)

    def credit(distance: Fraction) -> float:
        text = f"{distance.numerator * 10**20 // distance.denominator}e-20"
        found = verdict(near, text, "0").credit
        assert found is not None
        return found

    assert credit(at) >= credit(at + Fraction(1, step))


@pytest.mark.parametrize(
    ("text", "gold", "label", "status"),
    [
        ("10", "10", "exact", "correct"),
        (" 10 ", "10", "stripped", "correct"),
        ("10", "x #### 10", "exact", "correct"),
        ("10.0", "10", "near", "incorrect"),
        ("9", "10", "near", "incorrect"),
        ("11", "10", "near", "incorrect"),
        ("8.99", "10", "close", "incorrect"),
        ("8", "10", "close", "incorrect"),
        ("12", "10", "close", "incorrect"),
        ("12.01", "10", "far", "incorrect"),
        ("3", "10", "far", "incorrect"),
        ("-10", "10", "far", "incorrect"),
        ("-9", "-10", "near", "incorrect"),
        ("-12", "-10", "close", "incorrect"),
        ("ten", "10", "missing", "incorrect"),
        ("0", "0", "exact", "correct"),
        ("0.0", "0", "near", "incorrect"),
        ("0.001", "0", "far", "incorrect"),
        ("0.9", "1", "near", "incorrect"),
        ("1.1", "1", "near", "incorrect"),
    ],
)
def test_bands(text: str, gold: str, label: str, status: str) -> None:
    bands = ProximityBands(extract="answer")
    found = verdict(bands, f"<answer>{text}</answer>", gold)
    assert (found.label, found.status) == (label, status)


@given(NUMBERS, NUMBERS)
def test_bands_never_give_the_farther_one_more_credit(a: Any, b: Any) -> None:
    bands = ProximityBands(extract="whole")
    first, second = verdict(bands, str(a), 1000), verdict(bands, str(b), 1000)
    if first.label != "missing" and second.label != "missing" and abs(a - 1000) <= abs(b - 1000):
        assert first.credit is not None
        assert second.credit is not None
        assert first.credit >= second.credit


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_that_means_nothing_is_refused(tolerance: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        Proximity(tolerance=tolerance)


def test_numbers_survive_specs_and_pickling() -> None:
    verifiers = (WHOLE, HasNumber(), IsInteger(), Proximity(shape="reciprocal"), ProximityBands())
    for verifier in verifiers:
        rubric = Rubric(part=verifier.reward(partial=True, values={"missing": -0.5}))
        assert Rubric.from_spec(rubric.to_spec()) == rubric
        assert pickle.loads(pickle.dumps(verifier)) == verifier
