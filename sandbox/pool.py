"""Warm workers behind one ``call``: for trusted functions that may never come back.

Symbolic maths and users' reward functions run here, *not* judged code: a worker has all the
rights of its caller (judged code belongs in :class:`rewardkit.sandbox.Sandbox`). What it adds is a
limit that holds: against C code that never looks at a signal, from any thread, beside CUDA.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rewardkit.errors import UsageError
from rewardkit.sandbox.errors import (
    SandboxError,
    SandboxUnavailable,
    WorkerFunctionError,
    WorkerLoadError,
    WorkerLost,
    WorkerRecursion,
)
from rewardkit.sandbox.limits import usable_cpus
from rewardkit.sandbox.reference import FunctionRef
from rewardkit.sandbox.turns import Turns
from rewardkit.sandbox.worker import Died, Worker
from rewardkit.sandbox.worker_child import LOADING_MAIN

__all__ = ["WorkerPool", "shared_pool"]

_SHARED_MAX = 8  # a worker that has imported sympy holds about 60 MB
_SHARED_WAITING = 64  # those that only wait have mostly imported less


class _Crew:
    """The workers of one pool and the right to use them; belongs to the process that made it."""

    def __init__(self, size: int, most: int, memory_mb: int | None, idle_s: float | None) -> None:
        self.size, self._most = size, most
        self._memory_mb, self._idle_s = memory_mb, idle_s
        self.closed = False
        self._all: set[Worker] = set()
        self._renew()
        _crews.add(self)

    def _renew(self) -> None:
        self._owner = os.getpid()
        self._idle: deque[Worker] = deque()
        self._lock = threading.Lock()
        self._turns = Turns(self.size, self._most)

    def forget(self) -> None:
        """After a fork: the workers are the parent's, and so may be the locks' holders."""
        for worker in self._all:
            worker.forget()
        self._all = set()
        self._renew()

    @contextlib.contextmanager
    def slot(self, kind: FunctionRef) -> Iterator[Callable[[int], None]]:
        """Wait for the right to use one worker; what is yielded is to be told its process."""
        if self._owner != os.getpid():  # a fork by C code, of which Python heard nothing
            self.forget()
        with self._turns.turn(kind) as work:
            yield work

    def take(self) -> Worker:
        """A live worker, the most recently used one first."""
        while True:
            with self._lock:
                if self.closed:
                    raise SandboxError("this WorkerPool is closed")
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return self._start()
            if worker.is_alive():
                return worker
            self.discard(worker)

    def _start(self) -> Worker:
        script = os.environ.get(LOADING_MAIN)
        if script is not None:
            raise WorkerRecursion(
                f"{script} asks for a worker while a worker loads it, which would go on without "
                f'end: put what the script does under if __name__ == "__main__":'
            )
        worker = Worker(self._memory_mb, self._idle_s)
        with self._lock:
            self._all.add(worker)
        return worker

    def give_back(self, worker: Worker) -> None:
        with self._lock:
            if not self.closed:
                self._idle.append(worker)
                return
        self.discard(worker)

    def discard(self, worker: Worker) -> None:
        """Kill a worker that is no use any more."""
        with self._lock:
            self._all.discard(worker)
        worker.kill()

    def close(self) -> None:
        """Kill the idle workers; busy ones follow when their call ends."""
        if self._owner != os.getpid():
            return
        with self._lock:
            self.closed = True
            idle = list(self._idle)
            self._idle.clear()
        for worker in idle:
            self.discard(worker)


_crews: weakref.WeakSet[_Crew] = weakref.WeakSet()


def _forget_all() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()  # a thread that is not here any more may have held it
    for crew in list(_crews):
        crew.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class WorkerPool:
    """Up to ``size`` warm workers, started when first needed and replaced when killed.

    Safe from any thread; from async code call it through ``asyncio.to_thread``; after ``os.fork``
    the child starts workers of its own. Workers end with the pool, with the process that made it,
    and after ``idle_s`` seconds without work.

    Args:
        size: how many calls may run at once; further callers wait.
        most: how many, counting those that sleep: a call that waits for something lets another go
            beside it. ``None``: as many as ``size``.
        memory_mb: private memory of one worker in MiB (``RLIMIT_DATA``); ``None``: no limit.
        idle_s: seconds without work after which a worker leaves; ``None``: never.

    Example:
        >>> import math
        >>> with WorkerPool() as pool:
        ...     pool.call(FunctionRef.of(math.sqrt), (9,), cpu_s=1.0, wall_s=10.0)
        3.0
    """

    def __init__(
        self,
        size: int = 1,
        *,
        most: int | None = None,
        memory_mb: int | None = 4096,
        idle_s: float | None = 300.0,
    ) -> None:
        if os.name != "posix":
            raise SandboxUnavailable("workers need a POSIX system (Linux, macOS, WSL)")
        if size < 1:
            raise UsageError(f"size must be at least 1, got {size!r}")
        if most is not None and most < size:
            raise UsageError(f"most must be at least size = {size} (or None), got {most!r}")
        if memory_mb is not None and memory_mb < 64:
            raise UsageError(f"memory_mb must be at least 64 (or None), got {memory_mb!r}")
        if idle_s is not None and not idle_s > 0:
            raise UsageError(f"idle_s must be positive (or None), got {idle_s!r}")
        self._crew = _Crew(size, size if most is None else most, memory_mb, idle_s)
        self._finalizer = weakref.finalize(self, self._crew.close)

    def __repr__(self) -> str:
        state = ", closed" if self._crew.closed else ""
        return f"WorkerPool(size={self._crew.size}{state})"

    def call(
        self,
        ref: FunctionRef,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        cpu_s: float | None,
        wall_s: float,
        asleep_s: float | None = None,
    ) -> Any:
        """Call the function in a worker and return what it returned.

        The limits cover the call alone: neither the wait for a free worker, nor its start, nor the
        import of the function's module (which has ``LOAD_S`` seconds of its own).

        Args:
            ref: from :meth:`FunctionRef.of`.
            args, kwargs: must be picklable, as must be the result.
            cpu_s: processor seconds of the call, the limit that load on the machine does not
                bend (Linux; elsewhere only ``wall_s`` holds). A function that computes in several
                threads at once may overrun it by that factor. ``None``: no such limit.
            wall_s: clock seconds, the generous backstop.
            asleep_s: clock seconds after which a call that sleeps is ended, which load on the
                machine does not bend either. ``None``: at ``wall_s``.

        Raises:
            WorkerTimeout: a limit was passed; the worker's process group was killed.
            WorkerFunctionError: the function raised; carries type, message and traceback as text.
            WorkerLoadError: the worker could not import the function.
            WorkerLost: the process died, and a fresh one with the same call too.
            UsageError: a limit is not positive, or the arguments cannot be pickled.
        """
        _check_limits(cpu_s, wall_s, asleep_s)
        payload = _pickled(args, kwargs)
        with self._crew.slot(ref) as works:
            run = (ref, payload, cpu_s, wall_s, asleep_s)
            try:
                return self._attempt(works, *run)
            except WorkerLost:
                # Once more: the first may have died of its past (an idle exit, the OOM killer).
                return self._attempt(works, *run)

    def _attempt(self, works: Callable[[int], None], *run: Any) -> Any:
        worker = self._crew.take()
        fit = False
        try:
            works(worker.pid)
            result = worker.call(*run)
            fit = True
            return result
        except Died:
            raise WorkerLost(*worker.autopsy()) from None
        except SandboxError as error:
            fit = _is_fit_after(error)
            raise
        finally:
            # Also on KeyboardInterrupt: a worker whose reply nobody read is out of step.
            if fit:
                self._crew.give_back(worker)
            else:
                self._crew.discard(worker)

    def close(self) -> None:
        """Kill the workers. Calls that run now end by their limits; later ones are refused."""
        self._crew.close()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_fit_after(error: SandboxError) -> bool:
    """Whether a worker may go on. After a MemoryError it may still hold what filled it."""
    if not isinstance(error, WorkerFunctionError | WorkerLoadError):
        return False
    return error.type_name != "MemoryError"


def _check_limits(cpu_s: float | None, wall_s: float, asleep_s: float | None) -> None:
    if not wall_s > 0:
        raise UsageError(f"wall_s must be positive, got {wall_s!r}")
    for name, value in (("cpu_s", cpu_s), ("asleep_s", asleep_s)):
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be positive (or None), got {value!r}")


def _pickled(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> bytes:
    try:
        return pickle.dumps((args, dict(kwargs or {})), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling runs the objects' own code: it may raise anything
        raise UsageError(f"arguments of a worker's call must be picklable: {error}") from error


_shared: WorkerPool | None = None
_shared_lock = threading.Lock()


def shared_pool() -> WorkerPool:
    """The pool of this process, made at first need: one worker per usable CPU, at most eight, and
    up to 64 while most of them sleep."""
    global _shared
    with _shared_lock:
        if _shared is None or _shared._crew.closed:
            _shared = WorkerPool(min(usable_cpus(), _SHARED_MAX), most=_SHARED_WAITING)
        return _shared
