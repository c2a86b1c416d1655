"""A choice is one letter, committed to."""

from __future__ import annotations

from typing import Any

import pytest

from rewardkit import Rubric, Sample
from rewardkit.errors import UsageError
from rewardkit.verifiers import Choice


def status(text: str, gold: Any = "B", **options: Any) -> str:
    return Choice(**options).verify(Sample(completion=text, answer=gold)).status


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "B)",
        "**B**",
        "[B]",
        "$B$",
        r"\boxed{B}",
        r"\boxed{\text{B}}",
        "<answer>B</answer>",
        "The answer is (B).",
        "The answer is B) Paris",
        "Answer: B",
        "Option B",
        "B) Paris",
        "B: Paris, the capital",
        "<think>A</think>B",
        "#### B",
    ],
)
def test_the_letter_is_read_in_its_usual_dress(text: str) -> None:
    assert status(text) == "correct"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "C",
        "Z",
        "Because",
        "B or C",
        "A, B",
        "B) x C) y",
        "Paris",
        "<think>B",
        "Ｂ",
        "В",
        r"\boxed{A} \boxed{B}A",
        r"\boxed{A, B, C, D}",
        "AB",
        "B1",
        "nor B",
        "x" * 1_000_000,
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_anything_else_is_incorrect(text: str) -> None:
    assert status(text, gold="D" if text.startswith(r"\boxed{A}") else "B") == "incorrect"


@pytest.mark.parametrize("gold", ["", "Z", "Paris", None, 1, ["B"], "A or B"])
def test_a_gold_that_is_no_letter_is_the_fault_of_the_dataset(gold: Any) -> None:
    assert status("B", gold=gold) == "unscorable"


def test_letters_can_be_others() -> None:
    assert status("J", gold="(J)", letters="ABCDEFGHIJ") == "correct"
    for letters in ("", "AA", "ab", "A1"):
        with pytest.raises(UsageError, match="letters"):
            Choice(letters=letters)


def test_a_choice_survives_specs() -> None:
    rubric = Rubric(choice=Choice(letters="ABCD"))
    assert Rubric.from_spec(rubric.to_spec()) == rubric
