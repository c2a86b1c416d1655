"""The data of the math benchmark: well-formed, without duplicates, labels consistent."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

CATEGORIES = [
    *("int_format", "fraction", "decimal", "latex_form", "boxed", "set_list", "tuple"),
    *("interval", "inequality", "matrix", "equation", "complex", "polynomial", "trig_log"),
    *("plus_minus", "scientific", "base", "multiple_choice", "text", "date_time", "unit"),
    *("repeating", "unicode", "chinese", "prose", "number_words", "tags", "hack", "restated"),
    "convention",
]


def rows(name: str) -> list[dict[str, Any]]:
    lines = (BENCHMARKS / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """The two modules that generate pairs, as one."""
    sys.path.insert(0, str(BENCHMARKS))
    answers, pairs = (importlib.import_module(name) for name in ("math_answers", "math_pairs"))
    sys.path.remove(str(BENCHMARKS))
    both = ModuleType("made")
    vars(both).update(vars(pairs) | vars(answers))
    return both


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


LABELLED = ("math_equivalence", "math_heldout", "math_heldout2", "math_heldout3", "math_heldout4")


@pytest.mark.parametrize("name", LABELLED)
def test_every_labelled_row_has_exactly_the_five_fields_and_of_their_types(name: str) -> None:
    types = {"gold": str, "completion": str, "expected": bool, "category": str, "note": str}
    for row in rows(name):
        assert {k: type(v) for k, v in row.items()} == types, row
        assert row["gold"].strip() == row["gold"] != ""
        assert row["completion"].strip()
        assert row["note"]


def test_the_labelled_set_is_large_and_covers_thirty_categories() -> None:
    counts = Counter(row["category"] for row in rows("math_equivalence"))
    assert list(counts) == CATEGORIES
    assert sum(counts.values()) >= 450


@pytest.mark.parametrize("category", [c for c in CATEGORIES if c != "restated"])
def test_every_category_has_right_and_wrong_rows(category: str) -> None:
    labels = Counter(r["expected"] for r in rows("math_equivalence") if r["category"] == category)
    assert labels[True] >= 2
    assert labels[False] >= 2


def test_all_seventeen_restatements_are_there_and_none_counts_as_right() -> None:
    labels = [r["expected"] for r in rows("math_equivalence") if r["category"] == "restated"]
    assert labels == [False] * 17


def test_no_labelled_pair_is_there_twice() -> None:
    labelled = [row for name in LABELLED for row in rows(name)]
    seen = Counter((r["gold"], " ".join(r["completion"].split())) for r in labelled)
    assert [pair for pair, times in seen.items() if times > 1] == []


def test_no_wrong_row_boxes_the_gold_as_it_is_written() -> None:
    apart = {"hack", "tags", "convention"}  # there something else makes it wrong
    for row in rows("math_equivalence"):
        if not row["expected"] and row["category"] not in apart:
            last = row["completion"].rpartition(r"\boxed")[2]
            assert not last.startswith(f"{{{row['gold']}}}"), row


def test_every_box_is_balanced_unless_the_row_is_about_that() -> None:
    for row in rows("math_equivalence"):
        if row["category"] != "hack":
            text = row["completion"].replace(r"\{", "").replace(r"\}", "")
            assert text.count("{") == text.count("}"), row


def test_golds_are_different_and_their_boxed_spelling_too_where_it_is_given() -> None:
    golds = rows("math_golds")
    assert len(golds) >= 150
    assert {frozenset(r) for r in golds} == {frozenset({"kind", "gold", "boxed"})}
    assert len({squeezed(r["gold"]) for r in golds}) == len(golds)


def test_generated_pairs_are_the_same_at_every_run(made: ModuleType) -> None:
    for make in (made.rewrites, made.changed, made.reflexive):
        assert make() == make()
    for make in (made.word_problems, made.problems):
        assert make(True) == make(True)
        assert make(False) == make(False)


def test_generated_sets_are_as_large_as_they_say(made: ModuleType) -> None:
    assert len(made.word_problems(True)) == 1319
    assert len(made.problems(True)) == len(made.problems(False)) == 500
    assert len(made.rewrites()) >= 1700
    assert len(made.changed()) >= 2400
    assert len(made.reflexive()) >= 1200


def test_right_word_problems_end_in_their_gold_and_wrong_ones_do_not(made: ModuleType) -> None:
    for right in (True, False):
        for pair in made.word_problems(right):
            last = pair.completion.rpartition("#### ")[2].replace(",", "")
            assert (last == pair.gold) is right
            assert pair.right is right


def test_wrong_problems_carry_another_answer(made: ModuleType) -> None:
    for pair in made.problems(False):
        assert rf"\boxed{{{pair.gold}}}" not in pair.completion


def test_a_changed_answer_differs_from_its_gold_in_one_character(made: ModuleType) -> None:
    for pair in made.changed():
        said = pair.completion.removeprefix(r"The answer is $\boxed{").removesuffix("}$.")
        if len(said) == len(pair.gold):
            assert sum(a != b for a, b in zip(said, pair.gold, strict=True)) == 1, pair
        else:
            assert said == "-" + pair.gold, pair


def test_no_generated_pair_is_there_twice(made: ModuleType) -> None:
    for make in (made.rewrites, made.changed, made.reflexive):
        found = make()
        assert len(set(found)) == len(found)
