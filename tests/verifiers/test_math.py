"""The math verifier: its tiers, its evidence, and where it runs."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rewardkit import MissingExtraError, Rubric, Sample, Verdict
from rewardkit.verifiers import MathVerifier

WHOLE = MathVerifier(extract="whole")


def verdict(text: str, gold: Any, verifier: MathVerifier = WHOLE) -> Verdict:
    return verifier.verify(Sample(completion=text, answer=gold))


MIXED = [
    ("1{,}234", "1234"),
    (r"\frac{-1}{2}", "-0.5"),
    (r"2\frac{1}{2}", "2.5"),
    (r"50\%", "1/2"),
    (r"-6.02 \cdot 10^{-3}", "-0.00602"),
    ("x=3", "x = 3"),
    (r"\boxed{\frac{1}{2}}", "1/2"),
    (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
    (r"2^{\sqrt{2}}", r"2^{\sqrt2}"),
    (r"\sqrt[3]{16}", r"2\sqrt[3]{2}"),
]


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


def test_threads_give_the_same_verdicts() -> None:
    rows = MIXED * 10
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
