"""One execution, seen from the caller: start the launcher, wait, read what is left.

Input and output are memory files passed by descriptor: nobody reads a pipe, so nothing can block
or flood us, and a descendant that keeps stdout open keeps nobody waiting.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rewardkit.errors import RewardKitWarning
from rewardkit.sandbox.inside.job import NAMESPACES, Job, Outcome, read_report
from rewardkit.sandbox.limits import Limits
from rewardkit.sandbox.result import ExecutionResult, ExecutionStatus
from rewardkit.sandbox.scratch import remove_tree

__all__ = ["Request", "execute"]

START_S = 60.0
"""Clock seconds that a launcher may take before the program starts: a machine can be very busy."""

_GRACE_S = 15.0  # for killing and reaping, after the wall limit that the launcher keeps itself
_FOLDER = os.path.dirname(__file__)
_BOOT = "import sys; sys.path.append(sys.argv[1]); from inside import launcher; launcher.main()()"
# -s -P -S: no site-packages, nothing of the user's, nothing of the current folder. Not -E (and so
# not -I): the environment is ours, and carries the fixed hash seed without which a program that
# prints a set would be right on one day and wrong on the next.
_FLAGS = ("-s", "-P", "-S")


@dataclass(frozen=True, slots=True)
class Request:
    """What to run."""

    source: bytes
    stdin: bytes
    files: Mapping[str, bytes]
    limits: Limits
    isolation: str


def execute(
    request: Request, *, inspect: Callable[[int], None] = lambda stdout: None
) -> ExecutionResult:
    """Run it and say how it went; never raises for anything that the program does.

    Args:
        request: what to run.
        inspect: is shown the descriptor of the program's stdout after the end (for probes).

    Raises:
        OSError: this process has no descriptors, memory or processes left to start one.
    """
    with contextlib.ExitStack() as stack:
        scratch = "/tmp"
        if request.isolation != NAMESPACES:
            scratch = tempfile.mkdtemp(prefix="rewardkit-")
            stack.callback(_discard, scratch)
        files = [_memory(stack, name) for name in ("job", "stdin", "stdout", "stderr", "report")]
        job, stdin, stdout, stderr, report = files
        _write(job, _job(request, scratch).dump())
        _write(stdin, request.stdin)
        import fcntl  # here, so that importing the room fails on no platform

        # Appending, so that a program which opens /dev/stdout anew does not overwrite itself.
        for fd in (stdout, stderr):
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        said = _launch(files, scratch, request.limits.wall_seconds)
        inspect(stdout)
        cap = request.limits.output_kb << 10
        return _result(read_report(report), said, _Output(stdout, cap), _Output(stderr, cap))


def _discard(scratch: str) -> None:
    try:
        remove_tree(scratch)
    except OSError as error:
        # A warning, not a failure: judged code made that tree, and must not make errors of ours.
        warnings.warn(f"cannot delete {scratch}: {error}", RewardKitWarning, stacklevel=2)


def _job(request: Request, scratch: str) -> Job:
    limits = request.limits
    return Job(
        isolation=request.isolation,
        source=request.source,
        files=dict(request.files),
        scratch=scratch,
        cpu_s=float(limits.cpu_s),
        wall_s=float(limits.wall_seconds),
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        disk_mb=limits.disk_mb,
        output_kb=limits.output_kb,
        ids_are_fresh=False,
    )


def _memory(stack: contextlib.ExitStack, name: str) -> int:
    """A file in memory that closes with the stack."""
    fd = os.memfd_create(f"rewardkit-{name}")
    stack.callback(os.close, fd)
    return fd


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)


def _launch(files: list[int], scratch: str, wall_s: float) -> str:
    """Run the launcher to its end; what it said on its own stderr."""
    with contextlib.ExitStack() as stack:
        log = _memory(stack, "log")
        lifeline, ours = os.pipe()
        stack.callback(os.close, ours)
        numbers = [*files, lifeline]
        try:
            process = subprocess.Popen(
                [sys.executable, *_FLAGS, "-c", _BOOT, _FOLDER, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=numbers,
                cwd="/",
                env=_environment(scratch),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        _wait(process, files[-1], wall_s)
        return os.pread(log, 2000, 0).decode("utf-8", "replace").strip()


def _environment(scratch: str) -> dict[str, str]:
    """All that the launcher, and so the program, sees of an environment."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _wait(process: subprocess.Popen[bytes], report: int, wall_s: float) -> None:
    """Wait for the launcher; it keeps the limits, we only stand behind it. Always reaps it."""
    pidfd = -1
    try:
        pidfd = os.pidfd_open(process.pid)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        deadline = time.monotonic() + START_S
        armed = False
        while not ended.poll(max(0.0, deadline - time.monotonic()) * 1000):
            if armed or not read_report(report).armed:
                break
            armed = True
            deadline += wall_s + _GRACE_S
    finally:
        # Also on KeyboardInterrupt. With the launcher dies the first process of its namespaces,
        # and with that everything in them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if pidfd >= 0:
            os.close(pidfd)


