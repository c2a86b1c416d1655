"""A form is either there or not; empty, nested, doubled or look-alike tags never are."""

from __future__ import annotations

import pickle
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Rubric, Sample
from rewardkit.errors import UsageError
from rewardkit.verifier import Verifier
from rewardkit.verifiers import MarkerOnce, RegexFormat, TagFormat

THINK = TagFormat("<think>...</think><answer>...</answer>")
LINES = "<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n"


def status(verifier: Verifier, text: str) -> str:
    return verifier.verify(Sample(completion=text)).status


@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think><answer>4</answer>",
        "  <think>a</think>\n\n<answer>4</answer>\n",
        "<think>\na\nb\n</think> <answer> 4 </answer>",
        "<think>a < b > c <b></think><answer></b></answer>",
        "<think>.</think><answer>.</answer>",
        "<think>思</think><answer>４</answer>",
    ],
)
def test_the_form_with_any_text_in_it_is_correct(text: str) -> None:
    assert status(THINK, text) == "correct"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 times"),
        ("4", "0 times"),
        ("<think>a</think>", "0 times"),
        ("<think></think><answer>4</answer>", "nothing to be seen"),
        ("<think> \n\t</think><answer>4</answer>", "nothing to be seen"),
        ("<think>\u200b\u00ad\x00</think><answer>4</answer>", "nothing to be seen"),
        ("<think>\ud800</think><answer>4</answer>", "nothing to be seen"),
        ("<think>\u3164</think><answer>4</answer>", "nothing to be seen"),
        ("<think>a</think><answer></answer>", "nothing to be seen"),
        ("x<think>a</think><answer>4</answer>", "outside"),
        ("<think>a</think>x<answer>4</answer>", "outside"),
        ("<think>a</think>\u200b<answer>4</answer>", "outside"),
        ("<think>a</think><answer>4</answer>x", "outside"),
        ("<think>a</think><answer>4</answer></answer>", "2 times"),
        ("<answer>4</answer><think>a</think>", "outside"),
        ("<think><think>a</think><answer>4</answer>", "2 times"),
        ("<think>a</think><answer>4</answer><think>b</think><answer>5</answer>", "2 times"),
        ("<think>a<answer>4</answer></think>", "does not follow"),
        ("</think>a<think><answer>4</answer>", "outside"),
        ("＜think＞a＜/think＞<answer>4</answer>", "0 times"),
        ("<THINK>a</THINK><answer>4</answer>", "0 times"),
        ("<think >a</think><answer>4</answer>", "0 times"),
        ('<think id="1">a</think><answer>4</answer>', "0 times"),
        ("&lt;think&gt;a&lt;/think&gt;<answer>4</answer>", "0 times"),
        ("```<think>a</think><answer>4</answer>```", "outside"),
    ],
)
def test_anything_else_is_incorrect_and_says_why(text: str, why: str) -> None:
    verdict = THINK.verify(Sample(completion=text))
    assert verdict.status == "incorrect"
    assert why in verdict.reason


def test_empty_blocks_count_only_where_they_are_allowed() -> None:
    lenient = TagFormat(THINK.template, empty=True)
    assert status(lenient, "<think></think><answer></answer>") == "correct"
    assert status(lenient, "<think></think><answer></answer>x") == "incorrect"


def test_strict_takes_the_whitespace_of_the_template_and_no_other() -> None:
    strict = TagFormat(LINES, strict=True)
    good = "<reasoning>\na\nb\n</reasoning>\n<answer>\n4\n</answer>\n"
    assert status(strict, good) == "correct"
    assert status(strict, good.removesuffix("\n")) == "correct"  # generation stops at the last tag
    for bad in (
        good + "\n",
        "\n" + good,
        good.replace("</reasoning>\n<", "</reasoning>\n\n<"),
        good.replace("</reasoning>\n<", "</reasoning><"),
        good.replace("\n4", "4"),
        good.replace("4\n", "4"),
        good.replace("\n", "\r\n"),
        good.replace("\na\nb\n", "\n\n"),
    ):
        assert status(strict, bad) == "incorrect", bad


