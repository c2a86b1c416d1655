"""When a result is the expected one: Python's ``==`` with three stated exceptions."""

from __future__ import annotations

import math
import time
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as clock
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.errors import UsageError
from rewardkit.verifiers.code import Close
from rewardkit.verifiers.code.codec import decode, encode
from rewardkit.verifiers.code.compare import same_value
from rewardkit.verifiers.code.output import same_output
from rewardkit.verifiers.code.received import PLAIN, READ
from rewardkit.verifiers.code.show import MAX_SHOWN, show

NAN = math.nan
MIB = 1 << 20


def same(expected: Any, got: Any, how: Any = "auto") -> bool:
    """As the verifier does it: what was returned arrives as bytes."""
    return same_value(expected, decode(encode(got, MIB), READ), how)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (2, 2.0),
        (2.0, 2),
        (True, 1),
        (1.0, True),
        (0, False),
        (2, 2 + 0j),
        ([1, 2], (1, 2)),
        ((1, (2, [3])), [1, [2, (3,)]]),
        (NAN, NAN),
        ([NAN], [NAN]),
        (math.inf, math.inf),
        (0.0, -0.0),
        (0.3, 0.1 + 0.2),
        (1e300, 1e300 * (1 + 1e-12)),
        ({"a": 1, "b": [2]}, {"b": (2,), "a": 1.0}),
        ({1: "x"}, {1.0: "x"}),
        ({1: "x"}, {True: "x"}),
        ({(1, 2): 3}, {(1.0, 2): 3}),
        ({1, 2, "a"}, {2, "a", 1}),
        ({1, 2}, frozenset({1, 2})),
        ({frozenset({1, 2})}, {frozenset({2, 1})}),
        ({NAN}, {NAN}),
        ({0.0}, {-0.0}),
        (set(), set()),
        ({}, {}),
        ([], ()),
        ("", ""),
        (None, None),
        (b"x", b"x"),
        ("\ud800", "\ud800"),
        (10**500, 10**500),
        (Decimal("1.50"), Decimal("1.5")),
        (Decimal("2"), 2),
        (2.0, Decimal("2.00")),
        (0.5, Decimal("0.5")),
        (0.5, Fraction(1, 2)),
        (Fraction(4, 2), 2),
        (Decimal("0.1"), Fraction(1, 10)),
        (Decimal("NaN"), NAN),
        (Decimal("-Infinity"), -math.inf),
        (Decimal("0E+5"), 0),
        (Decimal("1E+500"), Decimal("10E+499")),
        ({Decimal("0.5"): 1}, {Fraction(1, 2): 1}),
        ({1, 2}, {Decimal(1), Fraction(2)}),
        (date(2020, 1, 2), date(2020, 1, 2)),
        (
            datetime(2020, 1, 2, 3, tzinfo=UTC),
            datetime(2020, 1, 2, 5, tzinfo=timezone(timedelta(hours=2))),
        ),
        (timedelta(days=1), timedelta(hours=24)),
        (
            {datetime(2020, 1, 2, 3, tzinfo=UTC)},
            {datetime(2020, 1, 2, 2, tzinfo=timezone(-timedelta(hours=1)))},
        ),
        ([1, 2], np.array([1, 2])),
        ([[1.5], [2.5]], np.array([[1.5], [2.5]])),
        (5, np.array(5)),
        ([True], np.array([1])),
    ],
)
def test_equal(expected: Any, got: Any) -> None:
    assert same(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (2, 3),
        (2, "2"),
        ("2", 2),
        (None, False),
        (None, 0),
        (0, None),
        ("", None),
        ([], None),
        ([], {}),
        ([], ""),
        ({}, set()),
        (set(), {}),
        ([1, 2], [2, 1]),
        ([1, 2], [1, 2, 3]),
        ([1, 2, 3], [1, 2]),
        ([1, 2], {1, 2}),
        ({1, 2}, [1, 2]),
        ({1, 2}, {1, 3}),
        ({1, 2}, {1, 2, 3}),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a"}),
        ({1: "x"}, {"1": "x"}),
        ("x", b"x"),
        ("ab", ["a", "b"]),
        (NAN, 0.0),
        (0.0, NAN),
        (1.0, math.inf),
        (math.inf, 1.0),
        (math.inf, -math.inf),
        (0.3, 0.30001),
        (0.0, 1e-300),  # a relative tolerance of nothing is nothing
        (1_000_000_000, 1_000_000_000.5),  # whole numbers are exact
        (1_000_000_000.0, 1_000_000_001),
        (10**500, 10**500 + 1),
        (1.5, 10**400),
        (2, 2 + 1j),
        ((1, 2), "(1, 2)"),
        ({(1, 2): 3}, {(1, 3): 3}),
        ({frozenset({1})}, {frozenset({2})}),
        ({frozenset({1})}, {(1,)}),
        (0.1, Decimal("0.1")),
        (0.1, Fraction(1, 10)),
        (1 / 3, Fraction(1, 3)),
        (Decimal("1.5"), "1.5"),
        (Decimal("0.5"), 0.50001),
        (Fraction(1, 3), Fraction(1, 4)),
        (("ratio", 1, 3), Fraction(1, 3)),
        (Fraction(1, 3), ("ratio", 1, 3)),
        ({Fraction(1, 3)}, {("ratio", 1, 3)}),
        (date(2020, 1, 2), datetime(2020, 1, 2)),
        (datetime(2020, 1, 2), date(2020, 1, 2)),
        (datetime(2020, 1, 2), datetime(2020, 1, 2, tzinfo=UTC)),
        (clock(1), timedelta(hours=1)),
        ("2020-01-02", date(2020, 1, 2)),
        ([1, 2], np.array([1, 3])),
        ([1, 2], np.array([[1, 2]])),
        ("ab", np.array(["a", "b"])),
        ({1}, np.array([1])),
    ],
)
def test_not_equal(expected: Any, got: Any) -> None:
    assert not same(expected, got)