class _Output:
    """What the program wrote into one memory file."""

    def __init__(self, fd: int, cap: int) -> None:
        self.is_over = os.fstat(fd).st_size > cap
        self.data = _read_up_to(fd, cap)

    def last_line(self) -> bytes:
        return self.data.rstrip().rpartition(b"\n")[2]


def _read_up_to(fd: int, cap: int) -> bytes:
    parts, offset = [], 0
    while offset < cap:
        part = os.pread(fd, cap - offset, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _result(outcome: Outcome, said: str, stdout: _Output, stderr: _Output) -> ExecutionResult:
    if not outcome.armed:
        why = outcome.text or said or "the launcher ended without a word"
        return ExecutionResult("infrastructure_error", reason=why)
    status, reason = _judge(outcome, stdout, stderr)
    code = os.waitstatus_to_exitcode(outcome.wait_status) if outcome.done else None
    return ExecutionResult(
        status=status,
        stdout=stdout.data,
        stderr=stderr.data,
        exit_code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        cpu_s=outcome.cpu_s,
        wall_s=outcome.wall_s,
        memory_mb=outcome.peak_mb,
        reason=reason,
    )


_CAUSES: dict[str, tuple[ExecutionStatus, str]] = {
    "cpu_limit": ("cpu_limit", "used up its processor seconds"),
    "wall_limit": ("wall_limit", "did not end in its clock seconds"),
    "memory": ("memory", "used more memory than it may"),
    "output": ("output", "wrote more than it may"),
    "caller_gone": ("signal", "was killed because its caller was gone"),
}

_DISK_ERRORS = (b"OSError: [Errno 27]", b"OSError: [Errno 28]")  # too large a file; disk full


def _judge(outcome: Outcome, stdout: _Output, stderr: _Output) -> tuple[ExecutionStatus, str]:
    """The status of a program that was started: all of it is the program's own doing."""
    if outcome.cause in _CAUSES:
        return _CAUSES[outcome.cause]
    if stdout.is_over or stderr.is_over:
        return _CAUSES["output"]
    if not outcome.done:
        return "signal", "the launcher was killed while the program ran"
    code = os.waitstatus_to_exitcode(outcome.wait_status)
    if code == 0:
        return "ok", ""
    if code < 0:
        return _judge_signal(-code)
    # Which limit made it give up only its own words tell; they can only trade one failure for
    # another.
    last = stderr.last_line()
    if last.startswith(b"MemoryError"):
        return "memory", "ended with MemoryError"
    if last.startswith(_DISK_ERRORS):
        return "disk", "filled its disk"
    return "runtime_error", f"ended with exit code {code}"


def _judge_signal(number: int) -> tuple[ExecutionStatus, str]:
    if number == signal.SIGXCPU:
        return _CAUSES["cpu_limit"]
    if number == signal.SIGSYS:
        return "forbidden", "made a system call that it may not make"
    return "signal", f"died of {signal.Signals(number).name}"
