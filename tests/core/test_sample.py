"""Promise: a sample is what the row says, frozen, and its text is the last assistant message."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from rewardkit import Column, MissingColumnError, Sample, UsageError


def test_text_is_the_completion_or_its_last_assistant_message() -> None:
    assert Sample(completion="4").text == "4"
    chat: list[dict[str, Any]] = [
        {"role": "assistant", "content": "wait"},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": [{"type": "text", "text": "it is "}, {"text": "4"}]},
    ]
    assert Sample(completion=chat).text == "it is 4"


def test_a_completion_under_an_invented_role_is_judged_and_not_read_as_empty() -> None:
    assert Sample(completion=[{"role": "oracle", "content": "4"}]).text == "4"
    assert Sample(completion=[]).text == ""
    assert Sample(completion=[{"role": "assistant", "content": None}]).text == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": None}, {"type": "text", "text": "4"}], "4"),
        (["it is ", {"type": "text", "text": "4"}], "it is 4"),
        ([{"type": "image", "image": b"..."}, {"text": "4"}, None, 7, b"x"], "47"),
        ({"type": "text", "text": "4"}, "4"),
        (5, "5"),
        (0.5, "0.5"),
        (True, ""),
        (b"bytes", ""),
        ([], ""),
    ],
)
def test_a_message_of_whatever_content_has_a_text(content: Any, text: str) -> None:
    assert Sample(completion=[{"role": "assistant", "content": content}]).text == text


def test_prompt_text_is_the_last_user_message() -> None:
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "2+2?"}]
    assert Sample(completion="", prompt=prompt).prompt_text == "2+2?"
    assert Sample(completion="").prompt_text == ""


@pytest.mark.parametrize("bad", [None, 4, b"4", ["4"], [{"content": "4"}], {"role": "assistant"}])
def test_what_is_neither_text_nor_messages_is_refused(bad: object) -> None:
    with pytest.raises(UsageError, match="completion must be text or a list of messages"):
        Sample(completion=bad)  # type: ignore[arg-type]


def test_a_sample_cannot_be_changed_through_itself_or_through_the_callers_dict() -> None:
    columns = {"tests": 1}
    sample = Sample(completion="4", columns=columns)
    columns["tests"] = 2
    assert sample.columns["tests"] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample.completion = "5"  # type: ignore[misc]


def test_a_row_becomes_a_sample_with_the_rest_as_columns() -> None:
    row = {"prompt": "p", "answer": "a", "completion": "c", "level": 3}
    sample = Sample.from_row(row)
    assert (sample.prompt, sample.answer, sample.completion) == ("p", "a", "c")
    assert sample.columns == {"level": 3}
    assert Sample.from_row(row, completion="d").completion == "d"
    with pytest.raises(MissingColumnError, match="completion"):
        Sample.from_row({"prompt": "p"})


def test_a_column_may_not_hide_a_field() -> None:
    with pytest.raises(UsageError, match=r"Sample\(answer=\.\.\.\)"):
        Sample(completion="c", columns={"answer": 1})


def test_a_missing_column_lists_those_there_are() -> None:
    sample = Sample(completion="c", columns={"tests": 1, "level": 2})
    with pytest.raises(MissingColumnError) as caught:
        Column("test").of(sample, wanted_by="CodeVerifier")
    assert caught.value.available == ("answer", "completion", "level", "prompt", "tests")
    assert "CodeVerifier needs the column 'test'" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_hostile_characters_survive() -> None:
    text = "\x00 \ud800 \u202e"
    assert pickle.loads(pickle.dumps(Sample(completion=text))).text == text