def test_a_dict_that_names_one_key_twice_equals_none() -> None:
    twice = b"d\x02\0\0\0" + encode("a", 99) + encode(1, 99) + encode("a", 99) + encode(1, 99)
    got = decode(twice, READ)
    assert not same_value({"a": 1, "b": 1}, got, "auto")
    assert not same_value({"a": 1}, got, "auto")
    both = decode(b"e\x02\0\0\0" + encode(1, 99) + encode(True, 99), READ)
    assert not same_value({1, 2}, both, "auto")


def test_keys_that_could_not_be_keys_equal_none() -> None:
    got = decode(b"e\x01\0\0\0" + encode([1], 99), READ)
    assert not same_value({(1,)}, got, "auto")
    got = decode(b"d\x01\0\0\0" + encode({1}, 99) + encode(1, 99), READ)
    assert not same_value({frozenset({1}): 1}, got, "auto")


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (2, 2.0), (True, 1), ([1], (1,)), ({1}, frozenset({1})), (0.3, 0.1 + 0.2),
        ({1: 2}, {True: 2}), ({1}, {1.0}), ([{"a": (1,)}], [{"a": [1]}]),
    ],
)  # fmt: skip
def test_exact_tells_types_apart_all_through(expected: Any, got: Any) -> None:
    assert same(expected, got)
    assert not same(expected, got, "exact")
    assert same(expected, expected, "exact")
    assert same(got, got, "exact")


def test_exact_still_holds_nan_and_zero_to_be_themselves() -> None:
    assert same([NAN, 0.0, {NAN, -0.0}], [NAN, -0.0, {NAN, 0.0}], "exact")


def test_close_widens_and_narrows_the_tolerance_of_floats() -> None:
    assert same([1.0, 2.0 + 3.0j], [1.0009, 2.001 + 3.001j], Close(rel=1e-3))
    assert not same(1.0, 1.01, Close(rel=1e-3))
    assert not same(0.3, 0.1 + 0.2, Close(rel=0))
    assert same(0.0, 1e-9, Close(abs=1e-8))
    assert not same(10, 11, Close(rel=0.5))  # whole numbers are exact
    assert not same(1.0, 1e308, Close(rel=0.9))  # relative to the expected value alone
    assert not same(1e308, -1e308, Close(rel=0.9))
    assert not same(math.inf, 5.0, Close(rel=0.9))


@pytest.mark.parametrize("bad", [{"rel": 1}, {"rel": -1e-9}, {"rel": NAN}, {"abs": math.inf}])
def test_a_tolerance_that_would_let_anything_pass_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="rel < 1"):
        Close(**bad)


