"""One order given to a lane: what it is given, and what came out.

Statuses come from the kernel by way of the zygote. Only which limit made a program give up is told
by its own last words: they can but trade one failure for another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rewardkit.errors import RewardKitWarning
from rewardkit.sandbox.inside.calls import MARK, TABLE
from rewardkit.sandbox.inside.child import write_files
from rewardkit.sandbox.inside.tree import empty_tree
from rewardkit.sandbox.inside.wire import (
    CALLS,
    CAUSES,
    PAIR,
    PATIENCE,
    RUN,
    Order,
    Record,
    pack_payload,
    read_up_to,
)
from rewardkit.sandbox.lane import Lane
from rewardkit.sandbox.limits import Limits
from rewardkit.sandbox.memory import MemoryFiles
from rewardkit.sandbox.result import CallResult, Calls, ExecutionResult, ExecutionStatus

__all__ = [
    "STOPPED",
    "CallsRequest",
    "Request",
    "Running",
    "run_calls",
    "run_program",
    "start_program",
]


@dataclass(frozen=True, slots=True)
class Request:
    """A program and what it is given."""

    source: bytes
    stdin: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CallsRequest:
    """A source, the compiled driver that loads and calls it, and what each call is given."""

    source: bytes
    driver: bytes
    arguments: Sequence[bytes]
    files: Mapping[str, bytes]
    limits: Limits
    seed: int
    reply_kb: int
    budget_s: float


Begun = Callable[[Lane, int], None]
"""Is told the lane and the order's serial number, with which it can be stopped."""


class Running:
    """A program that was started: :meth:`result` waits for it."""

    def __init__(
        self, lane: Lane, request: Request, memory: MemoryFiles, channel: int | None
    ) -> None:
        self._request = request
        self._lane = lane
        payload = memory.given(pack_payload(request.source, request.files))
        self._outputs = (memory.taken(), memory.taken())
        fds = [payload, memory.given(request.stdin), *self._outputs]
        if channel is not None:
            fds.append(channel)
        kind = RUN if channel is None else PAIR
        order = _order(kind, request, lane)
        self.serial = lane.send(order, fds)

    def result(self) -> ExecutionResult:
        """Raises ``LaneFailed`` or ``LaneLost``."""
        (record,) = self._lane.receive(PATIENCE * self._request.limits.wall_seconds)
        cap = self._request.limits.output_kb << 10
        return _result(record, *(_Output(fd, cap) for fd in self._outputs))

    def grows_within(self, seconds: float) -> bool:
        """Whether somebody still writes after the end."""
        sizes = [os.fstat(fd).st_size for fd in self._outputs]
        time.sleep(seconds)
        return sizes != [os.fstat(fd).st_size for fd in self._outputs]


def run_program(lane: Lane, request: Request, begun: Begun = lambda *_: None) -> ExecutionResult:
    """Run a program to its end; never raises for anything that it does.

    Raises:
        LaneFailed, LaneLost: of the lane.
        OSError: this process has no descriptors or memory left.
    """
    with start_program(lane, request) as running:
        begun(lane, running.serial)
        return running.result()


@contextlib.contextmanager
def start_program(lane: Lane, request: Request, channel: int | None = None) -> Iterator[Running]:
    """A program as it runs; afterwards what it was given and what it wrote is gone. Raises as
    :func:`run_program`."""
    with _laid_out(lane, request.files), MemoryFiles() as memory:
        yield Running(lane, request, memory, channel)


def run_calls(lane: Lane, request: CallsRequest, begun: Begun = lambda *_: None) -> Calls:
    """Load a source and make the calls. Raises as :func:`run_program`."""
    with _laid_out(lane, request.files), MemoryFiles() as memory:
        payload = memory.given(pack_payload(request.source, request.files, request.driver))
        replies = memory.taken()
        said = memory.written(replies)
        order = _order(CALLS, request, lane)._replace(
            calls=len(request.arguments), reply_kb=request.reply_kb, budget_s=request.budget_s
        )
        arguments = memory.given(_table(request.arguments))
        begun(lane, lane.send(order, [payload, arguments, said]))
        waits = PATIENCE * request.limits.wall_seconds * (2 * len(request.arguments) + 1)
        loading, *calls = lane.receive(waits)
        is_spent = bool(calls) and CAUSES[calls[-1].cause] == "spent"
        loaded = _call_result(loading, replies, is_loading=True)
        made = calls[:-1] if is_spent else calls
        results = tuple(_call_result(record, replies) for record in made)
        return Calls(loaded, results, is_spent)


def _order(kind: int, request: Request | CallsRequest, lane: Lane) -> Order:
    limits = request.limits
    return Order(
        kind,
        0,
        cpu_s=float(limits.cpu_s),
        wall_s=limits.wall_seconds,
        memory_mb=limits.memory_mb,
        processes=limits.processes,
        disk_mb=limits.disk_mb,
        output_kb=limits.output_kb,
        tasks=_tasks(limits.processes) if lane.folder and os.geteuid() != 0 else 0,
        seed=request.seed,
        size=len(request.source),
        more=bool(request.files) or kind == CALLS,
    )


_SPARE_TASKS = 256


