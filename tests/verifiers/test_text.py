"""Text is compared by what it says; an empty gold is nobody's answer."""

from __future__ import annotations

import pickle
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Column, Rubric, Sample, Verdict
from rewardkit.errors import MissingColumnError, UsageError
from rewardkit.verifiers import Contains, ExactText, Keywords, MaxLength


def verdict(verifier: Any, text: str, answer: Any = None, **columns: Any) -> Verdict:
    sample = Sample(completion=text, answer=answer, columns=columns)
    found: Verdict = verifier.verify(sample)
    return found


def test_exact_text_ignores_only_what_it_says() -> None:
    assert verdict(ExactText(), " Paris\n", "Paris").status == "correct"
    assert verdict(ExactText(), "paris", "Paris").status == "incorrect"
    assert verdict(ExactText(casefold=True), "PARIS", "Paris").status == "correct"
    assert verdict(ExactText(strip=False), " Paris", "Paris").status == "incorrect"
    assert verdict(ExactText(), "It is Paris", "Paris").status == "incorrect"
    assert verdict(ExactText(extract="answer"), "<answer>Paris</answer>", "Paris").status == (
        "correct"
    )
    assert verdict(ExactText(), "<think>x</think> Paris", "Paris").status == "correct"


def test_composed_and_decomposed_letters_are_the_same_letters() -> None:
    assert verdict(ExactText(), "cafe\u0301", "caf\u00e9").status == "correct"
    assert verdict(Contains("caf\u00e9"), "a cafe\u0301 au lait").status == "correct"
    # NFC keeps look-alikes apart: full-width letters are no letters of the gold.
    assert verdict(ExactText(), "ｃafé", "café").status == "incorrect"


def test_the_final_gold_is_what_follows_the_hashes() -> None:
    final = ExactText(extract="answer", gold="final")
    assert verdict(final, "<answer>4</answer>", "2 + 2\n#### 4").status == "correct"
    assert verdict(ExactText(), "4", "2 + 2\n#### 4").status == "incorrect"


def test_a_list_of_golds_accepts_any_of_them() -> None:
    assert verdict(ExactText(), "b", ["a", "b"]).status == "correct"
    assert verdict(ExactText(), "c", ["a", "b"]).status == "incorrect"
    assert verdict(ExactText(), "4", 4).status == "correct"


@pytest.mark.parametrize("gold", ["", "  ", None, [], [""], ["a", ""], {"a": 1}, True, b"x"])
def test_an_empty_gold_is_the_fault_of_the_dataset(gold: Any) -> None:
    found = verdict(ExactText(), "", gold)
    assert (found.status, found.fault) == ("unscorable", "dataset")


def test_gold_ints_of_any_size_never_raise() -> None:
    assert verdict(ExactText(), "x", 10**5000).status == "unscorable"


def test_contains_reads_its_text_from_the_row() -> None:
    here = Contains(Column("name"), casefold=True)
    assert verdict(here, "Dear ALICE,", name="Alice").status == "correct"
    assert verdict(here, "Dear Bob,", name="Alice").status == "incorrect"
    assert here.columns == {"name"}
    with pytest.raises(MissingColumnError, match="name"):
        verdict(here, "Dear Bob,", other="x")
    nothing: list[Any] = ["", " ", None, [], {}]
    for empty in nothing:
        found = verdict(here, "anything", name=empty)
        assert (found.status, found.fault) == ("unscorable", "dataset")


def test_contains_can_ask_for_whole_words() -> None:
    words = Contains("Al", words=True)
    assert verdict(words, "also, dear Al, ...").status == "correct"
    assert verdict(words, "also").status == "incorrect"
    assert verdict(words, "Alal Al1 1Al").status == "incorrect"
    assert verdict(Contains("c++", words=True), "I write c++, mostly").status == "correct"


def test_contains_takes_any_run_of_whitespace_for_a_space() -> None:
    assert verdict(Contains("12 Main St"), "at 12\n  Main\tSt").status == "correct"


def test_contains_can_look_at_the_last_lines_only() -> None:
    last = Contains("555", last_lines=2)
    assert verdict(last, "Hello\n\nBob\n555\n\n").status == "correct"
    assert verdict(last, "555\nHello\nBob").status == "incorrect"


def test_contains_looks_only_after_the_thinking() -> None:
    assert verdict(Contains("Bob"), "<think>Bob</think> hello").status == "incorrect"
    assert verdict(Contains("Bob"), "<think>Bob").status == "incorrect"
    assert verdict(Contains("Bob", thinking=None), "<think>Bob").status == "correct"


