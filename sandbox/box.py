"""The sandbox: judged code goes in, what it wrote comes out, and nothing else does."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal, get_args

from rewardkit.errors import UsageError
from rewardkit.sandbox.errors import SandboxError
from rewardkit.sandbox.execution import Request, execute
from rewardkit.sandbox.inside.job import NAMESPACES, PROCESS, PROGRAM
from rewardkit.sandbox.limits import Limits, usable_cpus
from rewardkit.sandbox.probe import SandboxReport, require
from rewardkit.sandbox.result import ExecutionResult

__all__ = ["Isolation", "Sandbox"]

Isolation = Literal["auto", "namespaces", "process"]

_PAGE = 4096
_OWN_ROOM = 1 << 19  # bytes of the scratch that our own copy of the program may take
_ATTEMPTS = 3  # of which all but the first follow a failure to start the program at all


class Sandbox:
    """Runs Python programs that nobody trusts.

    Each run is a fresh interpreter with the standard library alone, in namespaces of its own: no
    network, a minimal read-only file system, a private scratch folder, no other process in sight;
    it has no rights, a filter on its system calls, and hard limits on time, memory, processes,
    disk and output. After it nothing is left, daemons included. Works from any thread, beside
    CUDA and after a fork; from async code call :meth:`run` through ``asyncio.to_thread``.

    Args:
        isolation: ``"namespaces"``, or ``"auto"`` (the same: the strongest that works; nothing
            weaker is chosen silently). ``"process"`` is an ordinary process with limits: it can
            read what its user can read, and needs ``accept_weak_isolation=True``.
        workers: how many programs may run at once; further callers wait. Default: one per usable
            CPU.
        accept_weak_isolation: the second word that ``"process"`` asks for.

    Raises:
        SandboxUnavailable: the isolation does not work on this machine; found out by trying,
            when the sandbox is made.
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
        accept_weak_isolation: bool = False,
    ) -> None:
        _check_isolation(isolation, accept_weak_isolation)
        if workers is not None and workers < 1:
            raise UsageError(f"workers must be at least 1 (or None), got {workers!r}")
        self._arguments = (isolation, workers, accept_weak_isolation)
        self._workers = workers or usable_cpus()
        self._report = require(PROCESS if isolation == PROCESS else NAMESPACES)
        self._closed = False
        self._renew()

    def _renew(self) -> None:
        self._owner = os.getpid()
        self._free = threading.BoundedSemaphore(self._workers)

    def __repr__(self) -> str:
        return f"Sandbox({self._report.isolation!r}, workers={self._workers})"

    def __reduce__(self) -> tuple[object, tuple[Isolation, int | None, bool]]:
        return _restore, self._arguments

    def run(
        self,
        source: str,
        *,
        stdin: bytes = b"",
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
    ) -> ExecutionResult:
        """Run a program to its end, or to its first limit.

        Args:
            source: Python source; it runs as ``__main__``, as ``program.py`` in its scratch
                folder, which is its working directory and ``$HOME``.
            stdin: what it reads there.
            files: further files in that folder, by relative path.
            limits: default :class:`Limits()`.

        Returns:
            What happened; whatever the program does becomes a status and never an exception.
            ``"infrastructure_error"`` means that it could not be started, three times over.

        Raises:
            UsageError: an argument of the wrong type, a path that leads out of the folder, or
                files that do not fit on the disk. Never for anything about the text of
                ``source``, which may be hostile.
            SandboxError: the sandbox is closed.
        """
        limits = limits if limits is not None else Limits()
        request = _request(source, stdin, files or {}, limits, self._report.isolation)
        if self._owner != os.getpid():  # after a fork the permits may be held by nobody
            self._renew()
        if self._closed:
            raise SandboxError("this Sandbox is closed")
        with self._free:
            return _persistently(request)

    @property
    def workers(self) -> int:
        """How many programs may run at once."""
        return self._workers

    def report(self) -> SandboxReport:
        """What holds here, found out by trying; belongs in the record of every run."""
        return self._report

    def close(self) -> None:
        """Refuse further runs. Those under way end by their limits; nothing else is kept open."""
        self._closed = True

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _restore(isolation: Isolation, workers: int | None, accept_weak: bool) -> Sandbox:
    """Unpickle: in another process, perhaps on another machine, so it probes anew."""
    return Sandbox(isolation, workers, accept_weak_isolation=accept_weak)


def _check_isolation(isolation: str, accept_weak: bool) -> None:
    if isolation not in get_args(Isolation):
        known = ", ".join(map(repr, get_args(Isolation)))
        raise UsageError(f"isolation must be one of {known}, got {isolation!r}")
    if isolation == PROCESS and not accept_weak:
        raise UsageError(
            'isolation="process" is weak: judged code can read whatever its user can read. If '
            "that is meant, say accept_weak_isolation=True as well."
        )


def _persistently(request: Request) -> ExecutionResult:
    """Run it, and again if it never started: judged code cannot cause that, a full machine can."""
    for _ in range(_ATTEMPTS):
        try:
            result = execute(request)
        except OSError as error:  # no descriptors, processes or memory left for ourselves
            result = ExecutionResult("infrastructure_error", reason=f"cannot start: {error}")
        if result.status != "infrastructure_error":
            break
    return result


def _request(
    source: str, stdin: bytes, files: Mapping[str, bytes], limits: Limits, isolation: str
) -> Request:
    if not isinstance(source, str):
        raise UsageError(f"source must be str, got {type(source).__name__}")
    if not isinstance(stdin, bytes):
        raise UsageError(f"stdin must be bytes, got {type(stdin).__name__}")
    _check_files(files, limits)
    # A model may write lone surrogates: they must fail there (as a syntax error), not here.
    encoded = source.encode("utf-8", "surrogatepass")
    return Request(encoded, stdin, files, limits, isolation)


def _check_files(files: Mapping[str, bytes], limits: Limits) -> None:
    room = _OWN_ROOM
    for name, data in files.items():
        _check_file(name, data)
        parents = PurePosixPath(name).parents
        if any(str(parent) in files for parent in parents):
            raise UsageError(f"files[{name!r}] lies in a folder that is itself among the files")
        room += len(data) + _PAGE * (1 + len(parents))
    if room > limits.disk_mb << 20:
        raise UsageError(
            f"the files take {room} bytes, more than disk_mb={limits.disk_mb} allows; "
            "raise that limit"
        )


def _check_file(name: str, data: bytes) -> None:
    if not isinstance(data, bytes):
        raise UsageError(f"files[{name!r}] must be bytes, got {type(data).__name__}")
    parts = name.split("/")
    if name == PROGRAM or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"files must have plain relative paths inside the folder, other than {PROGRAM!r}; "
            f"got {name!r}"
        )
