"""Promise: no attack out-earns an honest wrong answer on our verifiers, presets and examples, and
sound rewards raise no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ours import FORM, OURS

from rewardkit import Column, Rubric, presets
from rewardkit.sandbox import Limits
from rewardkit.testing.audit import AuditReport, audit
from rewardkit.testing.audit.attack import FAMILIES
from rewardkit.verifiers import (
    CodeVerifier,
    MathVerifier,
    MaxLength,
    NumberVerifier,
    Proximity,
    TagFormat,
)

SUMS = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "What is 100 + 37?", "answer": "so 100 + 37 = 137\n#### 137"},
]

ANSWERS: dict[str, Any] = {
    name: OURS[name] for name in ("number", "proximity", "bands", "exact text, final", "math")
}

COMPOSED: dict[str, Any] = {
    **{
        n: OURS[n]
        for n in ("any of", "all of, with a form", "exact text, in a box", "number, in tags")
    },
    "math, one box": MathVerifier(boxes="only"),
    "proximity, absolute": Proximity(scale="absolute", tolerance=50).reward(partial=True),
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
    report = audit(OURS["choice"], rows)
    assert report.ok, str(report)
    assert not report.blind


@pytest.mark.parametrize(
    "name",
    ["tag format", "has number", "integer", "length, of 200", "contains", "keywords", "not"],
)
def test_nor_on_what_judges_no_answer(name: str) -> None:
    verifier = {**OURS, "length, of 200": MaxLength(200)}[name]
    report = audit(verifier, SUMS, rows=1)
    assert report.ok, str(report)
    assert report.blind


DIVISIONS = [
    {"prompt": "What is 12 / 4?", "answer": "3"},
    {"prompt": "What is 1/2 + 1/4?", "answer": "0.75"},
]


@pytest.mark.parametrize("name", ["quickstart.yaml", "README.md"])
def test_the_quickstart_has_no_alarm(name: str, root: Path) -> None:
    what = Rubric.load(root / "examples" / name) if name.endswith("yaml") else first_of(root / name)
    report = audit(what, DIVISIONS, rows=2)
    assert report.ok, str(report)
    assert not report.blind
    assert report.for_nothing == pytest.approx(0.0)


def first_of(page: Path) -> Rubric:
    """The rubric of the first block of Python on a page."""
    code = page.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"print": lambda *_: None}
    exec(code, names)
    rubric = names["rubric"]
    assert isinstance(rubric, Rubric)
    return rubric


def test_the_demo_has_no_alarm(root: Path) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": f"{x}+{y}"}], "answer": str(x + y)}
        for x, y in ((47, 38), (19, 23))
    ]
    report = audit(root / "examples/carry/rubric.yaml", rows)
    assert report.ok, str(report)
    assert not report.blind
    assert report.for_nothing == pytest.approx(0.0)


def test_the_word_problems_have_no_alarm(root: Path) -> None:
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
