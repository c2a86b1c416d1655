"""Plain values as bytes and back: what travels into and out of the process of judged code.

Every node is a tag of one byte and its content; counts and lengths are four bytes, little-endian:

```
N T F            None, True, False
i s b            length, then the bytes: int (two's complement, little-endian), str (UTF-8, lone
                 surrogates included), bytes
f c              8 or 16 bytes (IEEE 754 doubles): float, complex
l t e z          count, then the items: list, tuple, set, frozenset
d                count, then as many pairs of key and value: dict
v w              count, then as many times 8 bytes: list of ints (two's complement), or of floats,
                 one of which at least is in it
x                count, then the items: the name of a further type, then its parts:
                 decimal (text), fraction (numerator, denominator), date, time, datetime,
                 timedelta (whole numbers; an offset from UTC as days, seconds, microseconds),
                 array (type, shape, nested lists)
```

Reading executes nothing, recurses nowhere, allocates no more than the data pay for, and knows no
type but these. The very same text runs inside the sandbox (see ``bundle``), so this module stands
on the standard library alone, on modules that a fresh interpreter has loaded anyway.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from operator import is_

from rewardkit.verifiers.code.extras import (
    EXTRAS,
    CodecError,
    Items,
    make_extra,
    number_in,
    parts_of,
)

__all__ = ["MAX_DEPTH", "REAL", "CodecError", "Items", "Makers", "Refer", "decode", "encode"]

MAX_DEPTH = 100
"""Most containers within each other; also ends the encoding of one that contains itself."""

_COUNT = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
_DOUBLES = struct.Struct("<dd")
_NO_ITEMS: tuple[object, ...] = ()
_CONSTANTS = {b"N": None, b"T": True, b"F": False}
_PACKED = ((int, b"v", "q"), (float, b"w", "d"))

Refer = Callable[[object], "Items | None"]
"""Name and parts under which a value travels that is not plain; ``None``: it does not."""


def encode(value: object, most: int, refer: Refer | None = None, around: int = 0) -> bytes:
    """The value as at most ``most`` bytes.

    An instance of a subclass becomes a plain value of its base, read past its own methods: an int
    that claims to equal everything travels as the int it is.

    Args:
        value: what is to travel.
        most: bytes that it may take.
        refer: asked about every value that is not plain.
        around: containers that it will be put into, for their number counts.

    Raises:
        CodecError: for other types, too many bytes, or more than ``MAX_DEPTH`` levels.
    """
    out, inner = _node(value, most, refer)
    if len(out) > most:
        raise CodecError(f"it takes more than {most} bytes")
    return out + _items(inner, most - len(out), refer, around) if inner else out


def _items(
    items: Items | tuple[object, ...], most: int, refer: Refer | None, around: int
) -> bytearray:
    """What is in a container, and in those in it."""
    out = bytearray()
    open_items: list[Iterator[object]] = [iter(items)]
    while open_items:
        for item in open_items[-1]:
            head, inner = _node(item, most, refer)
            out += head
            if len(out) > most:
                raise CodecError(f"it takes more than {most} bytes")
            if inner:
                if len(open_items) + around >= MAX_DEPTH:
                    raise CodecError(f"it is nested more than {MAX_DEPTH} levels deep")
                open_items.append(iter(inner))
                break
        else:
            open_items.pop()
    return out


def _node(
    value: object, most: int, refer: Refer | None
) -> tuple[bytes, Items | tuple[object, ...]]:
    """A node's own bytes, and the items that follow."""
    kind = type(value)
    # What is common comes first: it is looked up in few places (see ``warm_up`` of the driver).
    if kind is list:
        return _list(value)  # type: ignore[arg-type]
    if kind is int:
        return _int(value, most), _NO_ITEMS  # type: ignore[arg-type]
    if kind is str:
        return _str(value, most), _NO_ITEMS  # type: ignore[arg-type]
    if value is None:
        return b"N", _NO_ITEMS
    if value is True or value is False:
        return (b"T" if value else b"F"), _NO_ITEMS
    # Not isinstance: an object can lie about its class there.
    for base, write in _SCALARS:
        if issubclass(kind, base):
            return write(value, most), _NO_ITEMS
    for base, tag, read in _CONTAINERS:
        if issubclass(kind, base):
            items: Items = read(value)
            if base is list:
                return _list(items)
            count = len(items) // 2 if tag == b"d" else len(items)
            return tag + _COUNT.pack(count), items
    if (number := number_in(value, kind)) is not value:
        return _node(number, most, refer)
    extra = parts_of(value, kind)
    if extra is None and refer is not None:
        extra = refer(value)
    if extra is None:
        raise CodecError(f"{kind.__module__}.{kind.__qualname__} is not plain data")
    return b"x" + _COUNT.pack(len(extra)), extra


def _list(items: Items) -> tuple[bytes, Items | tuple[object, ...]]:
    packed = _packed(items) if items else None
    if packed is not None:
        return packed, _NO_ITEMS
    return b"l" + _COUNT.pack(len(items)), items


def _packed(items: Items) -> bytes | None:
    """A list of floats alone, or of ints of 64 bits alone, at once: item by item it takes longer
    than most calls that return such a list."""
    for kind, tag, letter in _PACKED:
        # Exact types (a subclass is read past its own methods), told without asking them anything.
        if type(items[0]) is kind and all(map(is_, map(type, items), repeat(kind))):
            try:
                return tag + _COUNT.pack(len(items)) + struct.pack(f"<{len(items)}{letter}", *items)
            except struct.error:  # longer than 64 bits
                return None
    return None


