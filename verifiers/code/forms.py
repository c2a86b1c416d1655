"""Bytes that two values share exactly if they are equal: for keys, sets and lists in any order.

Bytes and not the values themselves: Python's hash of numbers can be made to collide at will.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from hashlib import blake2b

from rewardkit.verifiers.code.codec import encode
from rewardkit.verifiers.code.extras import Array
from rewardkit.verifiers.code.numbers import common_number, is_number
from rewardkit.verifiers.code.received import Unordered

__all__ = ["canonical", "form_of", "rank_of"]

MAX_KEY_DEPTH = 8
"""Most tuples and frozensets within each other in a set's element or a dict's key."""

_ANY_SIZE = 1 << 62  # it has been read already
_MOST_WORDS = 64
_FEW_BITS = 512
_DAY_S, _US = 86_400, 1_000_000


def canonical(value: object, typed: bool, depth: int = 0) -> bytes | None:
    """The bytes of a hashable value; ``None`` if it is none.

    Args:
        value: expected, or decoded with :data:`received.READ`.
        typed: keep numbers of different types apart.
        depth: containers around it.
    """
    if isinstance(value, list | dict | set | Array) or depth > MAX_KEY_DEPTH:
        return None
    if isinstance(value, tuple):
        tag, items = b"t", list(value)
    elif isinstance(value, frozenset):
        tag, items = b"z", list(value)
    elif isinstance(value, Unordered):
        tag, items = value.tag, value.items
    else:
        return _scalar(value, typed)
    if tag not in (b"t", b"z"):
        return None
    keys: list[bytes] = []
    for item in items:
        key = canonical(item, typed, depth + 1)
        if key is None:
            return None
        keys.append(_framed(key))
    return tag + b"".join(keys if tag == b"t" else sorted(keys))


def form_of(value: object, *, typed: bool, tuples: bool, free: bool) -> bytes:
    """The bytes of any value; recursive, but no deeper than the codec lets values be.

    Args:
        value: expected, or decoded with :data:`received.READ`.
        typed: keep numbers of different types apart.
        tuples: keep tuples and lists apart.
        free: lists hold their items in no order.
    """

    def form(value: object) -> bytes:
        if isinstance(value, Array):
            return form(value.items)
        if isinstance(value, list | tuple):
            tag = b"t" if tuples and isinstance(value, tuple) else b"l"
            return _digest(tag, list(value), form, free)
        if isinstance(value, set | frozenset):
            return _digest(b"e", list(value), form, True)
        if isinstance(value, dict):
            return _table([part for pair in value.items() for part in pair], form)
        if isinstance(value, Unordered):
            if value.tag == b"d":
                return _table(value.items, form)
            return _digest(b"e", value.items, form, True)
        return _digest(b"s", [value], lambda scalar: _scalar(scalar, typed), False)

    return form(value)


def rank_of(value: object) -> tuple[str, ...]:
    """A key by which values sort so that near ones mostly come at the same place.

    Args:
        value: expected, or decoded with :data:`received.READ`.
    """
    words: list[str] = []
    todo = [value]
    while todo and len(words) < _MOST_WORDS:
        item = todo.pop()
        if isinstance(item, Array):
            todo.append(item.items)
        elif isinstance(item, list | tuple):
            words.append(f"[{len(item)}")
            todo += reversed(item[:_MOST_WORDS])
        elif isinstance(item, float):
            words.append(f"{item:.5e}")
        elif isinstance(item, int) and item.bit_length() < _FEW_BITS:
            words.append(f"{float(item):.5e}")
        else:
            words.append(str(item)[:_MOST_WORDS] if isinstance(item, str) else "?")
    return tuple(words)


Form = Callable[[object], bytes]


def _digest(tag: bytes, items: list[object], form: Form, free: bool) -> bytes:
    """Of a fixed size, so that deep values cost no more than flat ones."""
    forms = [_framed(form(item)) for item in items]
    return blake2b(tag + b"".join(sorted(forms) if free else forms), digest_size=20).digest()


def _table(items: list[object], form: Form) -> bytes:
    pairs = zip(items[::2], items[1::2], strict=True)
    rows = sorted(_framed(form(key)) + _framed(form(value)) for key, value in pairs)
    return blake2b(b"d" + b"".join(rows), digest_size=20).digest()


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + data


def _scalar(value: object, typed: bool) -> bytes:
    if is_number(value):
        return b"#" + encode(common_number(value, typed=typed), _ANY_SIZE)
    if isinstance(value, date | time | timedelta):
        return b"@" + repr(_moment(value)).encode()
    return encode(value, _ANY_SIZE)


def _moment(value: date | time | timedelta) -> tuple[str, object]:
    """A name and a number that are the same for all that are equal."""
    if isinstance(value, timedelta):
        return "timedelta", value // timedelta(microseconds=1)
    if isinstance(value, date) and not isinstance(value, datetime):
        return "date", value.toordinal()
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    if isinstance(value, datetime):
        seconds += value.toordinal() * _DAY_S
    offset = value.utcoffset()
    kind = type(value).__name__
    if offset is None:
        return kind, seconds * _US + value.microsecond
    return f"aware {kind}", seconds * _US + value.microsecond - offset // timedelta(microseconds=1)
