"""Running calls under a time limit: in a worker that is killed, or in a thread that is left behind.

The hard way needs a function that another process can find by name. For the rest (lambdas,
closures, functions of a notebook) Python offers no way to stop a running call, so the limit is
soft: the caller goes on, and the thread is abandoned and counted. Calls run one after another, as
in a plain loop; after a few overruns in a batch the rest run side by side, so that many texts that
hang cost little more than one.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = [
    "MAX_ABANDONED",
    "MAX_IN_TURN",
    "Failed",
    "Lost",
    "Overrun",
    "abandoned_threads",
    "attempt",
    "run_soft",
]

MAX_IN_TURN = 3
"""Overruns of one part in one batch after which its other calls run side by side."""
MAX_SIDE_BY_SIDE = 32
MAX_ABANDONED = 512
"""Threads left behind in this process after which no further call gets a soft limit."""

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
    """The call ran past its limit.

    ``computing`` is True if it was processor time that ran out: then the text made the function
    compute too long, where a clock alone may have run out over a slow network or a busy machine.
    """

    limit_s: float
    how: str
    computing: bool = False


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
        if abandoned_threads() >= MAX_ABANDONED:
            how = f"not called: {MAX_ABANDONED} calls before it in this process never ended"
            return done + [Overrun(limit_s, how)] * (len(calls) - len(done))
        if overruns == MAX_IN_TURN:
            rest = calls[len(done) : len(done) + MAX_SIDE_BY_SIDE]
            done += _side_by_side(rest, limit_s)
            continue
        runner = _Runner(calls[len(done) :])
        try:
            while len(done) < len(calls):
                done.append(runner.results.get(timeout=limit_s))
        except queue.Empty:
            overruns += 1
            done.append(_left(runner, limit_s))
    return done


def _side_by_side(calls: Sequence[Callable[[], R]], limit_s: float) -> list[Any]:
    """Each call in a thread of its own, all under one deadline."""
    runners = [_Runner([call]) for call in calls]
    deadline = time.monotonic() + limit_s
    done: list[Any] = []
    for runner in runners:
        try:
            done.append(runner.results.get(timeout=max(0.0, deadline - time.monotonic())))
        except queue.Empty:
            done.append(_left(runner, limit_s))
    return done


def _left(runner: _Runner[Any], limit_s: float) -> Overrun:
    runner.abandon()
    return Overrun(limit_s, "its thread was left running")
