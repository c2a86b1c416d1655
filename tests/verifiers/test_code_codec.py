"""Values travel as bytes: exactly, as plain types alone, and nothing that arrives can run away."""

from __future__ import annotations

import enum
import math
import struct
import time
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import date, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit.verifiers.code.codec import MAX_DEPTH, CodecError, decode, encode
from rewardkit.verifiers.code.forms import canonical
from rewardkit.verifiers.code.received import READ, Unordered

MIB = 1 << 20

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = (
    st.dates() | st.times() | st.times(timezones=zones) | st.datetimes()
    | st.datetimes(timezones=zones) | st.timedeltas()
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | moments
)
keys = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=4
)
values = st.recursive(
    keys | st.sets(keys, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal and of the same types all through; NaN is itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float | complex):
        return repr(a) == repr(b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, set | frozenset):
        return {canonical(x, True) for x in a} == {canonical(x, True) for x in b}
    return bool(a == b)


@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert same(decode(encode(value, MIB)), value)


class LyingInt(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __int__(self) -> int:
        return 42

    __index__ = __int__
    __hash__ = int.__hash__

    def bit_length(self) -> int:
        return 0

    def to_bytes(self, *args: Any, **kwargs: Any) -> bytes:
        return b"\x2a"


class LyingStr(str):
    def __str__(self) -> str:
        return "lie"

    def encode(self, *args: Any) -> bytes:
        return b"lie"


class LyingList(list[Any]):
    def __iter__(self) -> Any:
        return iter([42])

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        return [42]


class LyingDict(dict[Any, Any]):
    def items(self) -> Any:
        return [(42, 42)]

    keys = values = __iter__ = items


class LyingTuple(tuple[Any, ...]):
    __slots__ = ()

    def __iter__(self) -> Any:
        return iter([42])


class LyingSet(set[Any]):
    def __iter__(self) -> Any:
        return iter([42])


class LyingFloat(float):
    def __float__(self) -> float:
        return 42.0


class LyingBytes(bytes):
    def __bytes__(self) -> bytes:
        return b"lie"

    def __getitem__(self, index: Any) -> Any:
        return b"lie"


class LyingDecimal(Decimal):
    def __str__(self) -> str:
        return "42"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = Decimal.__hash__


class LyingDate(date):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = date.__hash__


class Colour(enum.IntEnum):
    RED = 7


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (LyingInt(5), 5),
        (LyingStr("x"), "x"),
        (LyingList([1, 2]), [1, 2]),
        (LyingDict(a=1), {"a": 1}),
        (LyingTuple((1, 2)), (1, 2)),
        (LyingSet({1, 2}), {1, 2}),
        (LyingFloat(1.5), 1.5),
        (LyingBytes(b"x"), b"x"),
        (Colour.RED, 7),
        (Point(1, 2), (1, 2)),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(int, a=1), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ([LyingInt(5), {LyingStr("k"): LyingFloat(2)}], [5, {"k": 2.0}]),
        (LyingDecimal("1.50"), Decimal("1.50")),
        (LyingDate(2020, 1, 2), date(2020, 1, 2)),
        (np.float64(1.5), 1.5),
        (np.float32(1.5), 1.5),
        (np.int64(-7), -7),
        (np.uint8(7), 7),
        (np.bool_(True), True),
        (np.complex64(1 + 2j), 1 + 2j),
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), b"x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_travels_as_the_base_value_it_is(value: Any, base: Any) -> None:
    assert same(decode(encode(value, MIB)), base)


class ClaimsToBeInt:
    @property
    def __class__(self) -> type:
        return int

    @__class__.setter
    def __class__(self, value: type) -> None: ...


class Meta(type):
    def __subclasscheck__(cls, sub: type) -> bool:
        return True

    def __instancecheck__(cls, instance: object) -> bool:
        return True


class ClaimsAll(metaclass=Meta):
    pass


@pytest.mark.parametrize(
    "value",
    [
        object(),
        ClaimsToBeInt(),
        ClaimsAll(),
        (i for i in range(3)),
        iter([1]),
        map(int, "12"),
        range(3),
        {}.keys(),
        len,
        int,
        bytearray(b"x"),
        [1, [2, object()]],
        np.datetime64("2020-01-01"),
        np.longdouble(1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_data_is_refused(value: Any) -> None:
    with pytest.raises(CodecError, match="not plain data"):
        encode(value, MIB)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="deep"):
        encode(loop, MIB)
    with pytest.raises(CodecError, match="bytes"):
        encode([loop[:0]] * MIB, MIB)


def nested(levels: int) -> Any:
    value: Any = "0"
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded_on_both_sides() -> None:
    assert decode(encode(nested(MAX_DEPTH), MIB)) == nested(MAX_DEPTH)
    with pytest.raises(CodecError, match="deep"):
        encode(nested(MAX_DEPTH + 1), MIB)
    with pytest.raises(CodecError, match="deep"):
        decode(b"l\x01\0\0\0" * (MAX_DEPTH + 1) + b"N")
    assert decode(encode([nested(MAX_DEPTH - 2), []], MIB))
    empty: Any = []
    for _ in range(MAX_DEPTH):
        empty = [empty]
    assert decode(encode(empty, MIB)) == empty


def test_depth_counts_what_the_value_will_be_put_into() -> None:
    inner = nested(MAX_DEPTH - 1)
    assert encode([inner], MIB)[5:] == encode(inner, MIB, around=1)
    with pytest.raises(CodecError, match="deep"):
        encode(nested(MAX_DEPTH), MIB, around=1)


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ([0], b"v"),
        ([1, -2, 2**63 - 1, -(2**63)], b"v"),
        ([1, 2**63], b"l"),
        ([1, True], b"l"),
        ([1, 2.0], b"l"),
        ([1, None], b"l"),
        ([0.0, -0.0, math.inf, 5e-324], b"w"),
        ([1.5, 1], b"l"),
        ([], b"l"),
        ((1, 2), b"t"),
    ],
)
def test_lists_of_numbers_alone_travel_at_once(value: Any, tag: bytes) -> None:
    data = encode(value, MIB)
    assert data[:1] == tag
    back = decode(data)
    assert repr(back) == repr(value)
    assert decode(encode([[value], "x"], MIB)) == [[value], "x"]
    for cut in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:cut])


