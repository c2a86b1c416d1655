"""Fixture files: what they may say, and that a slip in one is found and named by its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit import DataError, SpecError
from rewardkit.testing import load_fixtures

Write = Callable[..., Path]

GOOD = {"id": "a", "completion": "4", "answer": "4", "expect": {"total": 1}}


def test_a_row_is_a_sample_and_what_is_expected_of_it(write: Write) -> None:
    row = {**GOOD, "prompt": "2 + 2", "level": 3, "approx": 0.5, "group": "g"}
    (fixture,) = load_fixtures(write(row)).rows
    assert (fixture.id, fixture.approx, fixture.group, fixture.line) == ("a", 0.5, "g", 2)
    assert fixture.sample.text == "4"
    assert fixture.sample.prompt == "2 + 2"
    assert fixture.sample.columns == {"level": 3}
    assert fixture.expect.total == 1.0


def test_a_chat_is_a_completion(write: Write) -> None:
    chat = [{"role": "assistant", "content": "4"}]
    assert load_fixtures(write({**GOOD, "completion": chat})).rows[0].sample.text == "4"


def test_yaml_holds_the_same_rows_and_knows_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.rewards.yaml"
    path.write_text(
        "- rubric: rubric.yaml\n"
        "- id: a\n  completion: '4'\n  expect: {total: 1, above: b}\n"
        "- id: b\n  completion: '5'\n  expect: {total: null}\n"
    )
    fixtures = load_fixtures(path)
    assert fixtures.header == {"rubric": "rubric.yaml", "args": {}}
    assert [(row.id, row.line) for row in fixtures.rows] == [("a", 2), ("b", 5)]
    assert fixtures.rows[0].expect.above == ("b",)
    assert "total" in fixtures.rows[1].expect.model_fields_set


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expect": {}}, "nothing is expected"),
        ({"expect": {"reason": ""}}, "nothing is expected"),
        ({"expect": {"totl": 1}}, "totl: Extra inputs"),
        ({"expect": {"total": True}}, "total"),
        ({"expect": {"total": "1"}}, "total"),
        ({"expect": {"total": float("nan")}}, "total"),
        ({"expect": {"total": {"mn": 1}}}, "mn"),
        ({"expect": {"total": {}}}, "a range needs min, max or both"),
        ({"expect": {"total": {"min": 2, "max": 1}}}, "min 2 is above max 1"),
        ({"expect": {"verdicts": {"right": "wrong"}}}, "'correct', 'incorrect', 'unscorable'"),
        ({"expect": {"above": "a"}}, "'a' is ordered against itself"),
        ({"expect": {"below": ["zz"]}}, "'zz', which is no row's id"),
        ({"approx": -1}, "approx"),
        ({"approx": True}, "approx"),
        ({"id": ""}, "id"),
        ({"id": "a\nb"}, "printable"),
        ({"id": "\x1b[2J"}, "printable"),
        ({"completion": 4}, "completion must be text or a list"),
        ({"prompt": 3}, "prompt must be text"),
    ],
)
def test_a_slip_in_a_row_is_named_by_its_line(
    write: Write, change: dict[str, Any], told: str
) -> None:
    other = {**GOOD, "id": "other"}
    with pytest.raises(DataError) as caught:
        load_fixtures(write(other, {**GOOD, **change}))
    assert "sums.rewards.jsonl:3" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("missing", ["id", "completion", "expect"])
def test_a_row_needs_its_keys(write: Write, missing: str) -> None:
    row = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(DataError, match=rf":2: .*{missing}"):
        load_fixtures(write(row))


def test_an_id_given_twice_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r":3: the id 'a' is given twice \(first on line 2\)"):
        load_fixtures(write(GOOD, GOOD))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"rubrik": "rubric.yaml"}, "rubrik"),
        ({"rubric": "rubric.yaml", "preset": "p"}, "either a rubric or a preset"),
        ({"rubric": "rubric.yaml", "args": {"a": 1}}, "args are a preset's"),
        ({"rubric": ""}, "rubric"),
        ({}, "either a rubric or a preset"),
    ],
)
def test_a_first_row_that_names_no_rubric(write: Write, header: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=":1: ") as caught:
        load_fixtures(write(GOOD, header=header))
    assert told in str(caught.value)


def test_a_file_without_a_first_row_loads_but_has_no_rubric(write: Write) -> None:
    fixtures = load_fixtures(write(GOOD, header="none"))
    with pytest.raises(DataError, match="the first row must name the rubric"):
        fixtures.rubric()


def test_an_unknown_preset_lists_those_there_are(write: Write) -> None:
    with pytest.raises(SpecError, match="unknown preset 'nope'; there are: "):
        load_fixtures(write(GOOD, header={"preset": "nope"})).rubric()


def test_a_rubric_that_is_not_there(write: Write) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*gone\.yaml"):
        load_fixtures(write(GOOD, header={"rubric": "gone.yaml"})).rubric()


def test_code_runs_only_where_it_is_allowed(write: Write) -> None:
    fixtures = load_fixtures(write(GOOD))
    with pytest.raises(SpecError, match="--allow-code"):
        fixtures.rubric()
    assert list(fixtures.rubric(allow_code=True)) == ["right", "brevity"]


def test_a_file_without_a_fixture(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no fixture in it"):
        load_fixtures(write())
    with pytest.raises(DataError, match="there is no file"):
        load_fixtures(tmp_path / "gone.rewards.jsonl")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n", "must hold a list"),
        ("", "must hold a list"),
        ("- [1]\n", ":1: a row must be a mapping"),
        ("- {1: 2}\n", ":1: a row must be a mapping"),
        ("- {a: 1, a: 2}\n", "'a' is given twice"),
        ("- {a: 1\n", "not valid YAML"),
        ("- \x00", "not valid YAML"),
        ("[" * 10_000, "not valid YAML"),
        ("- !!python/object/apply:os.system [id]\n", "not valid YAML"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.rewards.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        load_fixtures(path)
