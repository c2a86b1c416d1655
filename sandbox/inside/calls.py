"""The judged side of calls: a process that loads a source once, and copies of it that make a call.

Nothing here is trusted once judged code has been loaded. Which is why the copies are made as
*siblings* (:func:`~.linux.fork_beside`): the kernel tells the zygote how they ended, not us.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable
from os import pread, read, write
from typing import Any

from .linux import fork_beside

__all__ = ["ARGUMENTS", "GO", "HELLO", "MARK", "REPLIES", "TABLE", "load_and_call"]

GO, ARGUMENTS, REPLIES = 60, 61, 62
"""Descriptors of the judged processes: orders to call, arguments, replies."""

HELLO = struct.Struct("<i")
"""What is said over ``GO``: by the zygote, which call to make; in answer, by what process. The
process that has loaded says 0 when it is ready."""

TABLE = struct.Struct("<QQ")
"""Where each argument lies in the arguments' file, which begins with the table: start, length."""

MARK = b"="
"""Stands before a reply, so that an empty one can be told from none."""


def load_and_call(source: bytes, driver: bytes, only: int) -> int:
    """Load, then make calls: all that are asked for, or ``only`` one (-1: all).

    Args:
        source: judged code.
        driver: text that defines ``load`` and ``call``.

    Returns:
        The exit code, of this process or of its copy.
    """
    names: dict[str, Any] = {"__name__": "driver"}
    exec(compile(driver, "driver.py", "exec", dont_inherit=True), names)
    load, call = names["load"], names["call"]
    refused = load(source.decode("utf-8", "surrogatepass"))
    if refused is not None:
        _write(MARK + refused)
        return 0
    gc.freeze()  # a collection in a copy would touch, and so copy, all that there is
    write(GO, HELLO.pack(0))
    if only < 0:
        return _serve(call)
    _write(MARK + call(_argument(only)))
    return 0


def _serve(call: Callable[[bytes], bytes]) -> int:
    while order := read(GO, HELLO.size):
        # Here and not in the copy: what is touched there has to be copied first.
        (number,) = HELLO.unpack(order)
        argument = _argument(number)
        pid = fork_beside()
        if pid == 0:
            _write(MARK + call(argument))
            return 0
        write(GO, HELLO.pack(pid))
    return 0


def _argument(number: int) -> bytes:
    start, size = TABLE.unpack(pread(ARGUMENTS, TABLE.size, number * TABLE.size))
    return pread(ARGUMENTS, size, start)


def _write(data: bytes) -> None:
    done = write(REPLIES, data)
    while done < len(data):
        done += write(REPLIES, data[done:])
