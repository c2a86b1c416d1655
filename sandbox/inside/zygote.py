"""The warm interpreter of a lane: forks one process per order, watches it, and tells how it ended.

It never reads what it is to run, so nothing of one order is in the memory that the next is forked
from; and all that it tells of an order's fate it has from the kernel.

What costs here is memory that is touched: each page that either side writes to after a fork is
copied. Hence the few objects and short ways on the path of a plain program.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import Callable
from os import closerange, pread
from resource import RLIMIT_CORE, getrlimit
from typing import Any

from . import linux
from .calls import ARGUMENTS, GO, REPLIES, Driven, be_stem, load_and_call, load_for_one
from .child import Bounds, Ledger, be_judged, seed, write_files
from .keeper import Scratch
from .program import Stage
from .reach import NOTHING_KEPT
from .series import Series
from .watch import CallerGone, Ending, Watch
from .wire import (
    CALLS,
    CAUSES,
    ORDER_BYTES,
    PAIR,
    REHEARSAL,
    RUN,
    STOP,
    Order,
    pack_failure,
    pack_record,
    pack_records,
    read_payload,
)
from .worlds import World

__all__ = ["Zygote"]

_CHANNEL = 3
_FIRST_CLOSED = {RUN: _CHANNEL, PAIR: _CHANNEL + 1, REHEARSAL: NOTHING_KEPT.start}
_REHEARSED = b"rehearsed = True\n"
_REHEARSALS = 30
_MOST_FDS = 5
_INT = struct.calcsize("i")
_ROOM = socket.CMSG_SPACE(_MOST_FDS * _INT)


class Zygote:
    """Serves one caller's orders, one at a time.

    Args:
        control: the caller's socket.
        ledger: see :class:`~.child.Ledger`.
        world: what judged processes of this lane are.
        scratch: the scratch of the lane, if it is ours to make.
        folder: the working directory of judged code.
        own: how many processes of ours count against a limit on processes.
        kept: descriptors that judged processes need.
    """

    def __init__(
        self,
        control: socket.socket,
        ledger: Ledger,
        world: World,
        scratch: Scratch | None,
        folder: str,
        own: int,
        kept: range = NOTHING_KEPT,
    ) -> None:
        self._control, self._ledger, self._world = control, ledger, world
        self._scratch, self._folder, self._kept = scratch, folder, kept
        self._bounds = Bounds(world, own)
        self._stage = Stage(folder)
        self._watch = Watch(control.fileno(), world)
        self._null = os.open(os.devnull, os.O_RDWR)
        os.dup2(self._null, _CHANNEL)
        self._silence()
        self._rehearse()

    def serve(self) -> None:
        """Serve until the caller is gone, and leave nothing running."""
        self._stage.enter()
        if self._scratch is None:
            os.chdir(self._folder)
            os.environ.update(HOME=self._folder, TMPDIR=self._folder)
        self._free = _free_descriptors()
        gc.freeze()  # a collection in a judged process would touch, and so copy, all that there is
        try:
            while self._serve():
                pass
        except CallerGone:
            self._world.kill_all()

    def _serve(self) -> bool:
        """Serve one order; whether there can be more."""
        data, passed, _, _ = self._control.recvmsg(ORDER_BYTES, _ROOM)
        if not data:
            return False
        order = Order.unpack(data)
        if order.kind == STOP:
            return True  # of an order that has ended meanwhile
        fds = struct.unpack(f"{len(passed[0][2]) // _INT}i", passed[0][2])
        try:
            if self._scratch is not None:
                self._scratch.renew(order.disk_mb)
            self._ledger.clear()
            messages = self._calls(order, *fds) if order.kind == CALLS else self._run(order, fds)
        except OSError as error:
            messages = [pack_failure(order.serial, f"{type(error).__name__}: {error}")]
        finally:
            for fd in fds:
                os.close(fd)
            if not self._world.may_fork and order.kind == CALLS:
                self._world.adopt(-1)
                for start, stop in self._free:  # what a stem left open
                    closerange(start, stop)
            self._silence()
        for message in messages:
            os.write(self._control.fileno(), message)
        return True

    def _run(self, order: Order, fds: tuple[int, ...]) -> list[bytes]:
        """A program, from its first to its last process."""
        most = order.output_kb << 10
        self._watch.outputs = ((1, most), (2, most))
        for target in range(len(fds) - 1):  # stdin, stdout, stderr, and of a pair the channel
            os.dup2(fds[target + 1], target)
        pid = self._fork(order, self._be_program, fds[0])
        ending = Ending()
        self._watch.follow(pid, order, ending)
        self._watch.end(pid, ending)
        self._watch.clear(ending)
        is_ready = self._check_armed(ending) != Ledger.BROKEN
        cause, status = CAUSES.index(ending.cause), ending.status or 0
        used = (ending.cpu_s, ending.wall_s, ending.peak_kb)
        return [pack_record(order.serial, is_ready, cause, status, *used, 0, 0)]

    def _be_program(self, source: bytes, _: bytes, order: Order, payload: int) -> int:
        code = self._stage.compiled(source)
        if code is None:
            self._ledger.note(Ledger.BROKEN)
            return 1
        closerange(_FIRST_CLOSED[order.kind], self._kept.start)
        closerange(self._kept.stop, Bounds.FILES)
        return self._stage.run(code)

    def _calls(self, order: Order, payload: int, arguments: int, replies: int) -> list[bytes]:
        def place(go: int) -> None:
            for fd, target in ((go, GO), (arguments, ARGUMENTS), (replies, REPLIES)):
                os.dup2(fd, target)

        def forget() -> None:
            closerange(_CHANNEL, self._kept.start)
            closerange(self._kept.stop, GO)
            closerange(REPLIES + 1, Bounds.FILES)

        def load(source: bytes, driver: bytes, _: Order, __: int, go: int) -> int:
            place(go)
            forget()
            return load_and_call(source, driver)

        def load_one(driven: Driven, source: bytes, argument: bytes) -> int:
            forget()
            return load_for_one(driven, source, argument)

        def stem(source: bytes, driver: bytes, _: Order, __: int, orders: int, go: int) -> int:
            place(go)
            linux.die_with_parent()
            if os.getppid() != zygote:
                return 1  # it has ended already
            bounds, enter = self._bounds.of(order), self._world.enter

            def copy(driven: Driven, argument: bytes) -> int:
                told = (driven, source, argument)
                return be_judged(bounds, enter, self._ledger, lambda *_: (), load_one, told)

            return be_stem(driver, orders, self._world.fork_beside, copy)

        def start(go: int) -> int:
            self._ledger.clear()
            return self._fork(order, load, payload, go)

        def start_stem(orders: int, go: int) -> int:
            self._ledger.clear()
            return self._fork(order, stem, payload, orders, go, is_judged=False)

        zygote = os.getpid()
        checks = (self._ledger.clear, self._check_armed)
        series = Series(order, replies, start, start_stem, *checks, self._watch, self._world)
        return pack_records(series.run())

    def _fork(
        self,
        order: Order,
        run: Callable[..., int],
        payload: int,
        *more: int,
        is_judged: bool = True,
    ) -> int:
        """Start a process of an order, a judged one or not; in it, this never returns."""
        told = self._told(order, run, payload, *more)
        fork = self._world.fork
        if not is_judged:
            told, fork = ((), None, *told[2:]), self._world.fork_stem
        leave = os._exit  # as it is now, whatever judged code does to the module
        pid = fork()
        if pid == 0:
            try:
                leave(be_judged(*told))
            finally:
                leave(1)
        if pid < 0:
            raise OSError("cannot fork")
        return pid

    def _told(self, order: Order, run: Callable[..., int], *arguments: int) -> tuple[Any, ...]:
        """All that a judged process has to know, gathered while that is cheap."""
        bounds = self._bounds.of(order)
        more = (order, *arguments)
        return bounds, self._world.enter, self._ledger, self._prepare, run, more

    def _rehearse(self) -> None:
        """Do in this process what judged ones do, until nothing of it is new to the interpreter."""
        stage, self._stage = self._stage, Stage("/nowhere")
        payload = os.memfd_create("rehearsal")
        os.write(payload, _REHEARSED)
        order = Order(REHEARSAL, 0, size=len(_REHEARSED))
        no_change = ((RLIMIT_CORE, getrlimit(RLIMIT_CORE)),)
        for _ in range(_REHEARSALS):
            told = self._told(order, self._be_program, payload)
            be_judged(no_change, self._world.rehearse, *told[2:])
        os.close(payload)
        self._stage = stage

    def _prepare(self, order: Order, payload: int, *_: int) -> tuple[bytes, bytes]:
        source = pread(payload, order.size, 0)
        if order.seed:  # the nursery's is 0
            seed(order.seed)
        if not order.more:
            return source, b""
        files, driver = read_payload(payload, order.size)
        if self._scratch is not None:
            write_files(files)
        return source, driver

    def _check_armed(self, ending: Ending) -> bytes:
        """How far it came. Raises ``OSError`` if not even to judged code: a failure of ours."""
        how_far = self._ledger.read()
        if how_far == Ledger.NOTHING:
            why = self._ledger.trouble() or f"the process died at birth ({ending.status})"
            raise OSError(why)
        return how_far

    def _silence(self) -> None:
        """Let go of an order's files; whoever writes here writes nowhere."""
        for target in (0, 1, 2, _CHANNEL):
            os.dup2(self._null, target)


def _free_descriptors() -> list[tuple[int, int]]:
    """Where no descriptor of ours is, from each to before each."""
    taken = [fd for fd in range(Bounds.FILES) if _is_open(fd)]
    ends = zip([-1, *taken], [*taken, Bounds.FILES], strict=True)
    return [(before + 1, after) for before, after in ends if before + 1 < after]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
