"""Extraction takes the last answer that was committed to, says what it refused, and never guesses."""

from __future__ import annotations

import pickle
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.errors import UsageError
from rewardkit.verifiers.extraction import MAX_REFUSED, Between, Pattern, extract, gold_text

SOLUTION = Between("<SOLUTION>", "</SOLUTION>")
WORKING = Between("<start_working_out>", "<end_working_out>")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>4</answer>", "4"),
        ("<answer>\n 4 \n</answer>", "4"),
        ("<answer>3</answer> no, <answer>4</answer>", "4"),
        ("<answer>see <answer>4</answer>", "4"),
        (r"\boxed{4}", "4"),
        (r"\boxed {4}", "4"),
        (r"\fbox{4}", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{4}}", "4"),
        (r"$\boxed{ $\boxed{4}$ }$", "4"),
        (r"\boxed{3}, better \boxed{4}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("so\n#### 4\n", "4"),
        ("####4", "4"),
        ("#### 3\n#### 4", "4"),
        ("The answer is 4.", "4"),
        ("The answer is 4.5. Done.", "4.5"),
        ("the final answer is: **4**", "4"),
        ("Answer: 4", "4"),
        ("**Answer:** 4", "4"),
        ("The answer is $4$ apples.", "4"),
        ("The answer is $4 each.", "$4"),
        (r"The answer is \(x = 4\), so", "x = 4"),
        ("所以答案是12。", "12"),
        ("答案：4", "4"),
        ("It is **4** after 3 tries", "4"),
        ("**Step 1** gives 4", "4"),
        (r"$\boxed{4}$ and so $\boxed{4}$", "4"),
        (r"$\boxed{3}$, $\boxed{4}$", r"\boxed{3}$, $\boxed{4}"),
        (r"\boxed{3} and \boxed{4}", r"\boxed{3} and \boxed{4}"),
        (r"$x=\boxed{1}$ or $x=\boxed{3}$", r"x=\boxed{1}$ or $x=\boxed{3}"),
        (r"$a_1=\boxed{1}$, $a_2=\boxed{3}$", r"a_1=\boxed{1}$, $a_2=\boxed{3}"),
        (r"\boxed{1} papers and \boxed{2} bins", r"\boxed{1} papers and \boxed{2}"),
        (r"\boxed{1}, for part (a) and \boxed{2}", r"\boxed{1}, for part (a) and \boxed{2}"),
        (r"\boxed{5} and therefore the answer is \boxed{4}", "4"),
        (r"\boxed{5} no no no no no \boxed{4}", "4"),
        (r"\\boxed{4}", "4"),  # escaped once too often
        (r"so \boxed{255}. The final answer is $10,455$. I hope it is correct.", "10,455"),
        (r"so \boxed{4}. I hope the final answer is right.", "4"),
        ("The answers are 3 and 4.", "3 and 4"),
        ("The answer is $4$ since 2 + 2 = 4.", "4"),
        ("故选 B。", "B"),
        ("The answer is 4 apples.", "4"),
        ("2 and 2 make 4.", "4"),
        ("that is 1,234.50, thanks", "1,234.50"),
        ("it costs $4", "4"),
        ("it is -4", "-4"),
        ("10-4", "4"),
        ("half: 1/2", "1/2"),
        ("half: 1 / 2", "1 / 2"),
        ("about 20 %", "20 %"),
        # An answer tag comes before a box, a box before ####, and so on.
        (r"\boxed{3} <answer>4</answer>", "4"),
        ("#### 3\n\\boxed{4}", "4"),
        ("The answer is 3.\n#### 4", "4"),
        ("The answer is 4. I had 3 tries", "4"),
    ],
)
def test_auto_takes_the_answer(text: str, answer: str) -> None:
    found = extract(text)
    assert found.text == answer
    assert found.span is not None
    assert text[slice(*found.span)] == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "no number here",
        "４２ and ٤٢",  # digits of other scripts are no number
        "<answer></answer> 4",
        "<answer> \u200b\u2060 </answer> 4",
        r"\boxed{} but 4",
        "<answer>4",
        "<answer>3</answer> or <answer>4",
        r"\boxed{4",
        r"\boxed{3} and \boxed{4",
        r"\boxed{3 \boxed{4}",
        "####\n4 apples",
    ],
)
def test_a_broken_answer_is_no_answer_and_no_other_number_is_taken(text: str) -> None:
    found = extract(text)
    assert found.text is None
    assert found.reason.startswith("no answer")


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{40}\boxed{41}\boxed{42}",
        r"$\boxed{40}$ $\boxed{42}$",
        r"\boxed{40}" + "\n\n" + r"\boxed{42}",
        "".join(rf"\boxed{{{n}}}" for n in range(10, 43)),
    ],
)
def test_boxes_side_by_side_commit_to_nothing(text: str) -> None:
    found = extract(text)
    assert found.text is None
    assert "side by side" in found.reason
    assert found.refused


