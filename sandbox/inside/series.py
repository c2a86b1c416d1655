"""The zygote's side of calls: one process loads, and for each call a copy of it is watched.

Where processes may not fork (no process namespace would end them), each call loads anew.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

from .calls import HELLO
from .watch import Ending, Watch, clock_s
from .wire import CAUSES, Order, Record
from .worlds import World

__all__ = ["Series"]

_MOST_ROUNDS = 200
_REST_S = 0.0005
_COPYING_S = 0.02  # a fork may take so long in a large process
_MOST_REPLY_BYTES = 1 << 28  # of all calls of an order together


class _Over(Exception):  # noqa: N818 - reads as the event it names
    """No further call can be made."""


class Series:
    """Serves one order of calls.

    Args:
        order: what was ordered.
        replies: the file that judged processes append their replies to.
        start: forks the process that loads, given its end of the channel and the one call it is to
            make (-1: any, by copies). Raises ``OSError``.
        check: raises ``OSError`` if the process never got as far as judged code.
        watch, world: the zygote's.
    """

    def __init__(
        self,
        order: Order,
        replies: int,
        start: Callable[[int, int], int],
        check: Callable[[Ending], object],
        watch: Watch,
        world: World,
    ) -> None:
        self._order, self._replies = order, replies
        self._start, self._check = start, check
        self._watch, self._world = watch, world
        self._spent_s = 0.0

    def run(self) -> list[Record]:
        """One record of the loading, and one per call that was made.

        Raises:
            OSError: nothing could be started.
            CallerGone: all is then still to be killed.
        """
        records: list[Record] = []
        try:
            if self._world.may_fork or not self._order.calls:
                self._in_copies(records)
            else:
                for number in range(self._order.calls):
                    self._anew(number, records)
        except _Over:
            pass  # that there are fewer records than calls tells it
        finally:
            self._watch.spared = frozenset()
        return records

    def _in_copies(self, records: list[Record]) -> None:
        pid, channel, loading, start = self._load(-1)
        with channel:
            records.append(self._record(loading, start))
            if loading.cause or loading.status is not None:
                return
            self._watch.spared = frozenset(self._world.members(pid))
            try:
                for number in range(self._order.calls):
                    self._copy(number, pid, channel, loading, records)
            finally:
                self._finish(pid)

    def _load(self, only: int) -> tuple[int, socket.socket, Ending, int]:
        """Start a process that loads; it has a status if it did not become ready."""
        start = self._begin()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = self._start(theirs.fileno(), only)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        loading = Ending()
        self._watch.follow(pid, self._order, loading, ours.fileno())
        if loading.cause or _said(ours) != 0:
            os.kill(pid, signal.SIGKILL)  # it may say nonsense, or hang up, and live on
            self._watch.end(pid, loading)
            self._watch.clear(loading)
            self._check(loading)
        else:
            loading.cpu_s = clock_s(pid)
            loading.wall_s = time.monotonic() - loading.started
        self._spent_s += loading.cpu_s
        return pid, ours, loading, start

    def _copy(
        self, number: int, pid: int, channel: socket.socket, loading: Ending, records: list[Record]
    ) -> None:
        """One call, in a copy of the process that has loaded."""
        used_s = clock_s(pid)
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
        copy = _said(channel)
        if copy is None or copy == pid or not _is_ours(copy):
            raise _Over
        self._watch.follow(copy, self._order, ending)
        self._watch.end(copy, ending)
        self._sweep(pid)
        self._note(ending, start, records)

    def _anew(self, number: int, records: list[Record]) -> None:
        """One call, in a process that loads for it."""
        pid, channel, loading, start = self._load(number)
        with channel:
            is_ready = loading.status is None
            if number == 0 or not is_ready:
                records.append(self._record(loading, start))
            if not is_ready:
                if number == 0:
                    raise _Over
                return
            ending = Ending()
            patient = self._order._replace(cpu_s=self._order.cpu_s + loading.cpu_s)
            self._watch.follow(pid, patient, ending)
            self._watch.end(pid, ending)
            self._watch.clear(ending)
            ending.cpu_s = max(0.0, ending.cpu_s - loading.cpu_s)
            self._note(ending, start, records)

    def _begin(self) -> int:
        """Where the next reply will lie."""
        start = os.fstat(self._replies).st_size
        if start > _MOST_REPLY_BYTES or self._spent_s > self._order.budget_s:
            raise _Over
        self._watch.outputs = ((self._replies, start + (self._order.reply_kb << 10) + 1),)
        return start

    def _note(self, ending: Ending, start: int, records: list[Record]) -> None:
        self._spent_s += ending.cpu_s
        records.append(self._record(ending, start))
        if ending.cause == "stopped":
            raise _Over

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


def _said(channel: socket.socket) -> int | None:
    """What the judged side says, if it says something that makes sense."""
    try:
        data = channel.recv(64, socket.MSG_DONTWAIT)
    except OSError:
        return None
    return int(HELLO.unpack(data)[0]) if len(data) == HELLO.size else None


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