def test_what_everything_contains_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        Contains("")
    with pytest.raises(UsageError, match="at least one"):
        Keywords()
    with pytest.raises(UsageError, match="empty"):
        Keywords(all_of=("a", " "))
    with pytest.raises(UsageError):
        MaxLength(-1)


def test_keywords_give_credit_for_those_that_are_there() -> None:
    both = Keywords(all_of=("refund", "invoice"))
    assert verdict(both, "Your Refund and the invoice.").status == "correct"
    half = verdict(both, "your refund")
    assert (half.status, half.credit) == ("incorrect", 0.5)
    assert "invoice" in half.reason
    assert verdict(both, "nothing").credit == 0.0
    assert verdict(both, "refunds, invoices").credit == 0.0
    assert verdict(Keywords(all_of=("refund",), words=False), "refunds").status == "correct"


def test_any_of_the_keywords_is_enough_where_that_is_asked() -> None:
    any_of = Keywords(any_of=("refund", "invoice"))
    assert verdict(any_of, "an invoice").status == "correct"
    assert verdict(any_of, "a bill").status == "incorrect"
    mixed = Keywords(all_of=("a",), any_of=("b", "c"))
    assert verdict(mixed, "a c").status == "correct"
    assert verdict(mixed, "a").credit == 0.5


def test_keywords_come_from_the_row_as_a_list_or_one_text() -> None:
    here = Keywords(all_of=Column("words"))
    assert verdict(here, "a b", words=["a", "b"]).status == "correct"
    assert verdict(here, "a", words="a").status == "correct"
    for empty in ([], [""], "", None, [["a"]]):
        assert verdict(here, "a", words=empty).fault == "dataset"


def test_length_in_characters_and_words() -> None:
    assert verdict(MaxLength(3), "abc").status == "correct"
    assert verdict(MaxLength(3), "abcd").credit == 0.75
    assert verdict(MaxLength(2, unit="words"), "a  b\n").status == "correct"
    assert verdict(MaxLength(2, unit="words"), "a b c").status == "incorrect"
    assert verdict(MaxLength(Column("most")), "abc", most=2).status == "incorrect"
    assert verdict(MaxLength(Column("most")), "abc", most="2").fault == "dataset"
    thinking = MaxLength(3, thinking={"start": "<think>", "end": "</think>"})  # type: ignore[arg-type]
    assert verdict(thinking, "<think>long</think>abc").status == "correct"
    assert verdict(thinking, "<think>").status == "incorrect"
    assert verdict(MaxLength(0), "").status == "correct"


@given(st.text(max_size=50), st.integers(0, 60))
def test_shorter_is_never_worse(text: str, limit: int) -> None:
    longer, shorter = verdict(MaxLength(limit), text + "x"), verdict(MaxLength(limit), text)
    assert (shorter.credit or 0.0) >= (longer.credit or 0.0)


@given(st.text(max_size=30), st.text(min_size=1, max_size=10), st.text(max_size=30))
def test_a_text_contains_what_is_written_into_it(before: str, word: str, after: str) -> None:
    found = verdict(Contains(f"a{word}", thinking=None), f"{before} a{word} {after}")
    assert found.status == "correct"


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0323\u0301" * 500_000,
        "a\u0301" * 500_000,
        "aaaa " * 200_000,
        "\n" * 1_000_000,
        "\ud800" * 1_000_000,
        "ﷺ" * 1_000_000,
        "\x00" * 1_000_000,
        "ΐ" * 500_000,
    ],
    ids=range(8),
)
def test_a_megabyte_of_anything_ends_soon(text: str) -> None:
    start = process_time()
    for verifier in (
        ExactText(casefold=True),
        Contains("aaab", casefold=True, words=True, last_lines=3),
        Keywords(all_of=("aa", "aaa aaa"), any_of=("b",)),
        MaxLength(10),
    ):
        assert verdict(verifier, text, "gold").status == "incorrect"
    verdict(MaxLength(10, unit="words"), text)
    assert process_time() - start < 20.0


def test_text_verifiers_survive_specs_and_pickling() -> None:
    for verifier in (
        ExactText(gold="final"),
        Contains(Column("name"), last_lines=3),
        Keywords(all_of=("a",), any_of=Column("words")),
        MaxLength(Column("most"), unit="words"),
    ):
        rubric = Rubric(part=verifier)
        assert Rubric.from_spec(rubric.to_spec()) == rubric
        assert pickle.loads(pickle.dumps(verifier)) == verifier