def test_the_order_can_be_set() -> None:
    text = r"**3** and \boxed{4}, the answer is 5"
    assert extract(text, ("phrase", "boxed")).text == "5"
    assert extract(text, ("bold", "boxed")).text == "3"
    assert extract("nothing", ("bold", "boxed")).text is None
    assert extract(r"so $x^2$", ("boxed", "latex")).text == "x^2"
    assert extract(r"It costs \$5 each, so $x=5$ it is", "latex").text == "x=5"


def test_policies_for_several_boxes_and_for_retraction() -> None:
    corrected = r"\boxed{3}. That fails for n = 2, so \boxed{4}"
    assert extract(corrected).text == "4"
    assert extract(corrected, boxes="only").text is None
    assert extract(r"\boxed{4}, as said: \boxed{4}", boxes="only").text == "4"
    taken_back = r"\boxed{4}. Actually no, 17."
    assert extract(taken_back).text == "4"
    found = extract(taken_back, retraction="refuse")
    assert found.text is None
    assert "taken back" in found.reason


def test_a_heading_of_markdown_is_no_answer_in_auto() -> None:
    text = "#### Step 1\nadd them\n#### Conclusion\nThe answer is 4."
    assert extract(text).text == "4"
    assert extract(text, "hash").text == "Conclusion"
    assert extract("##### 5\n4").text == "4"


def test_a_negation_in_prose_does_not_give_the_number() -> None:
    assert extract("The answer is definitely not 42.").text == "definitely not 42"
    assert extract("The answer is 41 or 42.").text == "41 or 42"
    assert extract("The answer is 42 million.").text == "42 million"


def test_a_dump_of_numbers_is_one_token() -> None:
    assert extract("1,2,3,42").text == "1,2,3,42"


def test_only_what_follows_the_thinking_counts() -> None:
    assert extract("<think>5</think> 4").text == "4"
    assert extract("5</think> 4").text == "4"  # the template opened the block in the prompt
    assert extract("<think><answer>4</answer></think>").text is None
    assert extract("<answer>4</answer></think>").text is None
    assert extract("<think>a</think> 3 </think> 4").text == "4"


def test_a_thinking_block_left_open_has_no_answer() -> None:
    for text in ("<think>4", "<think>a</think><answer>4</answer><think>", "<think>\\boxed{4}"):
        found = extract(text)
        assert found.text is None
        assert "never closed" in found.reason


def test_thinking_markers_can_be_others_or_none() -> None:
    text = "<start_working_out>5<end_working_out><SOLUTION>4</SOLUTION>"
    assert extract(text, SOLUTION, WORKING).text == "4"
    assert extract("<start_working_out><SOLUTION>4</SOLUTION>", SOLUTION, WORKING).text is None
    assert extract("<think>4", "last_number", None).text == "4"


def test_refused_candidates_are_listed_last_first() -> None:
    found = extract(r"\boxed{1} not \boxed{2} but \boxed{3}")
    assert [refused.text for refused in found.refused] == ["2", "1"]
    assert found.refused[0].span == (21, 22)
    many = extract("".join(f"<answer>{i}</answer>" for i in range(1000)))
    assert many.text == "999"
    assert len(many.refused) == MAX_REFUSED


def test_evidence_is_bounded() -> None:
    found = extract("<answer>" + "x" * 1_000_000 + "</answer>")
    assert len(found.evidence["text"]) <= 500
    assert found.span == (8, 1_000_008)


def test_each_rule_alone() -> None:
    text = r"<answer>1</answer> \boxed{2} #### 3"
    assert extract(text, "answer").text == "1"
    assert extract(text, "boxed").text == "2"
    assert extract(text, "hash").text == "3"
    assert extract(text, "last_number").text == "3"
    assert extract(text, "whole").text == text
    assert extract("  x ", "whole").span == (2, 3)
    assert extract("x 4", "boxed").text is None


def test_raw_keeps_the_whitespace_that_text_loses() -> None:
    found = extract("<answer> 4\n</answer>")
    assert (found.text, found.raw) == ("4", " 4\n")


