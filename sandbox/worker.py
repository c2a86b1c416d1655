"""One warm worker: a process that calls trusted functions and is killed when they run away."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO, Any, Literal

from rewardkit.sandbox import worker_child
from rewardkit.sandbox.errors import (
    SandboxError,
    WorkerFunctionError,
    WorkerLoadError,
    WorkerTimeout,
)
from rewardkit.sandbox.reference import FunctionRef, main_location
from rewardkit.sandbox.turns import LOOK_S, Sleep, cpu_clock

__all__ = ["LOAD_S", "Died", "Worker"]

LOAD_S = 120.0
"""Clock seconds that a worker may take to start and to import a function's module."""

_LOG_CHARS = 2000
_LOOKS = 3
"""Looks at a process, one after another, before it counts as asleep."""
_MAX_SLICE_S = 60.0  # poll() takes milliseconds in an int: never hand it an unbounded wait


class Died(Exception):  # noqa: N818 - private event between the worker and its pool
    """The worker's process is gone."""


class _Budget:
    """What is left of a call's CPU and wall seconds.

    The CPU clock is the child's own, read from here: it needs no signal, no thread and no help
    from a process that may be stuck in C code. Where the platform has no such clock, only the
    wall limit holds.
    """

    def __init__(
        self,
        pid: int,
        cpu_s: float | None,
        wall_s: float,
        wall: Literal["wall", "load"] = "wall",
        asleep_s: float | None = None,
    ) -> None:
        self._clock = cpu_clock(pid) if cpu_s is not None else None
        self._cpu_s = cpu_s if cpu_s is not None and self._clock is not None else math.inf
        self._cpu_0 = self._cpu_now()
        self._wall_s, self._wall = wall_s, wall
        self._end = time.monotonic() + wall_s
        self._asleep_s = math.inf if asleep_s is None else asleep_s
        self._wake = self._end - wall_s + self._asleep_s
        self._sleep = None if asleep_s is None else Sleep(pid)

    def next_slice_ms(self) -> int:
        """How long to wait before looking again. Raises :class:`WorkerTimeout` when all is used."""
        wall_left = self._end - time.monotonic()
        if wall_left <= 0:
            raise WorkerTimeout(self._wall, self._wall_s)
        cpu_left = self._cpu_s - (self._cpu_now() - self._cpu_0)
        if cpu_left <= 0:
            raise WorkerTimeout("cpu", self._cpu_s)
        # One thread cannot use CPU faster than the clock runs: nothing can happen before.
        slices = [wall_left, cpu_left, _MAX_SLICE_S]
        if self._sleep is not None:
            slices.append(self._until_it_is_awake(self._sleep))
        return math.ceil(1000 * min(slices))

    def _until_it_is_awake(self, sleep: Sleep) -> float:
        """Seconds until the next look at whether the call sleeps past its time, which is over as
        soon as it is seen asleep for a while. Raises :class:`WorkerTimeout` then."""
        left = self._wake - time.monotonic()
        if left > _LOOKS * LOOK_S:
            return left - _LOOKS * LOOK_S
        if sleep.look() >= (_LOOKS - 1) * LOOK_S and left <= 0:
            raise WorkerTimeout("wall", self._asleep_s)
        return LOOK_S

    def _cpu_now(self) -> float:
        if self._clock is None:
            return 0.0
        try:
            return time.clock_gettime(self._clock)
        except OSError as error:
            raise Died from error