def test_packed_lists_ask_their_items_nothing() -> None:
    class Sly(type):
        def __eq__(cls, other: object) -> bool:
            raise AssertionError("asked")

        def __hash__(cls) -> int:
            raise AssertionError("asked")

    class Number(int, metaclass=Sly):
        def __index__(self) -> int:
            return 7

    assert decode(encode([Number(3), 4], MIB)) == [3, 4]
    assert decode(encode([3, Number(4)], MIB)) == [3, 4]
    assert encode(type("Numbers", (list,), {})([3, 4]), MIB) == encode([3, 4], MIB)


def test_size_is_bounded_before_a_long_integer_is_written_out() -> None:
    with pytest.raises(CodecError, match="bytes"):
        encode(1 << (8 * MIB), MIB)
    for value, size in ((["0"] * 10, 65), ([0] * 10, 85), ([0.5], 13)):
        assert encode(value, size) == encode(value, MIB)
        with pytest.raises(CodecError, match="bytes"):
            encode(value, size - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"N extra",
        b"NN",
        b"i",
        b"i\x01\0\0",
        b"i\x02\0\0\0\x01",
        b"s\x01\0\0\0\xff",
        b"f\0\0",
        b"l\x01\0\0\0",
        b"l\xff\xff\xff\xffN",
        b"d\x01\0\0\0N",
        b"d\xff\xff\xff\xff",
        b"v\0\0\0\0",
        b"w\0\0\0\0",
        b"v\x01\0\0\0" + bytes(7),
        b"v\x01\0\0\0" + bytes(9),
        b"w\xff\xff\xff\xff" + bytes(8),
        b"\x80\x04.",  # a pickle
        b"[1, 2]",
    ],
)
def test_bytes_that_are_no_value_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, READ)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_reading_hostile_bytes_gives_a_value_or_a_codec_error(data: bytes) -> None:
    try:
        decode(data, READ)
    except CodecError:
        return


@given(values, st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=200)
def test_one_changed_byte_does_no_harm(value: Any, where: int, byte: int) -> None:
    data = bytearray(encode(value, MIB))
    data[where % len(data)] = byte
    try:
        decode(bytes(data), READ)
    except CodecError:
        return


def test_a_megabyte_of_hostile_data_is_read_in_little_time() -> None:
    start = time.perf_counter()
    empties = b"l" + struct.pack("<I", MIB // 5) + b"l\0\0\0\0" * (MIB // 5)
    assert len(decode(empties, READ)) == MIB // 5  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        decode(b"l\x01\0\0\0" * (MIB // 5), READ)
    # Multiples of this prime all have the hash 0: a set of them would take minutes to build.
    prime = (1 << 61) - 1
    colliding = b"".join(encode(i * prime, 100) for i in range(60_000))
    read = decode(b"e" + struct.pack("<I", 60_000) + colliding, READ)
    assert isinstance(read, Unordered)
    assert time.perf_counter() - start < 20


def test_nan_and_infinity_travel() -> None:
    back = decode(encode([math.nan, math.inf, -math.inf, -0.0], MIB))
    assert repr(back) == "[nan, inf, -inf, -0.0]"
