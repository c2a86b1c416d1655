"""Running calls under a time limit: in a worker that is killed, or in a thread that is left behind.

The hard way needs a function that another process can find by name. For the rest (lambdas,
closures, functions of a notebook) Python offers no way to stop a running call, so the limit is
soft: the caller goes on, the thread is abandoned and counted, and after ``MAX_ABANDONED`` of them
the part is not called again in this batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["MAX_ABANDONED", "Failed", "Lost", "Overrun", "abandoned_threads", "attempt", "run_soft"]

MAX_ABANDONED = 3

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Failed:
    """The call raised; ``told`` is what to say of it, where the error is not the function's own."""

    error: Exception
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died through no fault of the call."""

    why: str


@dataclass(frozen=True, slots=True)
class Overrun:
    """The call ran past its limit."""

    limit_s: float
    how: str


class _Count:
    """Threads left behind by soft limits since the process began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n = 0

    def add(self) -> None:
        with self._lock:
            self._n += 1

    def __call__(self) -> int:
        return self._n


abandoned_threads = _Count()


def attempt(call: Callable[[], R]) -> R | Failed:
    """The call's result, or what it raised, as a value."""
    try:
        return call()
    except Exception as error:
        return Failed(error)


class _Runner(Generic[R]):
    """Runs calls one after another in a daemon thread and reports each; stops when told to."""

    def __init__(self, calls: Sequence[Callable[[], R]]) -> None:
        self.results: queue.SimpleQueue[R | Failed] = queue.SimpleQueue()
        self._calls = calls
        self._stop = False
        # daemon: an abandoned call must not keep the interpreter from ending.
        threading.Thread(target=self._run, name="rewardkit-reward", daemon=True).start()

    def _run(self) -> None:
        for call in self._calls:
            if self._stop:
                return
            self.results.put(attempt(call))

    def abandon(self) -> None:
        self._stop = True
        abandoned_threads.add()


def run_soft(calls: Sequence[Callable[[], R]], limit_s: float) -> list[R | Failed | Overrun]:
    """Run calls in order, each for at most ``limit_s`` seconds of our patience."""
    done: list[Any] = []
    overruns = 0
    while len(done) < len(calls):
        if overruns == MAX_ABANDONED:
            how = f"not called: {MAX_ABANDONED} calls before it in this batch did not end"
            return done + [Overrun(limit_s, how)] * (len(calls) - len(done))
        runner = _Runner(calls[len(done) :])
        try:
            while len(done) < len(calls):
                done.append(runner.results.get(timeout=limit_s))
        except queue.Empty:
            runner.abandon()
            overruns += 1
            done.append(Overrun(limit_s, "its thread was left running"))
    return done
