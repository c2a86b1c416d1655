"""Threads for calls that may wait: one for each kind of call, more where they keep others waiting.

A reward that computes gains nothing from a second thread, and one that is not made for threads is
best called by one at a time. A reward that waits (for a service, a model elsewhere) must not be
waited for in turn. Which is which, nobody declares; it is seen: a lane in which nothing has ended
for a while, though the process computes nothing but its main work, gets twice as many threads.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Lanes"]

_TICK_S = 0.02
_COMPUTES = 0.2
"""Share of a tick that the process must have computed, beside its main thread, to count as busy."""

Call = Callable[[], None]


@dataclass(slots=True)
class _Lane:
    """Calls of one kind.

    Attributes:
        queue: those not begun.
        allowed: how many may run at the same time.
        running: how many threads work on them.
        ended: how many have ended, ever; ``seen`` is that number at the last look.
    """

    queue: deque[Call] = field(default_factory=deque)
    allowed: int = 1
    running: int = 0
    ended: int = 0
    seen: int = 0


class Lanes:
    """Runs calls, each kind in a lane of its own; what a lane has learned it keeps.

    Threads are daemons and end when there is no work: one that hangs holds up neither the others
    nor the end of the process.

    Args:
        most: calls of one lane that may run at the same time, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._watching = False
        self._main = threading.current_thread()

    def submit(self, lane: str, call: Call) -> None:
        """Run ``call``, which must not raise, when its lane has a thread for it."""
        with self._lock:
            mine = self._lanes.setdefault(lane, _Lane())
            mine.queue.append(call)
            self._start(mine)
            if mine.queue and not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="rewardkit-lanes", daemon=True).start()

    def drop(self) -> None:
        """Forget the calls that have not begun."""
        with self._lock:
            for lane in self._lanes.values():
                lane.queue.clear()

    def _start(self, lane: _Lane) -> None:
        """Threads for what waits, as many as are allowed; the lock is held."""
        for _ in range(min(len(lane.queue), lane.allowed - lane.running)):
            work = threading.Thread(target=self._work, args=(lane,), daemon=True)
            work.name = "rewardkit-reward"
            try:
                work.start()
            except RuntimeError:  # the system gives no more threads: those there are must do
                if not lane.running:
                    raise
                return
            lane.running += 1

    def _work(self, lane: _Lane) -> None:
        while True:
            with self._lock:
                if not lane.queue:
                    lane.running -= 1
                    return
                call = lane.queue.popleft()
            call()
            with self._lock:
                lane.ended += 1

    def _watch(self) -> None:
        """Widen the lanes in which nothing ends, for as long as something waits in any."""
        busy = _Busy(self._main)
        while True:
            time.sleep(_TICK_S)
            idle = busy.share() < _COMPUTES
            with self._lock:
                waiting = [lane for lane in self._lanes.values() if lane.queue]
                if not waiting:
                    self._watching = False
                    return
                for lane in waiting:
                    if idle and lane.ended == lane.seen:
                        lane.allowed = min(2 * lane.allowed, self._most)
                        self._start(lane)
                    lane.seen = lane.ended


class _Busy:
    """How much of the clock's time the process computes beside one of its threads, or would if the
    machine let it: one that waits for a processor does not wait for a service.

    The one left out is the trainer's own: it writes completions while rewards run, which says
    nothing about whether they compute.
    """

    def __init__(self, main: threading.Thread) -> None:
        self._main = main
        self._before = self._now()

    def share(self) -> float:
        """Seconds of all other threads over clock seconds, since the last call; may be above 1."""
        before, self._before = self._before, self._now()
        busy, passed = (now - then for now, then in zip(self._before, before, strict=True))
        return busy / max(passed, 1e-6)

    def _now(self) -> tuple[float, float]:
        try:
            busy = _seconds_of_threads(without=self._main.native_id)
        except OSError:
            # Other systems than Linux tell of the whole process only: there lanes are widened only
            # while the main thread waits too.
            busy = time.process_time()
        return busy, time.perf_counter()


def _seconds_of_threads(without: int | None) -> float:
    """Seconds that this process's threads have computed or waited for a processor."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        if task.name != str(without):
            # A thread that ends meanwhile takes its time with it, and has ended a call besides.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                computed, waited, _ = (task / "schedstat").read_text().split()
                total += int(computed) + int(waited)
    return total * 1e-9
