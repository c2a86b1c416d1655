"""What caller, nursery and zygote say to each other: fixed structs, whole messages.

Sockets keep messages apart (``SOCK_SEQPACKET``); bulk travels in memory files passed along. The
caller is trusted, and nothing that judged code can write to is ever read as a message.
"""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "CALLS",
    "CAUSES",
    "LANDLOCK",
    "LANE",
    "MESSAGE_BYTES",
    "NAMESPACES",
    "NONE",
    "ORDER_BYTES",
    "PAIR",
    "PATIENCE",
    "PROGRAM",
    "READY",
    "REHEARSAL",
    "RUN",
    "STOP",
    "Answer",
    "Order",
    "Record",
    "pack_failure",
    "pack_payload",
    "pack_record",
    "pack_records",
    "read_payload",
    "read_up_to",
    "unpack_answer",
]

NAMESPACES, LANDLOCK, NONE = "namespaces", "landlock", "none"
"""How a lane is kept apart."""

PROGRAM = "program.py"
"""The judged source's name, in tracebacks; there is no such file."""

RUN, PAIR, CALLS, STOP, REHEARSAL = range(5)
"""Kinds of order: a program; one with a channel to another; a source and calls; end order N; a
rehearsal."""

PATIENCE = 5
"""So many times its wall limit a program may take, where all beyond the first it has waited for a
processor."""

LANE = struct.Struct("<16s?")
"""Caller to nursery: a lane of this tier, with a scratch or not; socket and ledger come along."""
READY = struct.Struct("<?xxxii")
"""Zygote to caller, once: whether all went well, the Landlock version, the lane's process id. Text
follows: what went wrong, or the lane's folder outside."""

CAUSES = ("", "cpu_limit", "wall_limit", "memory", "output", "stopped", "spent")
"""Why a process was ended from outside, or not started at all; the index travels."""


class Order(NamedTuple):
    """Caller to zygote: what to run, and within which bounds.

    Attributes:
        kind, serial: see above; the serial number counts a lane's orders.
        cpu_s, wall_s, memory_mb, processes, disk_mb, output_kb: as in ``Limits``.
        tasks: processes and threads that the lane's user may have in all, where they are counted
            together with whatever else that user runs; 0: counted from the lane's own.
        seed: for ``random``.
        size: bytes of the source in the payload.
        more: whether files or a driver follow it there.
        calls, reply_kb, budget_s: of ``CALLS``: how many, most KiB of one reply, CPU seconds over
            all of them.
    """

    kind: int
    serial: int
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_mb: int = 0
    processes: int = 0
    disk_mb: int = 0
    output_kb: int = 0
    tasks: int = 0
    seed: int = 0
    size: int = 0
    more: bool = False
    calls: int = 0
    reply_kb: int = 0
    budget_s: float = 0.0

    def pack(self) -> bytes:
        return _ORDER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Order:
        return cls._make(_ORDER.unpack(data))


_ORDER = struct.Struct("<BIddIIIIIqQ?IId")
ORDER_BYTES = 256
"""Room for an order."""


class Record(NamedTuple):
    """Zygote to caller: how one process ended.

    Attributes:
        serial: of the order.
        ready: whether it got through its first stage: a program compiled, a source loaded.
        cause: index into ``CAUSES``.
        status: as from ``wait``.
        cpu_s, wall_s, peak_kb: what it used.
        start, end: where its reply lies (calls).
    """

    serial: int
    ready: bool
    cause: int
    status: int
    cpu_s: float
    wall_s: float
    peak_kb: int
    start: int = 0
    end: int = 0


_RECORD = struct.Struct("<I?Bxxiddqqq")
_SERIAL = struct.Struct("<I")
_PART, _LAST, _FAILURE = b"P", b"L", b"F"
_PER_MESSAGE = 500  # records: a message must fit into a socket's buffer
_TEXT_BYTES = 2000

MESSAGE_BYTES = 1 + _PER_MESSAGE * _RECORD.size
"""Room for the longest message."""


class Answer(NamedTuple):
    """One message of a zygote about an order: records, or why nothing was started at all."""

    serial: int
    records: list[Record]
    failure: str
    last: bool


def pack_records(records: list[Record]) -> list[bytes]:
    """An order's records as messages."""
    starts = range(0, len(records), _PER_MESSAGE)
    return [
        (_LAST if start == starts[-1] else _PART)
        + b"".join(_RECORD.pack(*record) for record in records[start : start + _PER_MESSAGE])
        for start in starts
    ]


def pack_record(*fields: float) -> bytes:
    """An order's only record, by the fields of :class:`Record`, as a message: the short way."""
    return _LAST + _RECORD.pack(*fields)


def pack_failure(serial: int, why: str) -> bytes:
    """The order could not be started."""
    return _FAILURE + _SERIAL.pack(serial) + why.encode("utf-8", "backslashreplace")[-_TEXT_BYTES:]


def unpack_answer(data: bytes) -> Answer:
    """The inverse of both."""
    kind, rest = data[:1], data[1:]
    if kind == _FAILURE:
        (serial,) = _SERIAL.unpack_from(rest)
        return Answer(serial, [], rest[_SERIAL.size :].decode("utf-8", "replace"), True)
    records = [Record._make(fields) for fields in _RECORD.iter_unpack(rest)]
    return Answer(records[0].serial, records, "", kind == _LAST)


def pack_payload(source: bytes, files: Mapping[str, bytes], driver: bytes = b"") -> bytes:
    """What the judged process reads for itself: nobody else on that side does."""
    return source + marshal.dumps((dict(files), driver)) if files or driver else source


def read_payload(fd: int, size: int) -> tuple[dict[str, bytes], bytes]:
    """Files and driver, which follow a source of that size."""
    payload: tuple[dict[str, bytes], bytes] = marshal.loads(read_up_to(fd, _EVERYTHING, size))
    return payload


def read_up_to(fd: int, most: int, start: int = 0) -> bytes:
    """What a file holds from ``start`` on, at most that many bytes; its position stays."""
    parts: list[bytes] = []
    while most > 0:
        part = os.pread(fd, min(most, _AT_ONCE), start)
        if not part:
            break
        parts.append(part)
        start += len(part)
        most -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


_AT_ONCE = 1 << 24
_EVERYTHING = 1 << 62
