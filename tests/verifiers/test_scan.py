"""Promise: a text searched in pieces gives what one search over all of it gives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit.verifiers import _scan

PIECE = _scan._PIECE
WORDS = re.compile("[ab]+c?|#{2}(?!#)")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan, "_PIECE", 16)


@settings(max_examples=200)
@given(text=st.text("abc# ", max_size=120), begin=st.integers(0, 20))
def test_matches_are_those_of_one_search(text: str, begin: int) -> None:
    found = [mark.span() for mark in _scan.in_pieces(WORDS, text, begin, reach=4)]
    assert found == [mark.span() for mark in WORDS.finditer(text, begin)]


TOKENS = ["\\boxed{", "\\fbox {", "{", "}", "\\{", "4", " ", "<answer>", "</answer>", "#### ", "\n"]


@settings(max_examples=100)
@given(text=st.lists(st.sampled_from(TOKENS), max_size=60).map("".join))
def test_marks_are_found_wherever_a_piece_ends(text: str) -> None:
    # A long filling before the text moves it over the edges of pieces of 512 characters.
    filled = "x" * 490 + text
    in_pieces = _all_marks(filled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_scan, "_PIECE", PIECE)
        assert in_pieces == _all_marks(filled)


def _all_marks(text: str) -> list[object]:
    return [
        _scan.boxed(text),
        _scan.tagged(text, "<answer>", "</answer>"),
        _scan.hashes(text),
        _scan.numbers(text),
    ]


@pytest.mark.parametrize("at", range(250, 264))
def test_a_marker_longer_than_any_of_ours_is_found_too(at: int) -> None:
    opening, closing = "<" + "=" * 400 + ">", "<" + "=" * 400 + "/>"
    text = "x" * at + opening + "4" + closing + "x" * 900
    start = at + len(opening)
    assert _scan.tagged(text, opening, closing) == ([(start, start + 1)], None)


def test_a_long_match_is_searched_for_a_few_times_and_not_at_every_piece() -> None:
    searched = 0

    class Counting:
        """The expression, and how much of the text it was given."""

        def finditer(self, text: str, at: int, stop: int) -> object:
            nonlocal searched
            searched += stop - at
            return re.compile("[0-9]+").finditer(text, at, stop)

    text = "1" * 100_000
    marks = list(_scan.in_pieces(Counting(), text))  # type: ignore[arg-type]
    assert [mark.span() for mark in marks] == [(0, 100_000)]
    assert searched < 4 * len(text)
