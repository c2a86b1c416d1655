"""Every verifier of ours, made once: what the laws and the audit are held against."""

from __future__ import annotations

from typing import Any

from rewardkit import AllOf, AnyOf, Column, Not
from rewardkit.sandbox import Limits
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

FORM = "<think>...</think><answer>...</answer>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
BANDS = {"exact": 3.0, "stripped": 1.5, "near": 0.5, "close": 0.25}

OURS: dict[str, Any] = {
    "number": NumberVerifier(),
    "math": MathVerifier(),
    "proximity": Proximity().reward(partial=True),
    "bands": ProximityBands().reward(correct=3.0, incorrect=-1.0, values=BANDS),
    "exact text": ExactText(),
    "exact text, unstripped": ExactText(strip=False),
    "exact text, final": ExactText(gold="final"),
    "exact text, in a box": ExactText(extract="boxed", gold="final"),
    "number, in tags": NumberVerifier(extract="answer"),
    "choice": Choice(),
    "code": CodeVerifier(Column("tests"), entry="f", limits=Limits(cpu_s=2.0)),
    "has number": HasNumber(),
    "integer": IsInteger(),
    "tag format": TagFormat(FORM),
    "tag format, strict": TagFormat(FORM, strict=True),
    "regex format": RegexFormat(r"<think>.*?</think>"),
    "regex format, whole": RegexFormat(r"\s*<think>.*?</think>\s*<answer>.*?</answer>\s*"),
    "marker": MarkerOnce("<answer>"),
    "contains": Contains("please"),
    "keywords": Keywords(all_of=("refund",)).reward(partial=True),
    "length": MaxLength(20).reward(0.0, -1.0, partial=True),
    "tag count": TagCount(TAGS),
    "all of": AllOf((NumberVerifier(), Contains("is"))),
    "all of, with a form": AllOf((NumberVerifier(extract="answer"), TagFormat(FORM))),
    "any of": AnyOf((NumberVerifier(extract="answer"), NumberVerifier(extract="boxed"))),
    "not": Not(Contains("sorry")),
}
