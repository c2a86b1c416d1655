"""Whatever the judged text, every verifier gives a verdict: soon, the same each time, no fault of
ours; and it never earns anything by being hostile."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import AllOf, Not, Sample, Verifier
from rewardkit.verifiers import (
    Between,
    Choice,
    Contains,
    ExactText,
    HasNumber,
    IsInteger,
    Keywords,
    MarkerOnce,
    MathVerifier,
    MaxLength,
    NumberVerifier,
    Pattern,
    Proximity,
    ProximityBands,
    RegexFormat,
    TagFormat,
)

JUDGES: list[Verifier] = [
    NumberVerifier(),
    NumberVerifier(extract=Between("<SOLUTION>", "</SOLUTION>")),
    NumberVerifier(extract=Pattern(r"answer: (\S+)")),
    MathVerifier(),
    MathVerifier(extract="boxed", form="simplified"),
    Proximity(),
    Proximity(extract="whole", shape="exponential"),
    ProximityBands(extract="answer"),
    ExactText(),
    ExactText(extract="answer", casefold=True, gold="final"),
    IsInteger(),
    TagFormat("<think>...</think><answer>...</answer>"),
    TagFormat("<a>\n...\n</a>\n", strict=True, empty=True),
    RegexFormat(r"<think>(.*?)</think>\s*<answer>(.*?)</answer>"),
    MarkerOnce("<SOLUTION>"),
    Contains("needle", casefold=True, words=True),
    Keywords(all_of=("needle", "thread")),
]
ANY_STATUS: list[Verifier] = [HasNumber(), MaxLength(100), MaxLength(9, unit="words")]
BY_NAME = {f"{i}-{type(v).__name__}": v for i, v in enumerate(JUDGES + ANY_STATUS)}

MEGABYTE = 1_000_000
HOSTILE = {
    "empty": "",
    "spaces": " " * MEGABYTE,
    "letters": "x" * MEGABYTE,
    "digits": "7" * MEGABYTE,
    "nul": "\x00" * MEGABYTE,
    "surrogates": "\ud800\udfff" * 1000,
    "zero width": "\u200b" * MEGABYTE,
    "marks": "a" + "\u0323\u0301" * 400_000,
    "right to left": "\u202e41" * 1000,
    "other digits": "４２ ٤٢ ४२ 𝟒𝟐",
    "nested braces": "\\boxed{" + "{" * 10_000 + "41" + "}" * 10_000 + "}",
    "open boxes": "\\boxed{" * 10_000,
    "nested tags": "<answer>" * 10_000 + "x" + "</answer>" * 10_000,
    "look-alike tags": "＜think＞x＜/think＞‹answer›four‹/answer›",
    "upper-case tags": "<THINK>x</THINK><ANSWER>41</ANSWER>",
    "escaped tags": "&lt;answer&gt;41&lt;/answer&gt;",
    "thinking left open": "<think><answer>42</answer>",
    "answer in the thinking": "<think><answer>42</answer></think>",
    "nan": "<answer>nan</answer>",
    "inf": "<answer>inf</answer>",
    "huge": "<answer>1e999</answer>",
    "huger": "<answer>1e999999999</answer>",
    "long number": "<answer>" + "9" * 5000 + "</answer>",
    "power tower": "\\boxed{9^{9^{9^{9}}}}",
    "poison": "\\boxed{\\dfrac{5^{5^{5^{5^5}}-4}-5}{16}}",
    "code": "<answer>__import__('os').abort()</answer>",
    "format string": "<answer>{0.__class__} %s %n</answer>",
    "newlines": "\r\n\x0b\x0c\x1c\x85\u2028\u2029" * 10_000,
    "hashes": "#" * MEGABYTE,
    "dump": "<answer>" + ", ".join(map(str, range(1000))) + "</answer>",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("verifier", BY_NAME.values(), ids=BY_NAME.keys())
def test_hostile_text_is_judged_and_earns_nothing(verifier: Verifier, text: str) -> None:
    start = process_time()
    verdict = verifier.verify(Sample(completion=text, answer="42"))
    assert process_time() - start < 10.0
    if verifier in ANY_STATUS:
        assert verdict.status != "unscorable"
    else:
        assert verdict.status == "incorrect", verdict.reason
    assert len(pickle.dumps(verdict)) < 100_000  # a megabyte judged is not a megabyte kept
    verdict.reason.encode("utf-8", "surrogatepass")


TEXTS = st.text(max_size=40) | st.lists(
    st.sampled_from(
        [
            "<answer>",
            "</answer>",
            "<think>",
            "</think>",
            "\\boxed{",
            "}",
            "42",
            "####",
            " ",
            "\n",
            "needle",
            "thread",
            "B",
            "\x00",
            "\ud800",
            "\u200b",
            "^",
            "/",
            "%",
            "nan",
        ]
    ),
    max_size=12,
).map("".join)


@given(TEXTS)
def test_any_text_gets_the_same_verdict_every_time_and_everywhere(text: str) -> None:
    sample = Sample(completion=text, answer="42")
    for verifier in JUDGES + ANY_STATUS:
        copy = pickle.loads(pickle.dumps(verifier))
        first, again = verifier.verify(sample), copy.verify(sample)
        assert first.status in ("correct", "incorrect"), first.reason
        # Everything but the time that it took.
        assert again.with_evidence(seconds=0.0) == first.with_evidence(seconds=0.0)


def test_batches_threads_and_async_agree() -> None:
    samples = [
        Sample(completion=text, answer="42")
        for text in ("<answer>42</answer>", "\\boxed{41}", "42", "", "<think>", "x" * 1000)
    ]

    def statuses(judge: Callable[[Verifier], list[str]]) -> list[list[str]]:
        return [judge(verifier) for verifier in JUDGES]

    one = statuses(lambda v: [v.verify(s).status for s in samples])
    many = statuses(lambda v: [r.status for r in v.verify_many(samples)])
    waited = statuses(lambda v: [r.status for r in asyncio.run(v.averify_many(samples))])
    with ThreadPoolExecutor(8) as pool:
        threaded = statuses(lambda v: [r.status for r in pool.map(v.verify, samples)])
    assert one == many == waited == threaded


def test_combined_verifiers_do_not_turn_hostility_into_a_pass() -> None:
    sample = Sample(completion="\x00" * 1000, answer="42")
    assert AllOf((NumberVerifier(), MathVerifier())).verify(sample).status == "incorrect"
    # A gold without a value stays unknown, also when negated.
    assert Not(NumberVerifier()).verify(Sample(completion="4", answer="x")).status == "unscorable"


def test_chat_completions_are_judged_by_their_last_message() -> None:
    chat: list[dict[str, Any]] = [
        {"role": "assistant", "content": "<answer>41</answer>"},
        {"role": "user", "content": "sure?"},
        {"role": "assistant", "content": [{"type": "text", "text": "<answer>42</answer>"}]},
    ]
    assert NumberVerifier().verify(Sample(completion=chat, answer="42")).status == "correct"


def test_a_wrong_letter_never_passes_for_a_right_one() -> None:
    for text in HOSTILE.values():
        found = Choice().verify(Sample(completion=text, answer="D"))
        assert found.status == "incorrect"
