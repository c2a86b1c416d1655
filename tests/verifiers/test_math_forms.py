"""An answer is a value, not the question again: the three policies of form."""

from __future__ import annotations

from typing import Any

import pytest

from rewardkit import Sample, Verdict
from rewardkit.verifiers import MathVerifier

WHOLE = MathVerifier(extract="whole")


def verdict(text: str, gold: Any, verifier: MathVerifier = WHOLE) -> Verdict:
    return verifier.verify(Sample(completion=text, answer=gold))


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
