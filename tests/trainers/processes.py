"""Several processes for a test, as a launcher would have started them."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Ended:
    """How one of them ended.

    Attributes:
        value: what its work gave.
        error: class and message of what it raised; empty if nothing.
        code: exit code; the negative of a signal.
    """

    value: Any
    error: str
    code: int


def in_processes(count: int, work: Callable[[], Any], limit_s: float = 120) -> list[Ended]:
    """Run ``work`` in each of as many processes, forked, so that they are there in milliseconds;
    they see what a launcher would have set.

    Raises:
        AssertionError: if one of them does not end in time; all are killed then.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_fork(count, number, port, work) for number in range(count)]
    deadline = time.monotonic() + limit_s
    try:
        return [_ended(pid, pipe, deadline) for pid, pipe in children]
    finally:
        for pid, pipe in children:
            os.close(pipe)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _fork(count: int, number: int, port: int, work: Callable[[], Any]) -> tuple[int, int]:
    hear, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return pid, hear
    os.environ |= {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    value, error = None, ""
    try:
        value = work()
    except BaseException as raised:
        traceback.print_exc()
        error = f"{type(raised).__name__}: {raised}"
    with os.fdopen(say, "wb") as out:
        out.write(pickle.dumps((value, error)))
    os._exit(bool(error))


def _ended(pid: int, pipe: int, deadline: float) -> Ended:
    data = b""
    while True:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise AssertionError("a process hangs")
        more = os.read(pipe, 1 << 20)
        if not more:
            break
        data += more
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    value, error = pickle.loads(data) if data else (None, "")
    return Ended(value, error, code)
