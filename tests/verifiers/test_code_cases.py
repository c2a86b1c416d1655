"""Tests as a dataset holds them: read exactly, carried through specs, refused by name if broken."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import Sample
from rewardkit.errors import MissingColumnError, UsageError
from rewardkit.sample import Column
from rewardkit.sandbox import Limits
from rewardkit.verifiers.code import Close, CodeVerifier

BROKEN: list[tuple[Any, str]] = [
    (None, "tests must be a list"),
    (3, "tests must be a list"),
    ([], "not empty"),
    ("", "no JSON"),
    ("[[1], 2", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ("[]", "not empty"),
    ('"[]"', "tests must be a list"),
    ({"inputs": [1]}, "tests must be a list"),
    ([[[1]]], r"test 1 must be \[given, expected\]"),
    ([[[1], 2, 3]], r"test 1 must be \[given, expected\]"),
    ([[[1], 2], "ab"], r"test 2 must be \[given, expected\]"),
    ([[1, 2]], "test 1: arguments must be a list, got int: 1"),
    ([["ab", 2]], "test 1: arguments must be a list"),
    ([[[1], 2], [{"n": 1}, 2]], "test 2: arguments must be a list"),
    ([[[object()], 2]], "object is not plain data"),
    ([[[1], object()]], "object is not plain data"),
    ([[[1], {"$set": [[1]]}]], "does not stand for a value"),
    ([[[1], {"$bytes": "xy"}]], "does not stand for a value"),
    ([[[1], "x" * 2**20]], "bytes"),
]


@pytest.mark.parametrize(("tests", "message"), BROKEN)
def test_broken_tests_in_a_row_are_the_datasets_fault(tests: Any, message: str) -> None:
    sample = Sample(completion="def f(n): return n", columns={"t": tests})
    verdict = CodeVerifier(Column("t"), entry="f").verify(sample)
    assert verdict.status == "unscorable"
    assert verdict.fault == "dataset"
    with pytest.raises(ValueError, match=message):
        raise ValueError(verdict.reason)


@pytest.mark.parametrize(("tests", "message"), BROKEN)
def test_broken_tests_in_the_code_are_refused_at_once(tests: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CodeVerifier(tests, entry="f")


def nested(levels: int) -> Any:
    value: Any = "0"
    for _ in range(levels):
        value = [value]
    return value


def test_a_test_that_nobody_could_pass_is_broken() -> None:
    key: Any = ()
    for _ in range(20):
        key = (key,)
    for expected in (nested(100), {key: 1}):
        with pytest.raises(UsageError, match="test 1"):
            CodeVerifier([[[], expected]], entry="f")
    with pytest.raises(UsageError, match="output_kb"):
        CodeVerifier([["", "x" * 2000]], kind="stdin", limits=Limits(output_kb=1))
    with pytest.raises(UsageError, match="stdin"):
        CodeVerifier([["", 5]], kind="stdin")


@pytest.mark.parametrize("entry", [None, "", 3, "f g", "f()", "a.b.c", "os.system('x')", ".f"])
def test_a_row_without_a_usable_entry_is_the_datasets_fault(entry: Any) -> None:
    sample = Sample(completion="x", columns={"e": entry})
    verdict = CodeVerifier([[[], 1]], entry=Column("e")).verify(sample)
    assert (verdict.status, verdict.fault) == ("unscorable", "dataset")


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(MissingColumnError, match="'tests'"):
        CodeVerifier(Column("tests"), entry="f").verify(Sample(completion="x"))
    assert CodeVerifier(Column("t"), entry=Column("e")).columns == {"t", "e"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"tests": [[[], 1]]},
        {"tests": [["", ""]], "kind": "stdin", "entry": "f"},
        {"tests": [[[], 1]], "entry": "f g"},
        {"tests": [[[], 1]], "entry": "f", "kind": "shell"},
        {"tests": [[[], 1]], "entry": "f", "compare": "lines"},
        {"tests": [[[], 1]], "entry": "f", "compare": "tokens"},
        {"tests": [[[], 1]], "entry": "f", "compare": {"rel": 2}},
        {"tests": [[[], 1]], "entry": "f", "extract": "boxed"},
        {"tests": [[[], 1]], "entry": "f", "limits": {"cpu_s": -1}},
        {"tests": [[[], 1]], "entry": "f", "limits": {"cpu": 1}},
        {"tests": [[[], 1]], "entry": "f", "sandbox": "process"},
        {"tests": [[[], 1]], "entry": "f", "timeout": 3},
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CodeVerifier(**arguments)


def test_json_text_and_lists_are_the_same_tests() -> None:
    tests = [[[1, "a", [None, True]], {"k": 1.5}], [[2, "b", []], {}]]
    assert CodeVerifier(json.dumps(tests), entry="f") == CodeVerifier(tests, entry="f")
    as_tuples = tuple((args, expected) for args, expected in tests)
    assert CodeVerifier(as_tuples, entry="f") == CodeVerifier(tests, entry="f")


def test_the_verifier_keeps_a_copy_of_its_tests() -> None:
    tests: list[Any] = [[[1], [2]]]
    verifier = CodeVerifier(tests, entry="f")
    tests[0][1].append(3)
    tests.append("junk")
    assert verifier == CodeVerifier([[[1], [2]]], entry="f")


@pytest.mark.parametrize(
    ("tagged", "value"),
    [
        ({"$tuple": [1, 2]}, (1, 2)),
        ({"$set": [1, {"$tuple": [1]}]}, {1, (1,)}),
        ({"$frozenset": []}, frozenset()),
        ({"$dict": [[1, "a"], [{"$tuple": [1]}, "b"]]}, {1: "a", (1,): "b"}),
        ({"$dict": [["$set", 1]]}, {"$dict": [("$set", 1)]}),
        ({"$bytes": "00ff"}, b"\x00\xff"),
        ({"$complex": [1, -2]}, 1 - 2j),
        ({"$float": "-inf"}, -math.inf),
        ({"$unknown": 1}, {"$unknown": 1}),
        ({"$set": [1], "other": 2}, {"$set": [1], "other": 2}),
    ],
)
def test_what_json_cannot_say_may_be_tagged(tagged: Any, value: Any) -> None:
    assert CodeVerifier([[[tagged], tagged]], entry="f") == CodeVerifier(
        [[[value], value]], entry="f"
    )


TAGS = ("$set", "$dict", "$float")


def escaped(value: dict[Any, Any]) -> dict[Any, Any]:
    """A dict that looks like a tag has to be written as one."""
    return {"$dict": list(value.items())} if len(value) == 1 and set(value) & set(TAGS) else value


keys = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
    | st.sampled_from(TAGS) | st.floats(allow_nan=False),
    lambda inner: st.tuples(inner) | st.frozensets(inner, max_size=3),
    max_leaves=3,
)  # fmt: skip
values = st.recursive(
    keys | st.complex_numbers(allow_nan=False) | st.sets(keys, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=2).map(escaped)
    ),
    max_leaves=8,
)


@given(st.lists(values, max_size=2), values)
def test_any_tests_survive_a_spec(arguments: list[Any], expected: Any) -> None:
    from rewardkit._verifier_spec import read_verifier, write_verifier

    verifier = CodeVerifier([[arguments, expected]], entry="f", compare=Close(rel=0.01))
    text = json.dumps(write_verifier(verifier), allow_nan=False)
    again = read_verifier(json.loads(text))
    assert again == verifier
    # As text, in which 1, 1.0 and true differ, and lists and tuples too.
    assert json.dumps(write_verifier(again)) == text