def test_markers_of_any_kind_make_a_template() -> None:
    custom = TagFormat("<start_working_out>...<end_working_out><SOLUTION>...</SOLUTION>")
    text = "<start_working_out>a<end_working_out>\n<SOLUTION>4</SOLUTION>"
    assert status(custom, text) == "correct"
    assert status(custom, text.replace("<end_working_out>", "")) == "incorrect"
    words = TagFormat("Thought: ... Answer: ...")
    assert status(words, "Thought: two and two\nAnswer: 4") == "correct"
    assert status(words, "Thought: Answer: 4") == "incorrect"
    assert status(words, "Answer: 4 Thought: x") == "incorrect"


@pytest.mark.parametrize(
    "template",
    ["", "...", "no body", "<a>", "<a>......</a>", "<a>... ...</a>", "<a>...<a>", "<a>...x<a>y"],
)
def test_a_template_that_cannot_be_met_is_refused(template: str) -> None:
    with pytest.raises(UsageError, match="template"):
        TagFormat(template)


BODY = st.text(st.characters(exclude_characters="<>"), min_size=1)


@given(BODY, BODY)
def test_every_visible_body_is_accepted_and_every_invisible_one_is_not(a: str, b: str) -> None:
    visible = all(any(c.isalnum() for c in body) for body in (a, b))
    verdict = status(THINK, f"<think>{a}</think><answer>{b}</answer>")
    if visible:
        assert verdict == "correct"
    if not a.strip() or not b.strip():
        assert verdict == "incorrect"


@given(st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "x", " "])))
def test_only_one_order_of_the_tags_is_the_form(parts: list[str]) -> None:
    text = "".join(parts)
    tags = [part for part in parts if part.startswith("<")]
    if status(THINK, text) == "correct":
        assert tags == ["<think>", "</think>", "<answer>", "</answer>"]


def test_marker_once_means_once() -> None:
    once = MarkerOnce("<SOLUTION>")
    assert status(once, "a <SOLUTION> b") == "correct"
    assert status(once, "a") == "incorrect"
    assert status(once, "<SOLUTION><SOLUTION>") == "incorrect"
    with pytest.raises(UsageError, match="empty"):
        MarkerOnce("")


def test_a_regular_expression_matches_in_full_unless_told_otherwise() -> None:
    pattern = r"<think>(.*?)</think>\s*<answer>(.*?)</answer>"
    full, part = RegexFormat(pattern), RegexFormat(pattern, full=False)
    good = "<think>a\nb</think>\n<answer>4</answer>"
    assert status(full, good) == "correct"
    assert status(full, good + "x") == "incorrect"
    assert status(part, "x" + good + "x") == "correct"
    assert status(part, "x") == "incorrect"


def test_a_pattern_that_does_not_compile_is_refused_when_written() -> None:
    with pytest.raises(UsageError, match="does not compile"):
        RegexFormat("(")
    with pytest.raises(UsageError, match="timeout_s"):
        RegexFormat("a", timeout_s=float("nan"))


def test_a_text_on_which_the_pattern_runs_away_is_incorrect() -> None:
    verdict = RegexFormat(r"(a|a|aa)+$", timeout_s=0.2).verify(Sample(completion="a" * 5000 + "!"))
    assert verdict.status == "incorrect"
    assert "ran past" in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "</think>" * 120_000,
        "<think>" + "x" * 1_000_000 + "</think><answer>4</answer>",
        "<think>" + "\u200b" * 1_000_000 + "</think><answer>4</answer>",
        "\x00" * 1_000_000,
    ],
)
def test_a_megabyte_ends_soon(text: str) -> None:
    start = process_time()
    status(THINK, text)
    assert process_time() - start < 10.0


def test_formats_survive_specs_and_pickling() -> None:
    made = (TagFormat(LINES, strict=True), RegexFormat("a", full=False), MarkerOnce("x"))
    for verifier in made:
        rubric = Rubric(part=verifier)
        assert Rubric.from_spec(rubric.to_spec()) == rubric
        assert pickle.loads(pickle.dumps(verifier)) == verifier
