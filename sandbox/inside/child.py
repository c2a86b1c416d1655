"""What a judged process does between the fork and its first instruction of judged code."""

from __future__ import annotations

import os
import random
import resource
import sys
from collections.abc import Callable, Mapping
from os import pread, pwrite
from resource import setrlimit

from .wire import CALLS, Order
from .worlds import World

__all__ = ["Bounds", "Ledger", "be_judged", "seed", "write_files"]


class Ledger:
    """A memory file in which a judged process notes how far it came.

    The notes are written before judged code runs, and the descriptor is closed by then: what stands
    there is true. Once it is armed, whatever goes wrong is judged code's own doing.
    """

    NOTHING, ARMED, BROKEN = b"\0", b"\1", b"\2"
    """How far: not even armed; armed; armed, and its source does not compile."""

    _TEXT_BYTES = 2000

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def clear(self) -> None:
        pwrite(self._fd, b"\0\0", 0)

    def note(self, how_far: bytes) -> None:
        pwrite(self._fd, how_far, 0)

    def note_trouble(self, why: str) -> None:
        pwrite(self._fd, why.encode("utf-8", "backslashreplace")[: self._TEXT_BYTES] + b"\0", 1)

    def read(self) -> bytes:
        return pread(self._fd, 1, 0)

    def trouble(self) -> str:
        return pread(self._fd, self._TEXT_BYTES, 1).partition(b"\0")[0].decode()


Limited = tuple[tuple[int, tuple[int, int]], ...]
"""Resources with their soft and hard limits, as ``setrlimit`` takes them."""


class Bounds:
    """Limits that the kernel keeps on each process, behind those that the watch keeps on all.

    Args:
        world: where judged processes live.
        own: how many processes of ours are counted with a program's.
    """

    FILES = 64
    """Most open files of a judged process: each may stand for memory of the kernel's, which no
    limit counts. Ours have numbers below."""

    def __init__(self, world: World, own: int) -> None:
        self._own = own
        self._known: dict[tuple[object, ...], Limited] = {}
        self._data_mb = _own_mb("VmData:")
        # Address space that is reserved and never used is cheap, where memory can be seen.
        self._room_mb = _own_mb("VmSize:") + (4096 if world.sees_memory else 0)
        for which, bound in _CONSTANT.items():
            _lower(which, bound)

    def of(self, order: Order) -> Limited:
        """For one order; most orders are like the one before."""
        key = (order.kind, *order[2:9])
        if key not in self._known:
            self._known.clear()
            self._known[key] = tuple(
                (which, (min(bound, _hard(which)),) * 2)
                for which, bound in self._wanted(order).items()
            )
        return self._known[key]

    def _wanted(self, order: Order) -> dict[int, int]:
        largest = max(order.disk_mb << 20, order.output_kb << 10)
        own = self._own
        if order.kind == CALLS:
            largest = max(largest, _ALL_REPLIES)
            own += 1  # what is copied
        return {
            resource.RLIMIT_CPU: int(order.cpu_s) + 2,  # whole seconds; the watch is finer
            resource.RLIMIT_DATA: (order.memory_mb + self._data_mb) << 20,
            resource.RLIMIT_AS: (order.memory_mb + self._room_mb) << 20,
            resource.RLIMIT_FSIZE: largest + (64 << 10),
            resource.RLIMIT_NPROC: order.tasks or own + order.processes,
        }


_ALL_REPLIES = 1 << 28
_CONSTANT = {
    resource.RLIMIT_NOFILE: Bounds.FILES,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_MEMLOCK: 1 << 16,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_RTPRIO: 0,
    resource.RLIMIT_SIGPENDING: 256,
    resource.RLIMIT_STACK: 64 << 20,  # deep recursion in C is honest
}


def _hard(which: int) -> int:
    hard = resource.getrlimit(which)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _lower(which: int, bound: int) -> None:
    bound = min(bound, _hard(which))
    setrlimit(which, (bound, bound))


def _own_mb(what: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(what)) >> 10


def be_judged(
    bounds: Limited,
    enter: Callable[[], None] | None,
    ledger: Ledger,
    prepare: Callable[..., tuple[bytes, ...]],
    run: Callable[..., int],
    arguments: tuple[object, ...],
) -> int:
    """Give up what is left to give up, and run; in a process just forked.

    Args:
        bounds: what the kernel is to keep.
        enter: what the world asks of each of its processes.
        ledger: where to note that judged code is next.
        prepare: reads source and driver, if they are not there yet, with the zygote's means; a
            failure there is ours.
        run: is given these, and the arguments.
        arguments: of both.

    Returns:
        The exit code.
    """
    try:
        read = prepare(*arguments)
        for which, limits in bounds:
            setrlimit(which, limits)
        if enter is not None:
            enter()
    except BaseException as error:
        ledger.note_trouble(f"{type(error).__name__}: {error}")
        return 1
    ledger.note(Ledger.ARMED)
    return run(*read, *arguments)


def write_files(files: Mapping[str, bytes]) -> None:
    """Lay files out in the working directory."""
    for name, data in files.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)


def seed(value: int) -> None:
    """Seed what is loaded: forks would otherwise all draw the same numbers."""
    random.seed(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        numpy.random.seed(value & 0xFFFFFFFF)