halves = st.sampled_from([0.5, Decimal("0.50"), Fraction(1, 2), 2, Decimal("2"), Fraction(2), 2.0])
moments = st.dates() | st.times() | st.datetimes() | st.timedeltas()
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
    | st.decimals(allow_nan=False) | st.fractions() | halves | moments,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
plain = st.recursive(
    hashable | st.sets(hashable, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashable, inner, max_size=3),
    max_leaves=8,
)


@given(plain, plain)
def test_without_tolerance_lists_and_sets_are_equal_as_python_says(a: Any, b: Any) -> None:
    if _has_tuple(a) or _has_tuple(b):
        assert same(a, a, Close(rel=0))
    else:
        assert same(a, b, Close(rel=0)) == (a == b)


def _has_tuple(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_tuple, value.values()))
    return isinstance(value, tuple) or (isinstance(value, list) and any(map(_has_tuple, value)))


@given(st.sets(hashable, max_size=4), st.sets(hashable, max_size=4))
def test_sets_are_equal_as_python_says(a: set[Any], b: set[Any]) -> None:
    assert same(a, b) == (a == b)


def test_hashes_chosen_to_collide_cost_nothing() -> None:
    prime = (1 << 61) - 1
    count = 50_000
    items = b"".join(encode(i * prime, 100) for i in range(count))
    head = count.to_bytes(4, "little")
    start = time.perf_counter()
    assert not same_value(set(range(count)), decode(b"e" + head + items, READ), "auto")
    inner = decode(b"e\x01\0\0\0z" + head + items, READ)
    assert not same_value({frozenset(range(count))}, inner, "auto")
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        ([1, 2, 3], [3, 1, 2], True),
        ([1, 2, 3], (3, 2, 1), True),
        ([1, 1, 2], [1, 2, 2], False),
        ([1, 2], [1, 2, 2], False),
        ([[1, 2], [3]], [[3], [1, 2]], True),
        ([[1, 2], [3]], [[3], [2, 1]], False),  # only the outermost
        ([0.3, 1.0], [1.0, 0.1 + 0.2], True),
        ([[0.3, 1.0], [2.0]], [[2.0], [0.1 + 0.2, 1.0]], True),
        ([NAN, 1], [1, NAN], True),
        ([{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 1.0}], True),
        ([{1, 2}, 3], [3, {2, 1}], True),
        ([], [], True),
        ([1], 1, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ([1, "1"], ["1", 1], True),
        ([True, 2], [2, 1], True),
        ([1, 2], np.array([2, 1]), True),
        ("ab", "ba", False),
        ([[1], 2], [2, 1], False),
    ],
)
def test_any_order_is_that_of_the_outermost_list(expected: Any, got: Any, equal: bool) -> None:
    assert same(expected, got, "any_order") is equal
    assert same(expected, got, Close(order="outer")) is equal


def test_any_order_may_go_all_through() -> None:
    free = Close(order="free")
    assert same([[1, 2], [3]], [[3], [2, 1]], free)
    assert same({"a": [[1, 2], [3]]}, {"a": [[3], [2, 1]]}, free)
    assert same([[0.3, 1.0], [2.0]], [[2.0], [1.0, 0.1 + 0.2]], free)
    assert not same([[1, 2], [3]], [[1], [2, 3]], free)
    assert not same([[1, 2], [1, 2]], [[1, 2], [1, 1]], free)


@given(st.lists(plain, max_size=5), st.randoms())
def test_any_order_holds_for_every_shuffle_and_is_a_count_of_items(
    items: list[Any], rng: Any
) -> None:
    shuffled = list(items)
    rng.shuffle(shuffled)
    assert same(items, shuffled, "any_order")
    assert not same(items, [*shuffled, None], "any_order")
    if items:
        assert not same(items, [*shuffled[1:], "something else"], "any_order")


def test_tuples_and_lists_may_be_told_apart() -> None:
    strict = Close(rel=0, tuple_is_list=False)
    assert same([(1, 2), [3]], [(1, 2), [3]], strict)
    assert not same([(1, 2)], [[1, 2]], strict)
    assert not same([1, 2], (1, 2), strict)
    assert same(2, 2.0, strict)
    assert not same([[1], [2]], [(2,), [1]], Close(order="outer", tuple_is_list=False))


