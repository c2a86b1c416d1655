"""Cases kept as data: one gold, one completion, and whether it is right; by kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

FOLDER = Path(__file__).parent / "cases"


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


CASES = _rows("math.jsonl")
PROSE = _rows("math_prose.jsonl")


def _judged(case: dict[str, Any]) -> tuple[str, str]:
    verifier = MathVerifier(**{"extract": "auto", **case.get("args", {})})
    found = verifier.verify(Sample(completion=case["completion"], answer=case["gold"]))
    return found.status, found.reason


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c['kind']}" for i, c in enumerate(CASES)])
def test_cases(case: dict[str, Any]) -> None:
    if "\\boxed" not in case["completion"]:
        case = {**case, "args": {"extract": "whole", **case.get("args", {})}}
    status, reason = _judged(case)
    assert status == ("correct" if case["expected"] else "incorrect"), reason


@pytest.mark.parametrize("case", PROSE, ids=[f"{i}-{c['kind']}" for i, c in enumerate(PROSE)])
def test_answers_in_sentences_tags_and_several_boxes(case: dict[str, Any]) -> None:
    status, reason = _judged(case)
    assert status == ("correct" if case["expected"] else "incorrect"), reason


RIGHT = [case for case in CASES if case["expected"] and "\\boxed" not in case["completion"]]


@pytest.mark.parametrize("case", RIGHT, ids=[f"{i}-{c['kind']}" for i, c in enumerate(RIGHT)])
def test_the_same_answer_in_a_box_at_the_end_of_a_solution(case: dict[str, Any]) -> None:
    completion = f"We have $a = 3$ and 17 more.\n\nSo it is $\\boxed{{{case['completion']}}}$."
    status, reason = _judged({**case, "completion": completion})
    assert status == "correct", reason


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_every_answer_equals_itself(case: dict[str, Any]) -> None:
    again = {**case, "gold": case["gold"], "completion": f"\\boxed{{{case['gold']}}}"}
    status, reason = _judged({**again, "args": {"form": "any"}})
    assert status == ("unscorable" if "dfrac{1}{0}" in case["gold"] else "correct"), reason
