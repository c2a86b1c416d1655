"""Keeping the limits from outside the program, and leaving nothing of it behind."""

from __future__ import annotations

import os
import resource
import select
import signal
import time

from . import namespaces
from .job import NAMESPACES, Job

__all__ = ["Watch"]

_TICK_MS = 10
_SLOW_TICK_MS = 25
_SLOW_AFTER_S = 1.0
_KILL_ROUNDS = 2000
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Watch:
    """Watches one program and whatever it starts, from a process that it cannot touch.

    CPU seconds and memory are sums over all of its processes: the kernel's own limits are per
    process, and a program may have many.
    """

    def __init__(self, job: Job, pid: int, outputs: tuple[int, int], lifeline: int) -> None:
        self._job, self._pid, self._outputs = job, pid, outputs
        self._lifeline = lifeline
        self._started = time.monotonic()
        self._events = select.poll()
        self._pidfd = os.pidfd_open(pid)
        self._events.register(self._pidfd, select.POLLIN)
        self._events.register(lifeline, 0)  # hang-up alone: the caller is gone
        self.cause = ""
        self.wait_status = 0
        self.wall_s = 0.0
        self.peak_mb = 0.0

    def run(self, nobody: int | None) -> None:
        """Return when the program has ended, by itself or by us, and nothing of it is left."""
        while not self._has_ended():
            self.cause = self._overrun()
            if self.cause:
                os.kill(self._pid, signal.SIGKILL)
                break
            self._sleep()
        self.wall_s = time.monotonic() - self._started
        self._end_all(nobody)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.peak_mb = max(self.peak_mb, usage.ru_maxrss / 1024)

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all that has ended and was reaped here."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def _sleep(self) -> None:
        slow = time.monotonic() - self._started > _SLOW_AFTER_S
        for fd, _ in self._events.poll(_SLOW_TICK_MS if slow else _TICK_MS):
            if fd == self._lifeline:
                self.cause = "caller_gone"

    def _has_ended(self) -> bool:
        """Reap whatever has ended; whether the program itself was among it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._pid:
                self.wait_status = status
                return True

    def _overrun(self) -> str:
        """The limit that is passed, if any."""
        if self.cause:
            return self.cause
        if time.monotonic() - self._started > self._job.wall_s:
            return "wall_limit"
        cpu_s, memory_kb = self.cpu_s, 0
        for pid in self._processes():
            used_s, used_kb = _usage(pid)
            cpu_s += used_s
            memory_kb += used_kb
        self.peak_mb = max(self.peak_mb, memory_kb / 1024)
        if cpu_s > self._job.cpu_s:
            return "cpu_limit"
        if memory_kb > self._job.memory_mb << 10:
            return "memory"
        most = self._job.output_kb << 10
        if any(os.fstat(fd).st_size > most for fd in self._outputs):
            return "output"
        return ""

    def _processes(self) -> list[int]:
        """Ids of the program and all that it started, however it was started."""
        if self._job.isolation == NAMESPACES:
            # All of the world but ourselves, its first process.
            return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]
        return _descendants(os.getpid())

    def _end_all(self, nobody: int | None) -> None:
        """Kill and reap until nothing is left."""
        for _ in range(_KILL_ROUNDS):
            self._kill_all(nobody)
            try:
                while True:
                    pid, status = os.waitpid(-1, 0 if self._is_sealed else os.WNOHANG)
                    if pid == 0:
                        break
                    if pid == self._pid:
                        self.wait_status = status
            except ChildProcessError:
                return
            time.sleep(0.001)

    @property
    def _is_sealed(self) -> bool:
        return self._job.isolation == NAMESPACES

    def _kill_all(self, nobody: int | None) -> None:
        if self._is_sealed:
            try:
                os.kill(-1, signal.SIGKILL)  # atomic against fork: nothing can slip through
            except ProcessLookupError:
                return
        elif nobody is not None:
            _kill_user(nobody)
        else:
            for pid in _descendants(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def _kill_user(nobody: int) -> None:
    """Kill all that runs under the program's own user id, at one stroke."""
    pid = os.fork()
    if pid == 0:
        try:
            namespaces.drop_root(nobody)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _descendants(pid: int) -> list[int]:
    """Children of children, those that daemonised included (we adopt them: see the launcher)."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
            texts = [_read(f"/proc/{parent}/task/{task}/children") for task in tasks]
        except OSError:
            continue  # it ended meanwhile; its children are ours by now, seen in the next round
        children = [int(word) for text in texts for word in text.split()]
        found += children
        queue += children
    return found


def _usage(pid: int) -> tuple[float, int]:
    """Processor seconds (its own and of children it waited for), and KiB of memory."""
    try:
        stat = _read(f"/proc/{pid}/stat")
        status = _read(f"/proc/{pid}/status")
    except OSError:
        return 0.0, 0  # it ended meanwhile: counted once it is reaped
    fields = stat[stat.rindex(b")") + 2 :].split()
    ticks = sum(int(field) for field in fields[11:15])
    kib = 0
    for line in status.split(b"\n"):
        if line.startswith((b"RssAnon:", b"RssShmem:")):
            kib += int(line.split()[1])
    return ticks / _TICKS_PER_S, kib


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
