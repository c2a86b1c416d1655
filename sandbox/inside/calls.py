"""The judged side of calls: a process that loads a source once, and copies of it that make a call.

Nothing here is trusted once judged code has been loaded. Which is why the copies are made as
*siblings* (:func:`~.linux.fork_beside`): the kernel tells the zygote how they ended, not us.

Where judged code may not fork, the process that is copied is a :func:`be_stem`: it has run the
driver and nothing else, so it can be trusted to fork, and each copy loads the source for its call.
"""

from __future__ import annotations

import gc
import marshal
import struct
from collections.abc import Callable
from os import _exit, pread, read, write
from typing import Any, NoReturn

from .linux import fork_beside

__all__ = [
    "ARGUMENTS",
    "COPY",
    "GO",
    "HELLO",
    "MARK",
    "REPLIES",
    "TABLE",
    "Driven",
    "be_stem",
    "load_and_call",
    "load_for_one",
]

GO, ARGUMENTS, REPLIES = 60, 61, 62
"""Descriptors of the judged processes: orders to call, arguments, replies."""

HELLO = struct.Struct("<i")
"""What is said over ``GO``: by the zygote, which call to make; in answer, by what process. The
process that has loaded says 0 when it is ready."""

COPY = struct.Struct("<ii")
"""What a stem answers: the copy's process id, and a descriptor of it, in a table of descriptors
that is the zygote's as well."""

TABLE = struct.Struct("<QQ")
"""Where each argument lies in the arguments' file, which begins with the table: start, length."""

Driven = tuple[Callable[[str], "bytes | None"], Callable[[bytes], bytes]]
"""A driver's ``load`` and ``call``."""

MARK = b"="
"""Stands before a reply, so that an empty one can be told from none."""


def load_and_call(source: bytes, driver: bytes) -> int:
    """Load, then make all calls that are asked for, each in a copy.

    Args:
        source: judged code.
        driver: compiled; it defines ``load`` and ``call``.

    Returns:
        The exit code, of this process or of its copy.
    """
    load, call = _driven(driver)
    if not _loaded(load, source):
        return 0
    gc.freeze()  # a collection in a copy would touch, and so copy, all that there is
    write(GO, HELLO.pack(0))
    return _serve(call)


def be_stem(
    driver: bytes,
    orders: int,
    fork: Callable[[], tuple[int, int]],
    copy: Callable[[Driven, bytes], int],
) -> int:
    """Run the driver, then make a copy of this process for each order. No judged code comes here.

    Args:
        driver: compiled; it defines ``load`` and ``call``.
        orders: as :data:`GO`, but out of reach for judged code, and answered by :data:`COPY`.
        fork: makes the copy; its process id, and a descriptor of it.
        copy: what a copy does, given these two and the argument of its call.

    Returns:
        The exit code, of this process or of its copy.
    """
    driven = _driven(driver)
    gc.freeze()
    write(orders, HELLO.pack(0))
    while order := read(orders, HELLO.size):
        (number,) = HELLO.unpack(order)
        argument = _argument(number)
        made = fork()
        if made[0] == 0:
            return copy(driven, argument)
        write(orders, COPY.pack(*made))
    return 0


def load_for_one(driven: Driven, source: bytes, argument: bytes) -> NoReturn:
    """Load, and make one call; then end, by the short way (see :func:`_serve`)."""
    load, call = driven
    if _loaded(load, source):
        write(GO, HELLO.pack(0))
        _write(MARK + call(argument))
    _exit(0)


def _driven(driver: bytes) -> Driven:
    names: dict[str, Any] = {"__name__": "driver"}
    exec(marshal.loads(driver), names)
    return names["load"], names["call"]


def _loaded(load: Callable[[str], bytes | None], source: bytes) -> bool:
    refused = load(source.decode("utf-8", "surrogatepass"))
    if refused is not None:
        _write(MARK + refused)
    return refused is None


def _serve(call: Callable[[bytes], bytes]) -> int:
    pack, unpack, size = HELLO.pack, HELLO.unpack, HELLO.size
    locate, width = TABLE.unpack, TABLE.size
    while order := read(GO, size):
        # As little as can be: what this process touches here has to be copied for each call.
        pid = fork_beside()
        if pid == 0:
            # No functions of ours, no way back through the callers: each is memory to be copied.
            start, length = locate(pread(ARGUMENTS, width, width * unpack(order)[0]))
            reply = MARK + call(pread(ARGUMENTS, length, start))
            if write(REPLIES, reply) < len(reply):
                _exit(1)
            _exit(0)
        write(GO, pack(pid))
    return 0


def _argument(number: int) -> bytes:
    start, size = TABLE.unpack(pread(ARGUMENTS, TABLE.size, number * TABLE.size))
    return pread(ARGUMENTS, size, start)


def _write(data: bytes) -> None:
    done = write(REPLIES, data)
    while done < len(data):
        done += write(REPLIES, data[done:])