def test_exact_tells_arrays_by_type_and_shape() -> None:
    def expected(array: Any) -> Any:
        return decode(encode(array, MIB), PLAIN)

    array = np.array([[1, 2]], dtype=np.int8)
    assert same(expected(array), array, "exact")
    assert same(expected(array), array)
    for other in (array.astype(np.int16), array.T, array[0], [[1, 2]]):
        assert not same(expected(array), other, "exact")
    assert same(expected(array), [[1, 2]])
    assert not same(expected(np.zeros((0, 3))), np.zeros((0, 2)))


def test_pairing_items_that_are_only_near_takes_bounded_time() -> None:
    expected = [[float(i), 0.5] for i in range(2000)]
    got = [[i * (1 + 1e-12), 0.5] for i in range(2000)]
    start = time.perf_counter()
    same(expected, got[::-1], "any_order")
    nested = [[[0.5 + i * 1e-3] * 50 for i in range(50)] for _ in range(8)]
    moved = [[[x * (1 + 1e-12) for x in row] for row in rows[::-1]] for rows in nested]
    same(nested, moved, Close(order="free"))
    numbers = [float(i) for i in range(20_000)]
    assert same(numbers, [x * (1 + 1e-13) for x in numbers[::-1]], "any_order")
    assert time.perf_counter() - start < 60


LINES = [
    ("1\n2\n", "1\n2"),
    ("1\n2", "1\n2\n\n\n"),
    ("1 2\n", "1 2  \t\r\n"),
    ("", ""),
    ("", "\n \n"),
]


@pytest.mark.parametrize(("expected", "got"), LINES)
def test_lines_ignore_whitespace_at_the_ends(expected: str, got: str) -> None:
    assert same_output(expected, got, "auto")
    assert same_output(expected, got, "lines")
    assert same_output(expected, got, "tokens")
    assert same_output(expected, got, "exact") == (expected == got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("1\n2", "1"), ("1\n2", "1\n2\n3"), ("1", "1\n2"), ("1 2", "1  2"), ("1\n2", "1 2"),
        ("1", " 1"), ("1", "\n1"), ("1", ""), ("", "1"), ("Yes", "yes"), ("1", "1.0"),
        ("1\n2", "1\n\n2"),
    ],
)  # fmt: skip
def test_lines_that_differ(expected: str, got: str) -> None:
    assert not same_output(expected, got, "lines")


def test_tokens_ignore_how_words_are_spaced_and_nothing_else() -> None:
    assert same_output("1 2\n3", " 1\n2   3\n\n", "tokens")
    assert not same_output("1 2 3", "1 2", "tokens")
    assert not same_output("1 2", "12", "tokens")
    assert not same_output("0.5", "0.50", "tokens")


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        ("0.5 a", "0.50000001 a", True),
        ("0.5", "0.6", False),
        ("5", "5.0", True),
        ("1000000000", "1000000001", False),  # whole numbers are exact
        ("0.5 a", "0.5 b", False),
        ("0.5", "0.5 0.5", False),
        ("nan", "nan", True),
        ("0.5", "nan", False),
        ("0.5", "inf", False),
        ("0.5", "1_0", False),
        ("0.5", "٠.٥", False),
        ("0.5", "0." + "5" * 100_000, False),
        ("1e400", "1e-400", False),
        ("1e400", "1e999", False),
    ],
)
def test_printed_numbers_may_be_near(expected: str, got: str, equal: bool) -> None:
    assert same_output(expected, got, Close(rel=1e-6)) is equal


def test_what_people_read_is_short_and_safe_to_make() -> None:
    huge = [[1] * 100_000, "x" * 100_000, 1 << 1_000_000, {"k": {1, 2}}, b"y" * 999]
    for value in (huge, decode(encode(huge, MIB), READ), (), {}, set(), "\ud800", NAN):
        assert len(show(value)) <= MAX_SHOWN
        show(value).encode()
    assert show(decode(encode({"a": [1, (2, None)]}, MIB), READ)) == "{'a': [1, (2, None)]}"
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    assert show(deep) == "[[[[[…]]]]]"