def _tasks(processes: int) -> int:
    """A bound on the user's processes and threads that stands above all there are now.

    Without a user of its own a program is counted together with everything else that its user
    runs; how much that is only a walk through ``/proc`` would tell.
    """
    with open("/proc/loadavg", "rb") as file:
        running = int(file.read().split()[3].partition(b"/")[2])
    return running + max(processes, _SPARE_TASKS)


@contextlib.contextmanager
def _laid_out(lane: Lane, files: Mapping[str, bytes]) -> Iterator[None]:
    """The files in a lane's folder outside, where it has one, and nothing of them afterwards."""
    folder = lane.folder
    if not folder or not (files or lane.is_writable):
        yield
        return
    try:
        _lay_out(folder, files)
        yield
    finally:
        try:
            empty_tree(folder)
        except FileNotFoundError:
            pass  # its lane has ended, and has taken it along
        except OSError as error:
            # A warning: judged code may have made that tree, and must not make errors of ours.
            warnings.warn(f"cannot empty {folder}: {error}", RewardKitWarning, stacklevel=2)


def _lay_out(folder: str, files: Mapping[str, bytes]) -> None:
    """Write them so that whoever owns the folder owns them, whatever our own user and umask are."""
    owner = os.stat(folder)
    paths = {os.path.join(folder, name): data for name, data in files.items()}
    write_files(paths)
    parents = {parent for path in paths for parent in _parents(path, folder)}
    for path in (*paths, *parents):
        os.chmod(path, 0o755 if path in parents else 0o644)
        if owner.st_uid != os.geteuid():
            os.chown(path, owner.st_uid, owner.st_gid)


def _parents(path: str, top: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != top:
        yield path


def _table(arguments: Sequence[bytes]) -> bytes:
    """All arguments behind a table of where each lies."""
    start = TABLE.size * len(arguments)
    table = []
    for argument in arguments:
        table.append(TABLE.pack(start, len(argument)))
        start += len(argument)
    return b"".join([*table, *arguments])


class _Output:
    """What a program wrote into one memory file."""

    def __init__(self, fd: int, cap: int) -> None:
        size = os.fstat(fd).st_size
        self.is_over = size > cap
        self.data = read_up_to(fd, min(size, cap))

    def last_line(self) -> bytes:
        return self.data.rstrip().rpartition(b"\n")[2]


def _result(record: Record, stdout: _Output, stderr: _Output) -> ExecutionResult:
    status, reason = _judge(record, stdout.is_over or stderr.is_over, stderr.last_line())
    code, number = _end(record)
    return ExecutionResult(
        status=status,
        stdout=stdout.data,
        stderr=stderr.data,
        exit_code=code,
        signal=number,
        cpu_s=record.cpu_s,
        wall_s=record.wall_s,
        memory_mb=record.peak_kb / 1024,
        reason=reason,
    )


def _call_result(record: Record, replies: int, is_loading: bool = False) -> CallResult:
    status, reason = _judge(record._replace(ready=True), False, b"")
    reply = read_up_to(replies, max(0, record.end - record.start), record.start)
    data = None
    if status == "ok" and not (is_loading and record.ready):
        if reply.startswith(MARK):
            data = reply[len(MARK) :]
        else:
            status, reason = "runtime_error", "ended before it replied"
    code, number = _end(record)
    return CallResult(
        status, data, code, number, record.cpu_s, record.wall_s, record.peak_kb / 1024, reason
    )


def _end(record: Record) -> tuple[int | None, int | None]:
    """Exit code, or signal."""
    code = os.waitstatus_to_exitcode(record.status)
    return (code, None) if code >= 0 else (None, -code)


STOPPED = "was stopped by its caller"

_CAUSES: dict[str, tuple[ExecutionStatus, str]] = {
    "cpu_limit": ("cpu_limit", "used up its processor seconds"),
    "wall_limit": ("wall_limit", "did not end in its clock seconds"),
    "memory": ("memory", "used more memory than it may"),
    "output": ("output", "wrote more than it may"),
    "stopped": ("signal", STOPPED),
}

# By the last line on stderr, of a program that ended itself with a code other than 0.
_LAST_WORDS: tuple[tuple[tuple[bytes, ...], tuple[ExecutionStatus, str]], ...] = (
    ((b"MemoryError", b"OSError: [Errno 12]"), ("memory", "ran out of memory")),
    ((b"OSError: [Errno 27]", b"OSError: [Errno 28]"), ("disk", "filled its disk")),
)


def _judge(record: Record, is_over: bool, last: bytes) -> tuple[ExecutionStatus, str]:
    """The status of a process that was started: all of it is its own doing."""
    cause = CAUSES[record.cause]
    if cause:
        return _CAUSES[cause]
    if is_over:
        return _CAUSES["output"]
    code = os.waitstatus_to_exitcode(record.status)
    if code == 0:
        return "ok", ""
    if code < 0:
        return _judge_signal(-code)
    for beginnings, verdict in _LAST_WORDS:
        if last.startswith(beginnings):
            return verdict
    if not record.ready:
        return "compile_error", "does not compile"
    return "runtime_error", f"ended with exit code {code}"


def _judge_signal(number: int) -> tuple[ExecutionStatus, str]:
    if number == signal.SIGXCPU:
        return _CAUSES["cpu_limit"]
    if number == signal.SIGSYS:
        return "forbidden", "made a system call that it may not make"
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    return "signal", f"died of {name}"
