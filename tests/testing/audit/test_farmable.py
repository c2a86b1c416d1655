"""Promise: what is farmable by its definition is so by the exploits listed, and a gate mends it."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from ours import FORM, OURS, TAGS

from rewardkit import Rubric, presets, reward
from rewardkit.testing.audit import AuditReport, audit
from rewardkit.verifiers import (
    MarkerOnce,
    NumberVerifier,
    TagCount,
    TagFormat,
)

SUMS = [{"prompt": "What is 19 + 23?", "answer": "42"}]

FARMABLE: dict[str, tuple[Any, set[str]]] = {
    "TagCount": (OURS["tag count"], {"form-empty", "tags-empty", "tags-reversed", "tags-in-fence"}),
    "MarkerOnce": (MarkerOnce("<SOLUTION>"), {"form-empty", "tag-soup"}),
    "RegexFormat": (
        OURS["regex format, whole"],
        {"form-empty", "tags-empty", "tags-empty-lines", "tags-nested"},
    ),
}
"""Rewards of form that pay for empty forms, and what shows it; gate them with ``TagFormat``."""


@pytest.mark.parametrize("name", FARMABLE)
def test_what_is_farmable_by_its_definition_is_so_as_listed(name: str) -> None:
    reward, exploits = FARMABLE[name]
    report = audit(reward, SUMS)
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
    report = audit(gated, SUMS)
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
    bare = audit(getattr(presets, name)(), SUMS, families=["void", "forms"])
    assert bare.for_nothing == pytest.approx(share, abs=0.01)
    mended = audit(rubric, SUMS, families=["void", "forms"])
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
    report = audit(reward, SUMS, families=["void", "forms", "dumps", "restated", "claims"])
    assert {finding.kind for finding in report.alarms} == {"out-earns"}
    assert exploits <= {finding.attack.name for finding in report.alarms}
    assert {f.attack.family for f in report.alarms} <= {"claims", "dumps", "restated"}


def test_what_each_preset_pays_for_nothing_is_as_its_page_says(root: Path) -> None:
    page = (root / "docs" / "presets.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d+)% \|", page.partition("## What is paid")[2], re.M)
    assert sorted(name for name, _ in rows) == sorted(presets.__all__)
    for name, share in rows:
        data = MAILS if name == "email" else SUMS
        report = audit(getattr(presets, name)(), data, families=["void", "forms"])
        assert report.for_nothing == pytest.approx(int(share) / 100, abs=0.006), name


def _mail(name: str, matter: str) -> dict[str, Any]:
    ends = ("555 0100", "jo@example.com", "1 Elm St")
    letter = [f"Dear {name},", "", f"your {matter} is on its way.", "", "Yours", "Jo", *ends]
    return {
        "prompt": f"Answer {name}, who asks for a {matter}.",
        "answer": "\n".join(letter),
        "recipient": name,
        "keywords": [matter],
        **dict(zip(("phone", "email", "address"), ends, strict=True)),
    }


MAILS = [_mail("Ada", "refund"), _mail("Bo", "receipt")]
AMONG_OTHERS = {"dump-lines", "either-or", "in-comment", "in-link", "in-fence"}
DENIED = {"not-word", "neither", "denied"}
PROMPT_AGAIN = {"prompt", "prompt-in-form", "prompt-padding"}


def alarms(report: AuditReport) -> set[str]:
    return {finding.attack.name for finding in report.alarms}


def test_an_email_is_paid_by_its_words_alone() -> None:
    report = audit(presets.email(), MAILS)
    assert {finding.kind for finding in report.alarms} == {"out-earns"}
    assert alarms(report) >= AMONG_OTHERS | DENIED | PROMPT_AGAIN
    worst = max(f.worst.earned.total or 0.0 for f in report.alarms)
    assert (worst, report.right) == (3.0, 4.0)


@reward(bounds=(0.0, 1.0), weight=0.0)
def likeness(completion: str, answer: str) -> float:
    written, ideal = (text[:4000].lower().split() for text in (completion, answer))
    return SequenceMatcher(None, written, ideal).ratio()


def test_and_behind_a_reading_of_the_text_by_a_letter_at_least() -> None:
    """The gate that its page shows: names and keywords alone, and the prompt again, earn nothing.
    The letter with something around it is one still, for what only compares words."""
    parts = ("keyword", "recipient", "signature")
    gated = presets.email().with_parts(likeness=likeness).gate(*parts, on="likeness", at_least=0.6)
    report = audit(gated, MAILS, families=["dumps", "claims", "restated", "farming", "void"])
    assert not alarms(report) & PROMPT_AGAIN
    assert {f.attack.family for f in report.alarms} <= {"dumps", "claims"}
    stuffed = "Ada refund 555 0100 jo@example.com 1 Elm St"
    for rubric, total in ((presets.email(), 3.0), (gated, 0.0)):
        row = {name: value for name, value in MAILS[0].items() if name != "prompt"}
        assert rubric.score(completion=stuffed, **row).total == total
