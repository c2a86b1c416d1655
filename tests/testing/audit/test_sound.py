"""Promise: no attack out-earns an honest wrong answer on our verifiers, presets and examples, and
sound rewards raise no alarm. What is farmable by its definition is, by the exploits listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardkit import AllOf, AnyOf, Column, Not, Rubric, presets
from rewardkit.sandbox import Limits
from rewardkit.testing.audit import AuditReport, audit
from rewardkit.testing.audit.attack import FAMILIES
from rewardkit.verifiers import (
    Choice,
    CodeVerifier,
    Contains,
    ExactText,
    HasNumber,
    IsInteger,
    Keywords,
    MarkerOnce,
    MathVerifier,
    MaxLength,
    NumberVerifier,
    Proximity,
    ProximityBands,
    RegexFormat,
    TagCount,
    TagFormat,
)

SUMS = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "What is 100 + 37?", "answer": "so 100 + 37 = 137\n#### 137"},
]
BANDS = {"exact": 3.0, "stripped": 1.5, "near": 0.5, "close": 0.25}
FORM = "<think>...</think><answer>...</answer>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

ANSWERS: dict[str, Any] = {
    "number": NumberVerifier(),
    "proximity": Proximity().reward(partial=True),
    "bands": ProximityBands().reward(correct=3.0, incorrect=-1.0, values=BANDS),
    "exact text": ExactText(gold="final"),
    "math": MathVerifier(),
}

COMPOSED: dict[str, Any] = {
    "math, one box": MathVerifier(boxes="only"),
    "any of": AnyOf((NumberVerifier(extract="answer"), NumberVerifier(extract="boxed"))),
    "all of": AllOf((NumberVerifier(extract="answer"), TagFormat(FORM))),
    "proximity, absolute": Proximity(scale="absolute", tolerance=50).reward(partial=True),
    "exact text, in a box": ExactText(extract="boxed", gold="final"),
    "number, in tags": NumberVerifier(extract="answer"),
    "gated": Rubric(
        form=TagFormat(FORM).reward(correct=0.5),
        answer=NumberVerifier(extract="answer").reward(correct=3.0, incorrect=-1.0),
    ).gate("answer", on="form"),
    "sum": Rubric(
        form=TagFormat(FORM).reward(correct=0.2),
        short=MaxLength(2000).reward(correct=0.0, incorrect=-0.5),
        answer=NumberVerifier(extract="answer"),
    ),
    "arithmetic": presets.arithmetic(),
    "custom_markers": presets.custom_markers(),
    "gsm8k": presets.gsm8k(),
    "gsm8k_two_part": presets.gsm8k_two_part(),
    "proximity_banded": presets.proximity_banded(),
    "proximity_smooth": presets.proximity_smooth(),
}
"""Made of the verifiers above, so that texts that are hostile to those need not be tried again."""


@pytest.mark.parametrize("name", [*ANSWERS, *COMPOSED])
def test_no_attack_out_earns_an_honest_wrong_answer(name: str) -> None:
    what = {**ANSWERS, **COMPOSED}[name]
    quick = [family for family in FAMILIES if family != "hostile"]
    families = quick if name in COMPOSED else FAMILIES
    report = audit(what, SUMS, rows=1, families=families)
    assert report.ok, str(report)
    assert not report.blind
    assert report.right is not None
    assert report.right > report.wrong


def test_nor_on_a_choice() -> None:
    rows = [{"prompt": "Which is prime? A) 4 B) 7 C) 9 D) 8", "answer": "B"}]
    report = audit(Choice(), rows)
    assert report.ok, str(report)
    assert not report.blind


@pytest.mark.parametrize(
    "verifier",
    [TagFormat(FORM), HasNumber(), IsInteger(), MaxLength(200), Contains("please"),
     Keywords(all_of=("refund",)), Not(Contains("sorry"))],
    ids=lambda verifier: type(verifier).__name__,
)  # fmt: skip
def test_nor_on_what_judges_no_answer(verifier: Any) -> None:
    report = audit(verifier, SUMS, rows=1)
    assert report.ok, str(report)
    assert report.blind


FARMABLE: dict[str, tuple[Any, set[str]]] = {
    "TagCount": (TagCount(TAGS), {"form-empty", "tags-empty", "tags-reversed", "tags-in-fence"}),
    "MarkerOnce": (MarkerOnce("<SOLUTION>"), {"form-empty", "tag-soup"}),
    "RegexFormat": (
        RegexFormat(r"\s*<think>.*?</think>\s*<answer>.*?</answer>\s*"),
        {"form-empty", "tags-empty", "tags-empty-lines", "tags-nested"},
    ),
}
"""Rewards of form that pay for empty forms, and what shows it; gate them with ``TagFormat``."""


@pytest.mark.parametrize("name", FARMABLE)
def test_what_is_farmable_by_its_definition_is_so_as_listed(name: str) -> None:
    reward, exploits = FARMABLE[name]
    report = audit(reward, SUMS, rows=1)
    assert {finding.kind for finding in report.alarms} == {"form-alone"}
    assert exploits <= {finding.attack.name for finding in report.alarms}


@pytest.mark.parametrize("name", FARMABLE)
def test_and_behind_a_form_that_refuses_empty_blocks_it_is_not(name: str) -> None:
    reward = FARMABLE[name][0]
    part = reward if isinstance(reward, TagCount) else reward.reward()
    if isinstance(reward, TagCount):
        part = TagCount(TAGS, least=0.0)
    form = FORM if name != "MarkerOnce" else "<SOLUTION>...</SOLUTION>"
    gated = Rubric(form=TagFormat(form).reward(weight=0.0), tags=part).gate("tags", on="form")
    report = audit(gated, SUMS, rows=1)
    assert report.ok, str(report)


GATED: dict[str, tuple[Rubric, float]] = {
    "gsm8k_two_part": (
        presets.gsm8k_two_part()
        .with_parts(form=TagFormat("<reasoning>...</reasoning><answer>...</answer>").reward(weight=0.0))
        .gate("format", on="form"),
        0.8 / 2.8,
    ),
    "gsm8k": (
        presets.gsm8k(least=0.0).gate("integer", "tags", on="soft_format"),
        0.5 / 4.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GATED)
def test_what_a_preset_pays_for_nothing_and_how_a_gate_mends_it(name: str) -> None:
    rubric, share = GATED[name]
    bare = audit(getattr(presets, name)(), SUMS, rows=1, families=["void", "forms"])
    assert bare.for_nothing == pytest.approx(share, abs=0.01)
    mended = audit(rubric, SUMS, rows=1, families=["void", "forms"])
    assert mended.ok
    assert mended.for_nothing == pytest.approx(0.0, abs=0.01)


UNREAD: dict[str, tuple[Any, set[str]]] = {
    "last_number": (
        NumberVerifier(extract="last_number"), {"false-equation", "not-equal", "more-than"}
    ),
    "gsm8k_eval_matched": (
        presets.gsm8k_eval_matched(), {"false-equation-left", "either-or", "plus-unknown"}
    ),
}  # fmt: skip
"""What reads one number, by its definition, and no word or sign around it."""


@pytest.mark.parametrize("name", UNREAD)
def test_what_reads_no_word_around_a_number_is_fooled_by_words_alone(name: str) -> None:
    reward, exploits = UNREAD[name]
    report = audit(reward, SUMS, rows=1, families=["void", "forms", "dumps", "restated", "claims"])
    assert {finding.kind for finding in report.alarms} == {"out-earns"}
    assert exploits <= {finding.attack.name for finding in report.alarms}
    assert {f.attack.family for f in report.alarms} <= {"claims", "dumps", "restated"}


def test_the_examples_have_no_alarm(root: Path) -> None:
    words = audit(root / "examples/word_problems/rubric.yaml",
                  root / "examples/word_problems/test.jsonl", rows=1)  # fmt: skip
    assert words.ok, str(words)
    assert not words.blind


TESTS = [[[2], 4], [[5], 10]]
LIMITS = Limits(cpu_s=1.0, wall_s=4.0)


def code(kind: Any, tests: Any, solution: str) -> AuditReport:
    entry = None if kind == "stdin" else "double"
    rows = [{"prompt": "Double it.", "solution": solution, "tests": tests}]
    verifier = CodeVerifier(Column("tests"), kind=kind, entry=entry, limits=LIMITS)
    return audit(verifier, rows, families=["code", "void", "judges"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tests", "solution"),
    [
        ("call", TESTS, "def double(n):\n    return n * 2\n"),
        ("stdin", [["2\n", "4\n"], ["5\n", "10\n"]], "print(int(input()) * 2)"),
        ("assert", "def check(f):\n    assert f(2) == 4", "def double(n):\n    return n * 2\n"),
    ],
)
def test_no_attack_on_code_passes(kind: str, tests: Any, solution: str) -> None:
    report = code(kind, tests, solution)
    assert report.ok, str(report)
    assert report.right == 1.0


def test_the_quickest_attacks_on_code_do_not_pass() -> None:
    """The rest is in the slow test above."""
    from rewardkit.testing.audit import all_attacks

    names = ("equal-int", "frames-read", "code-os-exit", "call-exit", "patch-comparison",
             "files-forged", "output-forged", "code-skip")  # fmt: skip
    attacks = [attack for attack in all_attacks() if attack.name in names]
    rows = [{"solution": "def double(n):\n    return n * 2\n", "tests": TESTS}]
    report = audit(CodeVerifier(Column("tests"), entry="double"), rows, attacks=attacks)
    assert report.ok, str(report)
    assert len(report.findings) == len(names)
    assert report.right == 1.0