def test_pattern_takes_its_group_of_the_last_match() -> None:
    assert extract("a=1 a=2", Pattern(r"a=(\d)")).text == "2"
    assert extract("a=1\nb", Pattern(r"a=.*", group=0)).text == "a=1\nb"
    assert extract("b", Pattern(r"a=(\d)")).text is None


def test_a_pattern_that_runs_away_ends_without_an_answer() -> None:
    found = extract("a" * 5000 + "!", Pattern(r"((?:a|a|aa)+)$", timeout_s=0.2))
    assert found.text is None
    assert "ran past" in found.reason


def test_mistakes_are_refused_when_written() -> None:
    with pytest.raises(UsageError, match="does not compile"):
        Pattern("(")
    with pytest.raises(UsageError, match="group 2"):
        Pattern("(a)", group=2)
    with pytest.raises(UsageError, match="empty"):
        Between("", "x")
    with pytest.raises(UsageError, match="timeout_s"):
        Pattern("(a)", timeout_s=0.0)


def test_markers_may_be_equal_or_contain_each_other() -> None:
    assert extract("** a ** b **4**", Between("**", "**")).text == "4"
    assert extract("<<4<", Between("<<", "<")).text == "4"


def test_choices_pickle_and_compare() -> None:
    for how in (SOLUTION, Pattern("(a)")):
        assert pickle.loads(pickle.dumps(how)) == how


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("42", "42"),
        (" 42 ", "42"),
        ("He has 40 + 2 = 42.\n#### 42", "42"),
        (r"Then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{1", r"\boxed{1"),
        (r"\boxed{1}\boxed{2}", "1 ; 2"),  # a gold commits to all that it boxes
        (r"\boxed{1}, then \boxed{2}", "2"),
        ("", ""),
        ("####", ""),
    ],
)
def test_gold_text_is_the_answer_at_the_end_of_a_solution(gold: str, answer: str) -> None:
    assert gold_text(gold) == answer


HUGE = {
    "braces": r"\boxed{" + "{" * 500_000,
    "boxes left open": r"\boxed{" * 140_000,
    "boxes in boxes": r"\boxed{" * 70_000 + "4" + "}" * 70_000,
    "boxes": r"\boxed{4}" * 110_000,
    "tags": "<answer>4</answer>" * 55_000,
    "opened tags": "<answer>" * 120_000,
    "closed tags": "</answer>" * 110_000,
    "thinking": "<think>" * 70_000 + "</think>" * 60_000,
    "hashes": "#### 4 " * 140_000,
    "one long row of hashes": "#" * 1_000_000,
    "phrases": "the answer is 4 " * 60_000,
    "phrases without end": "answer:" * 140_000,
    "digits": "1" * 1_000_000,
    "commas": "1," * 500_000,
    "spaces": r"\boxed" + " " * 1_000_000,
    "zero width": "<answer>" + "\u200b" * 1_000_000 + "</answer>",
    "nothing": "x" * 1_000_000,
    "slashes": "1/" * 500_000,
    "signs": "-" * 1_000_000,
    "stars": "*" * 1_000_000,
    "bold": "**1" * 300_000,
    "dollars": "$1" * 500_000,
    "formulas": r"\(1" * 300_000,
    "joined boxes": r"\boxed{4}, " * 90_000,
    "boxes joined by words": r"\boxed{4} apples and " * 50_000,
    "names of boxes": r"x=" * 100 + r"x=\boxed{4} or " * 60_000,
    "final answers": r"\boxed{4}" + " final answer is " * 60_000,
    "escaped dollars": r"\$1" * 330_000,
    "one dollar": "$" + "\\" * 1_000_000,
    "retractions": r"\boxed{4}" + " actually" * 100_000,
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_a_megabyte_of_anything_ends_soon(text: str) -> None:
    start = process_time()
    extract(text)
    assert process_time() - start < 10.0


PIECES = st.sampled_from(
    [
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "\\boxed{",
        "{",
        "}",
        "\\",
        "####",
        "4",
        "-",
        "answer is ",
        "answer: ",
        " ",
        "\n",
        "x",
        ".",
        ",",
        "/",
        "%",
        "$",
        "\x00",
        "\ud800",
        "４",
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["auto", "boxed", "hash"]))
def test_any_text_gives_an_answer_within_it_or_a_reason(text: str, how: str) -> None:
    found = extract(text, how)  # type: ignore[arg-type]
    assert found == extract(text, how)  # type: ignore[arg-type]
    if found.text is None:
        assert found.reason
        assert found.span is None
    else:
        assert found.span is not None
        assert text[slice(*found.span)] == found.text != ""
    for refused in found.refused:
        assert refused.span is not None
        assert text[slice(*refused.span)] == refused.text