class Worker:
    """A process of its own session, started with ``subprocess``: never a fork of the caller.

    Used by one thread at a time. Holding ``lifeline`` open keeps it alive: the process ends with
    its caller, however that ends.
    """

    def __init__(self, memory_mb: int | None, idle_s: float | None) -> None:
        here, there = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives with the worker
        try:
            self._process = _start(there.fileno(), lifeline, self._log)
        except OSError as error:
            here.close()
            os.close(self._lifeline)
            self._log.close()
            raise SandboxError(f"cannot start a worker with {sys.executable!r}: {error}") from error
        finally:
            there.close()
            os.close(lifeline)
        self._sock = here
        self._frames = worker_child.Frames(here)
        self._pidfd = _pidfd(self._process.pid)
        self._events = _poller(here.fileno(), self._pidfd)
        self._loaded: dict[FunctionRef, int] = {}
        hello = {"main": main_location(), "memory_mb": memory_mb, "idle_s": idle_s}
        self._hello: bytes | None = pickle.dumps(hello)

    @property
    def pid(self) -> int:
        """Process id; also of its process group."""
        return self._process.pid

    def call(
        self,
        ref: FunctionRef,
        payload: bytes,
        cpu_s: float | None,
        wall_s: float,
        asleep_s: float | None = None,
    ) -> Any:
        """Call the function with pickled ``(args, kwargs)`` and return what it returned.

        Raises:
            WorkerTimeout: a limit was passed; the process still runs and must be killed.
            WorkerLoadError, WorkerFunctionError: as their names say; the worker is fit for more.
            Died: the process is gone.
        """
        key = self._loaded.get(ref)
        if key is None:
            key = self._load(ref)
        budget = _Budget(self.pid, cpu_s, wall_s, asleep_s=asleep_s)
        reply = self._ask(("call", key, payload), budget)
        if reply[0] == "ok":
            return reply[1]
        raise WorkerFunctionError(*reply[1:])

    def _load(self, ref: FunctionRef) -> int:
        """Have the function imported: its own limit, so that no call pays for a cold start."""
        key = len(self._loaded)
        reply = self._ask(
            ("load", key, ref.message()), _Budget(self.pid, None, LOAD_S, wall="load")
        )
        if reply[0] != "ok":
            raise WorkerLoadError(*reply[1:])
        self._loaded[ref] = key
        return key

    def _ask(self, request: tuple[str, int, object], budget: _Budget) -> tuple[Any, ...]:
        try:
            self._send(pickle.dumps(request, pickle.HIGHEST_PROTOCOL), budget)
            data = self._frames.receive(lambda: self._wait(budget))
        except (EOFError, OSError) as error:
            raise Died from error
        try:
            return pickle.loads(data)  # type: ignore[no-any-return]
        except Exception as error:  # unpickling runs the class's own code: it may raise anything
            raise WorkerFunctionError(
                type(error).__name__, f"its result cannot be unpickled here: {error}", ""
            ) from error

    def _send(self, message: bytes, budget: _Budget) -> None:
        # A worker that is stopped would let a large message block for ever.
        self._sock.settimeout(max(0.001, budget.next_slice_ms() / 1000))
        try:
            if self._hello is not None:
                self._frames.send(self._hello)
                self._hello = None
            self._frames.send(message)
        except TimeoutError:
            budget.next_slice_ms()
            raise

    def _wait(self, budget: _Budget) -> None:
        """Block until there is something to read."""
        while True:
            ready = {fd for fd, _ in self._events.poll(budget.next_slice_ms())}
            if self._sock.fileno() in ready:
                return
            if ready:  # only the process's own end: a grandchild may still hold the socket
                raise EOFError

    def is_alive(self) -> bool:
        """Whether the process runs and has said nothing unasked (it may have left when idle)."""
        return not self._events.poll(0)

    def kill(self) -> None:
        """Kill it with its whole process group, and reap it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Not reaped yet, so the number cannot have passed to somebody else's group.
            if self._process.returncode is None and _is_child(self.pid):
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._close()

    def autopsy(self) -> tuple[int | None, str]:
        """Kill what is left; the exit code, and the end of what it said on stderr."""
        if self._pidfd >= 0:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            ended.poll(1000)  # let it end by itself, so that the exit code is its own
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), _LOG_CHARS, max(0, size - _LOG_CHARS))
        self.kill()
        return self._process.returncode, tail.decode("utf-8", "replace").strip()

    def forget(self) -> None:
        """Let go of it without harm: after a fork it is the other process's worker.

        Its descriptors must go too: a copy of the lifeline would keep it alive after its caller.
        """
        self._process.returncode = 0  # else Popen would warn, and try to wait for it
        self._close()

    def _close(self) -> None:
        self._sock.close()
        self._log.close()
        for fd in (self._lifeline, self._pidfd):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._lifeline = self._pidfd = -1


def _start(sock: int, lifeline: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: the script's own folder must not stand on the path, its names would shadow others.
    command = [sys.executable, "-P", worker_child.__file__, str(sock), str(lifeline)]
    # Sets in the same order in every worker: sympy's search, and with it what a verdict costs,
    # follows the order in which it meets things.
    return subprocess.Popen(
        command,
        env={"PYTHONHASHSEED": "0", **os.environ},
        pass_fds=(sock, lifeline),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,  # Ctrl-C in the terminal is the caller's affair
    )


def _is_child(pid: int) -> bool:
    """False once it has been reaped, be it by a caller who takes every child that has ended."""
    if not hasattr(os, "waitid"):
        return True
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _pidfd(pid: int) -> int:
    """A descriptor that becomes readable when the process ends; -1 where there is none."""
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return -1
    try:
        return int(opener(pid))
    except OSError:
        return -1


def _poller(sock: int, pidfd: int) -> select.poll:
    events = select.poll()
    events.register(sock, select.POLLIN)
    if pidfd >= 0:
        events.register(pidfd, select.POLLIN)
    return events
