"""Keeping the limits from outside the program, and leaving nothing of it behind."""

from __future__ import annotations

import os
import resource
import select
import time

from .wire import PATIENCE, STOP, Order
from .worlds import World

__all__ = ["CallerGone", "Ending", "Watch"]

_FIRST_TICK_S, _TICK_S, _SLOW_TICK_S = 0.008, 0.01, 0.025
_SLOW_AFTER_S = 1.0
_REST_S = 0.0002
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class CallerGone(Exception):  # noqa: N818 - reads as the event it names
    """Whoever gave the order is no more."""


class Ending:
    """How one process ended, and what it and all that it started used.

    Attributes:
        cause: the limit it passed, or ``"stopped"``; ``""``: it ended by itself.
        status: as from ``wait``; ``None`` until it is waited for.
        cpu_s, wall_s, peak_kb: what was used.
        excused_s: clock seconds that do not count.
    """

    __slots__ = ("cause", "cpu_s", "excused_s", "peak_kb", "started", "status", "wall_s")

    def __init__(self) -> None:
        self.cause = ""
        self.status: int | None = None
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.peak_kb = 0
        self.excused_s = 0.0
        self.started = time.monotonic()


class Watch:
    """Watches programs, one at a time, from a process that they cannot touch.

    CPU seconds and memory are sums over all of a program's processes: the kernel's own limits are
    per process, and a program may have many.

    Attributes:
        outputs: files that are written to, and how large they may grow.
        spared: processes that stay while the one that is watched is ended: their memory counts,
            their CPU seconds do not.
    """

    def __init__(self, control: int, world: World) -> None:
        self._control, self._world = control, world
        self._events = select.poll()
        self._events.register(control, select.POLLIN)
        self._base_kb = _resident_kb(os.getpid()) if world.sees_memory else 0
        self.outputs: tuple[tuple[int, int], ...] = ()
        self.spared: frozenset[int] = frozenset()

    def follow(self, pid: int, order: Order, ending: Ending, ready: int = -1) -> None:
        """Return when the process has ended by itself, passed a limit (``ending.cause``), or when
        there is something to read on ``ready``.

        Raises:
            CallerGone: then nothing is killed yet.
        """
        ended = self._world.descriptor(pid)
        self._events.register(ended, select.POLLIN)
        if ready >= 0:
            self._events.register(ready, select.POLLIN)
        try:
            tick = _FIRST_TICK_S
            while not self._has_news(tick, order, ending):
                ending.cause = ending.cause or self._overrun(pid, order, ending)
                if ending.cause:
                    return
                slow = time.monotonic() - ending.started > _SLOW_AFTER_S
                tick = _SLOW_TICK_S if slow else _TICK_S
        finally:
            self._events.unregister(ended)
            self._world.let_go(ended)
            if ready >= 0:
                self._events.unregister(ready)

    def _has_news(self, tick: float, order: Order, ending: Ending) -> bool:
        """Wait a while; whether the process ended or became ready."""
        left = ending.started + order.wall_s + ending.excused_s - time.monotonic()
        for fd, _ in self._events.poll(max(0.0, min(tick, left)) * 1000):
            if fd != self._control:
                return True
            if self._is_told_to_stop(order.serial):
                ending.cause = "stopped"
        return False

    def _is_told_to_stop(self, serial: int) -> bool:
        data = os.read(self._control, 256)
        if not data:
            raise CallerGone
        order = Order.unpack(data)
        return order.kind == STOP and order.serial == serial

    def _overrun(self, pid: int, order: Order, ending: Ending) -> str:
        """The limit that is passed, if any."""
        late_s = time.monotonic() - ending.started - order.wall_s
        if late_s >= ending.excused_s:
            ending.excused_s = min(_waited_s(pid), (PATIENCE - 1) * order.wall_s)
            if late_s >= ending.excused_s:
                return "wall_limit"
        if any(os.fstat(fd).st_size > most for fd, most in self.outputs):
            return "output"
        used_s = self._world.clock_s(pid)
        if self._world.sees_memory:
            members = self._world.members(pid)
            used_s += sum(_times_s(one, one == pid) for one in members if one not in self.spared)
            kb = sum(map(_resident_kb, members)) - (len(members) - 1) * self._base_kb
            ending.peak_kb = max(ending.peak_kb, kb)
            if kb > order.memory_mb << 10:
                return "memory"
            if pid not in self.spared:  # else its copy, of which we have yet to hear, is no orphan
                self._reap_orphans(pid, ending)
        return "cpu_limit" if used_s + ending.cpu_s > order.cpu_s else ""

    def _reap_orphans(self, pid: int, ending: Ending) -> None:
        """What the program started, left to us and ended: what it used counts."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid == pid or ended.si_pid in self.spared:
                return
            self._add(os.wait4(ended.si_pid, 0), ending)

    def end(self, pid: int, ending: Ending) -> None:
        """Kill it if it passed a limit, wait for its end and note it."""
        if ending.cause:
            self._world.kill(pid)
        waited = os.wait4(pid, 0)
        ending.wall_s = time.monotonic() - ending.started
        ending.status = waited[1]
        self._add(waited, ending)

    def clear(self, ending: Ending) -> None:
        """After its end: kill and reap all else that the program started.

        Every process has a living ancestor, the eldest of them a child of ours: where there is no
        child, there is nothing.
        """
        while True:
            try:
                waited = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if waited[0] == 0:
                self._world.kill_all()
                time.sleep(_REST_S)
            else:
                self._add(waited, ending)

    def _add(self, waited: tuple[int, int, resource.struct_rusage], ending: Ending) -> None:
        usage = waited[2]
        ending.cpu_s += usage.ru_utime + usage.ru_stime
        ending.peak_kb = max(ending.peak_kb, usage.ru_maxrss)


def _waited_s(pid: int) -> float:
    """Seconds that a process's first thread could have run and got no processor; 0 where nobody
    says so.

    It is not the program's fault, or it is by processes and threads of its own that ran meanwhile,
    and their processor seconds are bounded. A program that sleeps waits for nothing.
    """
    try:
        return int(_read(f"/proc/{pid}/schedstat").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _times_s(pid: int, of_children_only: bool) -> float:
    """Processor seconds of a process and of the children that it waited for."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return 0.0  # it ended meanwhile: counted once it is reaped
    times = stat[stat.rindex(b")") + 2 :].split()[13 if of_children_only else 11 : 15]
    return sum(map(int, times)) / _TICKS_PER_S


def _resident_kb(pid: int) -> int:
    """KiB of private and shared memory that a process holds, without files that it maps."""
    try:
        status = _read(f"/proc/{pid}/status")
    except OSError:
        return 0
    lines = (line.split() for line in status.split(b"\n"))
    return sum(int(words[1]) for words in lines if words and words[0] in _COUNTED)


_COUNTED = (b"RssAnon:", b"RssShmem:")


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
