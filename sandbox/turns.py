"""Who may use a worker: as many as compute, and beside them those that only wait.

A call that sleeps (on a socket, say) needs no processor, so it should not keep others from theirs.
That it sleeps is seen from outside, in what the system says of its process: one that could run but
gets no processor on a busy machine is not taken for one that waits. Where the system says nothing
(other than Linux), every call counts as computing.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

__all__ = ["LOOK_S", "Sleep", "Turns", "cpu_clock"]

LOOK_S = 0.02
"""Seconds between two looks at a process."""
_ASLEEP_S = 0.04
"""So long a process must have slept, at every look, before another may go beside it."""
_COMPUTES = 0.2
"""Share of the time between two looks that a process must have computed to count as awake."""


def cpu_clock(pid: int) -> int | None:
    """The clock id of another process's CPU time (Linux: ``(~pid << 3) | 2``)."""
    return (~pid << 3) | 2 if sys.platform == "linux" else None


class Sleep:
    """For how long a process has been seen asleep."""

    def __init__(self, pid: int) -> None:
        self._pid, self._clock = pid, cpu_clock(pid)
        self._computed, self._looked = self._cpu(), time.monotonic()
        self._since: float | None = None

    def look(self) -> float:
        """Seconds since it fell asleep, as far as the looks at it can say; 0 if it is awake."""
        now, computed = time.monotonic(), self._cpu()
        passed = max(now - self._looked, 1e-6)
        awake = (computed - self._computed) / passed > _COMPUTES or not self._sleeps()
        self._computed, self._looked = computed, now
        if awake:
            self._since = None
        elif self._since is None:
            self._since = now
        return 0.0 if self._since is None else now - self._since

    def _cpu(self) -> float:
        if self._clock is None:
            return 0.0
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # the process is gone, which others will find out
            return 0.0

    def _sleeps(self) -> bool:
        try:
            # The name in parentheses may hold spaces and parentheses of its own.
            state = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return False
        return state in "SD"


class Turns:
    """The right to use a worker: for ``size`` calls that compute, and up to ``most`` in all.

    What calls of one kind were last seen to do is taken for what the next of them will do, until it
    is seen to do otherwise.
    """

    def __init__(self, size: int, most: int) -> None:
        self._size, self._most = size, most
        self._change = threading.Condition()
        self._holders: list[_Holder] = []
        self._sleeps: dict[Hashable, bool] = {}
        self._last_look = 0.0

    @contextlib.contextmanager
    def turn(self, kind: Hashable) -> Iterator[Callable[[int], None]]:
        """Wait for the right, and give it back; what is yielded is told who does the work."""
        with self._change:
            while not self._free():
                self._change.wait(LOOK_S if len(self._holders) < self._most else None)
            holder = _Holder(kind, self._sleeps.get(kind, False))
            self._holders.append(holder)
        try:
            yield holder.work
        finally:
            with self._change:
                self._holders.remove(holder)
                self._change.notify()

    def _free(self) -> bool:
        if len(self._holders) >= self._most:
            return False
        # Whichever of the waiting looks: not more often for there being many of them.
        if self._awake() >= self._size and time.monotonic() - self._last_look >= LOOK_S:
            self._last_look = time.monotonic()
            for holder in self._holders:
                holder.look()
                self._sleeps[holder.kind] = holder.sleeps
        return self._awake() < self._size

    def _awake(self) -> int:
        return sum(not holder.sleeps for holder in self._holders)


class _Holder:
    """Who has a turn, and whether it sleeps."""

    def __init__(self, kind: Hashable, sleeps: bool) -> None:
        self.kind, self.sleeps = kind, sleeps
        self._began = time.monotonic()
        self._sleep: Sleep | None = None

    def work(self, pid: int) -> None:
        """The process that works is this one."""
        self._began, self._sleep = time.monotonic(), Sleep(pid)

    def look(self) -> None:
        """See whether it sleeps; what has only just begun is not looked at yet."""
        if self._sleep is None or time.monotonic() - self._began < _ASLEEP_S:
            return
        slept = self._sleep.look()
        self.sleeps = slept >= _ASLEEP_S or (self.sleeps and slept > 0)
