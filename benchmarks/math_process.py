"""Processes of the math benchmark: forks that can be killed, processor time with the workers'."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_FORK = multiprocessing.get_context("fork")


class OverrunError(Exception):
    """A forked call did not end within its seconds, or died."""


def forked(call: Callable[..., Any], *args: Any, limit_s: float = 1800) -> Any:
    """``call(*args)`` in a fork of its own: nothing cached stays, nothing it breaks matters."""
    with child(_send_result, call, args) as (process, results):
        if not results.poll(limit_s):
            raise OverrunError(f"{call.__name__}: no result within {limit_s} s")
        try:
            done, value = results.recv()
        except EOFError:
            process.join()
            raise OverrunError(f"{call.__name__}: died with {process.exitcode}") from None
    if not done:
        raise value
    return value


def _send_result(results: Connection, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        results.send((True, call(*args)))
    except Exception as error:
        results.send((False, RuntimeError(f"{call.__name__}: {error!r}")))


@contextlib.contextmanager
def child(target: Callable[..., None], *args: Any) -> Iterator[tuple[Any, Connection]]:
    """``target(connection, *args)`` in a fork, killed with its own children at the end."""
    here, there = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=target, args=(there, *args))
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        process.join(0.5)
        if process.is_alive():
            _kill_tree(process.pid)
        process.join()


def _kill_tree(root: int | None) -> None:
    for pid in [*descendants(root or 0), root]:
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """Living processes below this one."""
    found: list[int] = []
    todo = [root]
    while todo:
        try:
            lists = [p.read_text() for p in Path(f"/proc/{todo.pop()}/task").glob("*/children")]
        except OSError:  # gone in the meantime
            continue
        children = [int(pid) for text in lists for pid in text.split()]
        found += children
        todo += children
    return found


def tree_cpu() -> float:
    """Processor seconds of this process and of all below it, alive or ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):  # gone in the meantime
            total += time.clock_gettime((~pid << 3) | 2)  # Linux: the clock of another process
    return total


def peak_mib(pid: int) -> float:
    """The most memory that this process ever held, MiB; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0
