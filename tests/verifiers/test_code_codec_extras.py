"""Further types travel as their name and parts: decimals, fractions, times, arrays; what makes no
value of theirs is refused."""

from __future__ import annotations

import struct
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from rewardkit.verifiers.code.codec import CodecError, decode, encode
from rewardkit.verifiers.code.extras import Array
from rewardkit.verifiers.code.received import PLAIN, READ, Ratio

MIB = 1 << 20


class LyingArray(np.ndarray[Any, Any]):
    def __eq__(self, other: object) -> Any:
        return True


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, 2, 3]),
        np.array([[1.5, np.nan], [np.inf, -0.0]]),
        np.zeros((0, 3)),
        np.array(5),
        np.array([True, False]),
        np.array(["a", "bc"]),
        np.array([b"a", b"\0b"]),
        np.array([1 + 2j], dtype=np.complex64),
        np.arange(6, dtype=np.int8).reshape(2, 3).T,
        np.array([1, "a", None], dtype=object),
        np.array([1.5]).view(LyingArray),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_travel_with_type_and_shape(array: Any) -> None:
    data = encode(array, MIB)
    back = decode(data)
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, np.asarray(array), equal_nan=array.dtype.kind in "fc")
    for makers in (READ, PLAIN):
        read = decode(data, makers)
        assert isinstance(read, Array)
        assert encode(read, MIB) == data


def test_arrays_of_what_is_no_plain_data_are_refused() -> None:
    for array in (np.array(["2020"], dtype="M8[Y]"), np.zeros(2, dtype="i4,f8")):
        with pytest.raises(CodecError, match="not plain data"):
            encode(array, MIB)
    with pytest.raises(CodecError, match="not plain data"):
        encode(np.array([object()]), MIB)


def extra(*parts: Any) -> bytes:
    """What hostile code can write: a further type with any parts."""
    return b"x" + struct.pack("<I", len(parts)) + b"".join(encode(part, MIB) for part in parts)


@pytest.mark.parametrize(
    "data",
    [
        extra(),
        extra(5),
        extra("unknown", 1),
        extra("decimal"),
        extra("decimal", 5),
        extra("decimal", "one"),
        extra("decimal", "1" * 10_001),
        extra("decimal", "1", "2"),
        extra("fraction", 1),
        extra("fraction", 1, 0),
        extra("fraction", 1, -2),
        extra("fraction", 1.0, 2),
        extra("fraction", True, 2),
        extra("date", 2020, 13, 1),
        extra("date", 10**40, 1, 1),
        extra("date", "2020", 1, 1),
        extra("datetime", 2020, 1, 1),
        extra("datetime", 2020, 1, 1, 0, 0, 0, 0, 0, (10**9, 0, 0)),
        extra("datetime", 2020, 1, 1, 0, 0, 0, 0, 0, 5),
        extra("time", 25, 0, 0, 0, 0, None),
        extra("timedelta", 10**12, 0, 0),
        extra("timedelta", "x", 0, 0),
        extra("array", 5, (1,), [1]),
        extra("array", "<i8", [1], [1]),
        extra("array", "<i8"),
        b"x\xff\xff\xff\xff",
        b"x\x01\0\0\0l\0\0\0\0",
    ],
)
def test_parts_that_make_no_value_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, READ)


def test_hostile_numbers_cost_little() -> None:
    start = time.perf_counter()
    huge = (1 << (4 * MIB)) + 1
    for data in (
        extra("fraction", 3**1_000_000, 3**1_000_001),  # bringing this to lowest terms: minutes
        extra("fraction", huge, huge),
        extra("decimal", "1E+999999999"),
        extra("decimal", "-1E-999999999"),
        extra("decimal", "9" * 9_999),
    ):
        decode(data, READ)
    assert decode(extra("fraction", 2, 4), READ) == Ratio(2, 4)
    assert str(decode(extra("decimal", "sNaN"), READ)) == "NaN"  # a signalling one would raise
    assert time.perf_counter() - start < 20


def test_an_offset_from_utc_travels_and_its_name_does_not() -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2), "here"), fold=1)
    back = decode(encode(moment, MIB))
    assert isinstance(back, datetime)
    assert (back, back.fold, back.utcoffset()) == (moment, 1, timedelta(hours=2))