def _int(value: int, most: int) -> bytes:
    exact = int.__int__(value)
    size = exact.bit_length() // 8 + 1
    if size > most:
        raise CodecError(f"it takes more than {most} bytes")
    return b"i" + _COUNT.pack(size) + exact.to_bytes(size, "little", signed=True)


def _str(value: str, most: int) -> bytes:
    data = str.encode(value, "utf-8", "surrogatepass")
    return b"s" + _COUNT.pack(len(data)) + data


def _bytes(value: bytes, most: int) -> bytes:
    data = bytes.__getitem__(value, slice(None))
    return b"b" + _COUNT.pack(len(data)) + data


def _float(value: float, most: int) -> bytes:
    return b"f" + _DOUBLE.pack(float.__float__(value))


def _complex(value: complex, most: int) -> bytes:
    exact = complex.__complex__(value)
    return b"c" + _DOUBLES.pack(exact.real, exact.imag)


def _pairs(value: dict[object, object]) -> Items:
    return [part for pair in dict.items(value) for part in pair]


_SCALARS: tuple[tuple[type, Callable[..., bytes]], ...] = (
    (int, _int),
    (float, _float),
    (str, _str),
    (bytes, _bytes),
    (complex, _complex),
)
_CONTAINERS: tuple[tuple[type, bytes, Callable[..., Items]], ...] = (
    (list, b"l", lambda value: list.__getitem__(value, slice(None))),
    (tuple, b"t", lambda value: list(tuple.__iter__(value))),
    (dict, b"d", _pairs),
    (set, b"e", lambda value: list(set.__iter__(value))),
    (frozenset, b"z", lambda value: list(frozenset.__iter__(value))),
)


Makers = Mapping[bytes, Callable[[Items], object]]
"""What is made of the items of a container, by its tag."""

REAL: Makers = {
    b"l": lambda items: items,
    b"t": tuple,
    b"e": set,
    b"z": frozenset,
    b"d": lambda items: dict(zip(items[::2], items[1::2], strict=True)),
    b"x": lambda items: make_extra(items, EXTRAS),
}
"""The values themselves. Only for data that can be trusted: a set or dict of values whose
hashes were chosen to collide takes time quadratic in its size."""


class _Open:
    """A container whose items are being read."""

    __slots__ = ("items", "missing", "tag")

    def __init__(self, tag: bytes, missing: int) -> None:
        self.tag, self.missing = tag, missing
        self.items: Items = []


def decode(data: bytes, makers: Makers = REAL) -> object:
    """The value that the bytes stand for: the one, whole value.

    Raises:
        CodecError: for anything that :func:`encode` does not write.
    """
    top = _Open(b"", 1)
    stack, at = [top], 0
    while stack:
        here = stack[-1]
        if not here.missing:
            stack.pop()
            if stack:
                stack[-1].items.append(makers[here.tag](here.items))
            continue
        here.missing -= 1
        tag, at = data[at : at + 1], at + 1
        if tag in makers:
            opened, at = _open(tag, data, at)
            stack.append(opened)
            if opened.missing and len(stack) > MAX_DEPTH + 1:
                raise CodecError(f"nested more than {MAX_DEPTH} levels deep")
        else:
            item, at = _scalar(tag, data, at)
            here.items.append(item)
    if at != len(data):
        raise CodecError("there is more after the value")
    return top.items[0]


def _open(tag: bytes, data: bytes, at: int) -> tuple[_Open, int]:
    count, at = _count(data, at)
    missing = 2 * count if tag == b"d" else count
    if missing > len(data) - at:  # every item takes a byte at least
        raise CodecError("the value is cut short")
    return _Open(tag, missing), at


def _scalar(tag: bytes, data: bytes, at: int) -> tuple[object, int]:
    if tag in _CONSTANTS:
        return _CONSTANTS[tag], at
    if tag == b"f":
        part, at = _take(data, at, 8)
        return _DOUBLE.unpack(part)[0], at
    if tag == b"c":
        part, at = _take(data, at, 16)
        return complex(*_DOUBLES.unpack(part)), at
    if tag not in (b"i", b"s", b"b", b"v", b"w"):
        raise CodecError(f"unknown tag {tag!r}")
    size, at = _count(data, at)
    if tag in (b"v", b"w"):
        part, at = _take(data, at, 8 * size)
        if not size:
            raise CodecError("an empty list is no packed one")
        return list(struct.unpack(f"<{size}{'q' if tag == b'v' else 'd'}", part)), at
    part, at = _take(data, at, size)
    if tag == b"i":
        return int.from_bytes(part, "little", signed=True), at
    return (part if tag == b"b" else _text(part)), at


def _text(part: bytes) -> str:
    try:
        return part.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise CodecError("text that is not UTF-8") from error


def _count(data: bytes, at: int) -> tuple[int, int]:
    part, at = _take(data, at, 4)
    return _COUNT.unpack(part)[0], at


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    part = data[at : at + size]
    if len(part) != size:
        raise CodecError("the value is cut short")
    return part, at + size
