"""The zygote's side of calls: one process loads, and for each call a copy of it is watched.

Where judged code may not fork (no process namespace would end its copies), the copies are of a
process that knows the driver alone, and each of them loads anew.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable

from .calls import COPY, HELLO
from .watch import CallerGone, Ending, Watch
from .wire import CAUSES, Order, Record
from .worlds import World

__all__ = ["Series"]

_MOST_ROUNDS = 200
_REST_S = 0.0005
_COPYING_S = 0.02  # a fork may take so long in a large process
_MOST_REPLY_BYTES = 1 << 28  # of all calls of an order together


class _Over(Exception):  # noqa: N818 - reads as the event it names
    """No further call can be made."""


class _Spent(_Over):
    """Further calls could be made, if there were budget or room for them."""


class Series:
    """Serves one order of calls.

    Args:
        order: what was ordered.
        replies: the file that judged processes append their replies to.
        start: forks the process that loads, given its end of the channel. Raises ``OSError``.
        stem: forks the process that each call is loaded in a copy of, given its end of the channel
            and the copies'. Raises ``OSError``.
        clear: to be called before each further process.
        check: raises ``OSError`` if the process never got as far as judged code.
        watch, world: the zygote's.
    """

    def __init__(
        self,
        order: Order,
        replies: int,
        start: Callable[[int], int],
        stem: Callable[[int, int], int],
        clear: Callable[[], None],
        check: Callable[[Ending], object],
        watch: Watch,
        world: World,
    ) -> None:
        self._order, self._replies = order, replies
        self._start, self._stem = start, stem
        self._clear, self._check = clear, check
        self._watch, self._world = watch, world
        self._spent_s = 0.0
        self._made = 0

    def run(self) -> list[Record]:
        """One record of the loading, and one per call that was made; one more (``"spent"``) if
        there was no budget, or no room for replies, left for the others.

        Raises:
            OSError: nothing could be started.
            CallerGone: all is then still to be killed.
        """
        records: list[Record] = []
        try:
            if self._world.may_fork or not self._order.calls:
                self._in_copies(records)
            else:
                self._each_anew(records)
        except _Spent:
            records.append(Record(self._order.serial, False, CAUSES.index("spent"), 0, 0, 0, 0))
        except _Over:
            pass  # that there are fewer records than calls tells it
        finally:
            self._watch.spared = frozenset()
        return records

    def _in_copies(self, records: list[Record]) -> None:
        start = self._begin()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with ours:
            with theirs:
                pid = self._start(theirs.fileno())
            loading = Ending()
            is_ready = self._loads(pid, loading, ours.fileno())
            records.append(self._record(loading, start))
            if not is_ready:
                self._watch.clear(loading)
                return
            self._watch.spared = frozenset(self._world.members(pid))
            try:
                for number in range(self._order.calls):
                    self._copy(number, pid, ours, loading, records)
            finally:
                self._finish(pid)

    def _loads(self, pid: int, loading: Ending, ready: int) -> bool:
        """Follow a process until it is ready, which it says there; it has ended if it is not."""
        self._watch.follow(pid, self._order, loading, ready)
        is_ready = not loading.cause and _said(ready) == 0
        if is_ready:
            loading.cpu_s = self._world.clock_s(pid)
            loading.wall_s = time.monotonic() - loading.started
        else:
            self._world.kill(pid)  # it may say nonsense, or hang up, and live on
            self._watch.end(pid, loading)
            self._check(loading)
        self._spent_s += self._cost(loading)
        return is_ready

    def _copy(
        self, number: int, pid: int, channel: socket.socket, loading: Ending, records: list[Record]
    ) -> None:
        """One call, in a copy of the process that has loaded."""
        used_s = self._world.clock_s(pid)
        if used_s > loading.cpu_s + self._order.cpu_s + number * _COPYING_S:
            raise _Over  # it goes on by itself, with threads
        start = self._begin()
        ending = Ending()
        patient = self._order._replace(cpu_s=self._order.cpu_s + used_s)
        try:
            channel.send(HELLO.pack(number))
        except OSError:
            raise _Over from None
        self._watch.follow(pid, patient, ending, channel.fileno())
        if ending.cause:
            records.append(self._record(ending, start))
            raise _Over
        copy = _said(channel.fileno())
        if copy is None or copy == pid or not _is_ours(copy):
            raise _Over
        self._watch.follow(copy, self._order, ending)
        self._watch.end(copy, ending)
        self._sweep(pid)
        self._note(ending, start, records)

    def _each_anew(self, records: list[Record]) -> None:
        """Each call in a copy, of a process without judged code, that loads for it alone."""
        start = self._begin()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # What copies say comes by a pipe: there is no other end to it that they could spoil.
        said, say = os.pipe()
        ours.setblocking(False)
        os.set_blocking(said, False)
        try:
            with ours, theirs:  # its descriptors are ours: none is closed while it lives
                stem = self._stem(theirs.fileno(), say)
                ended = os.dup(self._world.descriptor(stem))
                starting = Ending()
                try:
                    if not self._loads(stem, starting, ours.fileno()):
                        records.append(self._record(starting, start))
                        return
                    for number in range(self._order.calls):
                        self._anew(number, ours, ended, said, records)
                finally:
                    os.close(ended)
                    if starting.status is None:
                        self._finish(stem)
        finally:
            os.close(said)
            os.close(say)

    def _anew(
        self, number: int, stem: socket.socket, ended: int, said: int, records: list[Record]
    ) -> None:
        """One call, in a process that loads for it."""
        start = self._begin()
        self._clear()
        stem.send(HELLO.pack(number))
        # Its socket does not close with it: its descriptors are ours.
        if stem.fileno() not in select.select((stem.fileno(), ended), (), ())[0]:
            raise OSError("the process that was to be copied ended")
        pid, descriptor = COPY.unpack(stem.recv(COPY.size))
        if pid < 0:
            raise OSError("cannot fork")
        self._world.adopt(descriptor)
        try:
            self._load_and_call(number, pid, said, start, records)
        except CallerGone:
            self._world.kill(pid)  # it would outlast what it is a copy of
            raise
        _drain(said)

    def _load_and_call(
        self, number: int, pid: int, said: int, start: int, records: list[Record]
    ) -> None:
        loading = Ending()
        is_ready = self._loads(pid, loading, said)
        if number == 0 or not is_ready:
            records.append(self._record(loading, start))
        if not is_ready:
            if number == 0 or loading.cause == "stopped":
                raise _Over
            return
        ending = Ending()
        patient = self._order._replace(cpu_s=self._order.cpu_s + loading.cpu_s)
        self._watch.follow(pid, patient, ending)
        self._watch.end(pid, ending)
        ending.cpu_s = max(0.0, ending.cpu_s - loading.cpu_s)
        self._note(ending, start, records)

    def _begin(self) -> int:
        """Where the next reply will lie."""
        start = os.fstat(self._replies).st_size
        is_spent = start > _MOST_REPLY_BYTES or self._spent_s > self._order.budget_s
        if is_spent and self._made:  # one is made whatever the loading took
            raise _Spent
        self._watch.outputs = ((self._replies, start + (self._order.reply_kb << 10) + 1),)
        return start

    def _note(self, ending: Ending, start: int, records: list[Record]) -> None:
        self._spent_s += self._cost(ending)
        self._made += 1
        records.append(self._record(ending, start))
        if ending.cause == "stopped":
            raise _Over

    def _cost(self, ending: Ending) -> float:
        """Seconds of the budget. What sleeps to its limit keeps a lane as long as what computes."""
        is_limit = ending.cause in ("cpu_limit", "wall_limit")
        return max(ending.cpu_s, self._order.cpu_s) if is_limit else ending.cpu_s

    def _record(self, ending: Ending, start: int) -> Record:
        end = os.fstat(self._replies).st_size
        if end > self._watch.outputs[0][1]:
            ending.cause = ending.cause or "output"
        if ending.cause:
            os.ftruncate(self._replies, start)  # room for the calls that follow
            end = start
        return Record(
            self._order.serial,
            ending.status is None,
            CAUSES.index(ending.cause),
            ending.status or 0,
            ending.cpu_s,
            ending.wall_s,
            ending.peak_kb,
            start,
            end,
        )

    def _sweep(self, pid: int) -> None:
        """End what a call started and left behind, but not what the loading did."""
        for _ in range(_MOST_ROUNDS):
            left = [one for one in self._world.members(pid) if one not in self._watch.spared]
            alive = [one for one in left if not _reaped_or_dead(one)]
            if not alive:
                return
            for one in alive:
                try:
                    os.kill(one, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(_REST_S)
        raise _Over  # it forks faster than it can be killed: only all at once

    def _finish(self, pid: int) -> None:
        ending = Ending()
        ending.cause = "stopped"
        self._watch.end(pid, ending)
        self._watch.clear(ending)


def _said(fd: int) -> int | None:
    """What the other side says, if it says something that makes sense."""
    try:
        data = os.read(fd, 64)
    except OSError:
        return None
    return int(HELLO.unpack(data)[0]) if len(data) == HELLO.size else None


def _drain(fd: int) -> None:
    """Forget what was said and not heard: the next must not seem to have said it."""
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return


def _is_ours(pid: int) -> bool:
    """Whether this is a child of ours: judged code says so, the kernel knows."""
    if pid <= 0:
        return False
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reaped_or_dead(pid: int) -> bool:
    """Reap it if it has ended and is ours; whether it has ended."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass  # its parent is another; a dead one is of no harm
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True
