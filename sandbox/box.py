"""The sandbox: judged code goes in, what it wrote comes out, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from rewardkit.errors import UsageError
from rewardkit.sandbox.checks import calls_request, program_request
from rewardkit.sandbox.execution import STOPPED, Request, run_calls, run_program, start_program
from rewardkit.sandbox.lane import Lane, LaneFailed, LaneLost
from rewardkit.sandbox.limits import Limits, usable_cpus
from rewardkit.sandbox.profiles import Preload, profile_of
from rewardkit.sandbox.program import Job, Program
from rewardkit.sandbox.result import CallResult, Calls, ExecutionResult, ExecutionStatus
from rewardkit.sandbox.tiers import Isolation, SandboxReport, check_isolation, open_lanes

__all__ = ["Sandbox"]

_ATTEMPTS = 3
_LIMITS = Limits()  # made once: each one made is checked anew
_Result = TypeVar("_Result")


class Sandbox:
    """Runs Python programs that nobody trusts.

    Interpreters are kept warm in *lanes*; each run is a fork of one, with the standard library
    alone, in namespaces of its own: no network, a minimal read-only file system, a private scratch
    folder, no other process in sight, no rights, a filter on its system calls, and hard limits on
    time, memory, processes, disk and output. After it nothing is left, daemons included. Works from
    any thread, from async code (:meth:`arun`), beside CUDA and after a fork (the lanes are made
    anew there). Lanes end with the sandbox, and with the process that made it.

    Args:
        isolation: ``"namespaces"``; ``"landlock"``, which works as an ordinary user where
            namespaces are forbidden (as in Docker's default profile), and lets judged code start no
            process and write no file; ``"auto"``: the first of these that works here, and never
            anything weaker. ``"none"`` isolates nothing and needs ``accept_no_isolation=True``.
        workers: how many programs may run at once; further callers wait. Default: one per usable
            CPU.
        preload: what is imported before any program: ``"stdlib"``, ``"numpy"``, or further modules
            by name. Judged code can import these and the standard library.
        scratch: whether judged code may write files, in its working directory. ``None``: where
            their sum can be bounded, which is in namespaces (always there).
        accept_no_isolation: the second word that ``"none"`` asks for.

    Raises:
        SandboxUnavailable: no isolation works on this machine as asked; found out by trying, when
            the sandbox is made.
        UsageError: an argument makes no sense.

    Example:
        >>> with Sandbox() as box:
        ...     result = box.run("print(sum(map(int, input().split())))", stdin=b"1 2 3")
        >>> result.status, result.stdout
        ('ok', b'6\\n')
    """

    def __init__(
        self,
        isolation: Isolation = "auto",
        workers: int | None = None,
        *,
        preload: Preload = "stdlib",
        scratch: bool | None = None,
        accept_no_isolation: bool = False,
    ) -> None:
        check_isolation(isolation, accept_no_isolation)
        if workers is not None and workers < 1:
            raise UsageError(f"workers must be at least 1 (or None), got {workers!r}")
        self._arguments = (isolation, workers, preload, scratch, accept_no_isolation)
        profile = profile_of(preload)
        self._lanes, self._report = open_lanes(
            isolation, workers or usable_cpus(), profile, scratch
        )
        self._threads: ThreadPoolExecutor | None = None
        self._threads_owner = 0
        self._end = weakref.finalize(self, self._lanes.close)

    def __repr__(self) -> str:
        return f"Sandbox({self._report.isolation!r}, workers={self.workers})"

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _restore, self._arguments

    def run(
        self,
        source: str,
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> ExecutionResult:
        """Run a program to its end, or to its first limit.

        Args:
            source: Python source; it runs as ``__main__``.
            stdin: what it reads there.
            files: further files in its working directory, by relative path.
            limits: default :class:`Limits()`.
            seed: seeds ``random``, and ``numpy.random`` where numpy is preloaded.

        Returns:
            What happened; whatever the program does becomes a status and never an exception.
            ``"infrastructure_error"`` means that it could not be started, on three lanes in turn.

        Raises:
            UsageError: an argument of the wrong type, a path that leads out of the folder, or
                files that do not fit on the disk. Never for anything about the text of
                ``source``, which may be hostile.
            SandboxError: the sandbox is closed.
        """
        return self._run(program_request(Job(source, stdin, files or {}, limits or _LIMITS, seed)))

    async def arun(
        self,
        source: str,
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
        seed: int = 0,
    ) -> ExecutionResult:
        """As :meth:`run`, from async code. Cancelling it ends the program."""
        job = Job(source, stdin, files or {}, limits or _LIMITS, seed)
        request, stop = program_request(job), _Stop()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor(), self._run, request, stop)
        try:
            return await running
        except asyncio.CancelledError:
            stop.now()
            raise

    def map(self, jobs: Iterable[Job]) -> list[ExecutionResult]:
        """Run many, as many at once as there are workers; the results are in the jobs' order.

        Raises:
            UsageError, SandboxError: as :meth:`run`.
        """
        requests = [program_request(job) for job in jobs]
        with ThreadPoolExecutor(min(self.workers, len(requests) or 1)) as threads:
            return list(threads.map(self._run, requests))

    def execute(
        self, program: Program, stdin: bytes, files: Mapping[str, bytes], limits: Limits
    ) -> ExecutionResult:
        """The one verb of every backend (:class:`~rewardkit.sandbox.Executor`). As :meth:`run`."""
        if program.language != "python":
            raise UsageError(f"this sandbox runs Python alone, got {program.language!r}")
        return self.run(program.source, stdin=stdin, files=files, limits=limits)

    def calls(
        self,
        driver: str,
        source: str,
        arguments: Sequence[bytes],
        *,
        limits: Limits | None = None,
        files: Mapping[str, bytes] | None = None,
        seed: int = 0,
        reply_kb: int = 1024,
        budget_s: float | None = None,
    ) -> Calls:
        """Load a source once and make calls, each in a copy of the process that has loaded it.

        A crash, an exit, a limit or a changed global costs that call alone. (In the landlock tier,
        where judged code may not fork, each call is made in a copy of a process that has run the
        driver, and loads the source anew.)

        Args:
            driver: Python text that is run first, in that same process (or, in the landlock tier,
                before it in one that the calls' are copies of), and defines
                ``load(source: str) -> bytes | None`` (``None``: ready for calls; bytes: why not)
                and ``call(argument: bytes) -> bytes``. Once judged code is loaded nothing in there
                is trusted any more, so there must be nothing secret in it.
            source: judged code, for ``load``.
            arguments: what each call is given.
            limits: for loading, and again for each call. Output is thrown away.
            files: as in :meth:`run`; files that one call writes the next can see.
            seed: as in :meth:`run`.
            reply_kb: most KiB that ``load`` or one call may give back.
            budget_s: CPU seconds over all of it; calls that would begin after that are not made
                (but one is). A call that runs into a limit on time, the clock's as well, counts
                for ``limits.cpu_s`` at least.

        Returns:
            What became of the loading, and of each call that was made.

        Raises:
            UsageError, SandboxError: as :meth:`run`; also for a driver that does not compile.
        """
        request = calls_request(
            Job(source, b"", files or {}, limits or _LIMITS, seed),
            driver,
            arguments,
            reply_kb,
            budget_s,
        )
        return self._on_a_lane(lambda lane: run_calls(lane, request), _unloaded)

    def pair(self, first: Job, second: Job) -> tuple[ExecutionResult, ExecutionResult]:
        """Run two programs at once, in lanes of their own, with a socket between them.

        Each has its end of it as descriptor :data:`~rewardkit.sandbox.CHANNEL`, and sees it end
        when the other is gone. When ``first`` ends, ``second`` is ended too.

        Raises:
            UsageError, SandboxError: as :meth:`run`.
        """
        requests = program_request(first), program_request(second)
        for attempt in range(_ATTEMPTS):
            try:
                with self._lanes.lend_two() as lanes:
                    return _run_pair(lanes, requests)
            except (LaneFailed, LaneLost, OSError) as error:
                if attempt == _ATTEMPTS - 1:
                    failure = _lost(error)
        return failure, failure

    @property
    def workers(self) -> int:
        """How many programs may run at once."""
        return self._lanes.most

    def report(self) -> SandboxReport:
        """What holds here, found out by trying; belongs in the record of every run."""
        return self._report

    def close(self) -> None:
        """End all lanes. What is under way raises :class:`~rewardkit.sandbox.SandboxError`."""
        self._end()
        if self._threads is not None and self._threads_owner == os.getpid():
            self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, request: Request, stop: _Stop | None = None) -> ExecutionResult:
        def run(lane: Lane) -> ExecutionResult:
            return run_program(lane, request, stop.begun if stop else lambda *_: None)

        return self._on_a_lane(run, _lost)

    def _on_a_lane(
        self, run: Callable[[Lane], _Result], failed: Callable[[Exception], _Result]
    ) -> _Result:
        """Run, and again on a fresh lane if it never started: judged code cannot cause that, a
        full machine can."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._lanes.lend() as lane:
                    return run(lane)
            except (LaneFailed, LaneLost, OSError) as error:
                if attempt == _ATTEMPTS - 1:
                    return failed(error)
        raise AssertionError("unreachable")

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None or self._threads_owner != os.getpid():
            self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="rewardkit-sandbox")
            self._threads_owner = os.getpid()
        return self._threads


class _Stop:
    """Ends a run that may not have begun yet, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: tuple[Lane, int] | None = None
        self._is_set = False

    def begun(self, lane: Lane, serial: int) -> None:
        with self._lock:
            self._running = (lane, serial)
            if self._is_set:
                lane.stop(serial)

    def now(self) -> None:
        with self._lock:
            self._is_set = True
            if self._running is not None:
                lane, serial = self._running
                lane.stop(serial)


def _restore(
    isolation: Isolation,
    workers: int | None,
    preload: Preload,
    scratch: bool | None,
    accept_no_isolation: bool,
) -> Sandbox:
    """Unpickle: in another process, perhaps on another machine, so it probes anew."""
    return Sandbox(
        isolation,
        workers,
        preload=preload,
        scratch=scratch,
        accept_no_isolation=accept_no_isolation,
    )


def _lost(error: Exception) -> ExecutionResult:
    status, reason = _fault(error)
    return ExecutionResult(status, reason=reason)


def _unloaded(error: Exception) -> Calls:
    status, reason = _fault(error)
    return Calls(CallResult(status, reason=reason))


def _fault(error: Exception) -> tuple[ExecutionStatus, str]:
    """Whose fault it is that there is no answer, after all attempts."""
    if isinstance(error, LaneLost) and error.armed:
        # Three lanes in turn died while it ran: that is no accident.
        return "signal", f"{error} while it ran, {_ATTEMPTS} times"
    return "infrastructure_error", f"cannot start: {error}"


def _run_pair(
    lanes: tuple[Lane, Lane], requests: tuple[Request, Request]
) -> tuple[ExecutionResult, ExecutionResult]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with (
        ends[0],
        ends[1],
        start_program(lanes[0], requests[0], ends[0].fileno()) as first,
        start_program(lanes[1], requests[1], ends[1].fileno()) as second,
    ):
        for end in ends:
            end.close()  # so that each sees the other go
        result = first.result()
        lanes[1].stop(second.serial)
        partner = second.result()
    if partner.reason == STOPPED:
        partner = replace(partner, reason="ended with its partner")
    return result, partner
