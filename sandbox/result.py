"""What came out of one execution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CallResult", "Calls", "ExecutionResult", "ExecutionStatus"]

ExecutionStatus = Literal[
    "ok",
    "runtime_error",
    "compile_error",
    "cpu_limit",
    "wall_limit",
    "memory",
    "output",
    "disk",
    "signal",
    "forbidden",
    "infrastructure_error",
]
"""
- ``ok``: it ended by itself with exit code 0. Not that it is right: compare its output.
- ``runtime_error``: it ended by itself with another exit code (an exception, ``sys.exit(1)``).
- ``compile_error``: its source does not compile; nothing of it ran.
- ``cpu_limit``, ``wall_limit``, ``memory``, ``output``, ``disk``: it ran into that limit.
- ``signal``: it died of a signal (a crash of the interpreter, ``os.kill`` on itself).
- ``forbidden``: it was killed for a system call that it may not make.
- ``infrastructure_error``: it never started, through no fault of its own. Judged code cannot cause
  this: from the first of its instructions on, whatever happens is its own doing.
"""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What came out of one execution. Nothing in it but the status of ours proves anything.

    Attributes:
        status: see :data:`ExecutionStatus`.
        stdout, stderr: what it wrote, cut at ``Limits.output_kb``.
        exit_code: 0 to 255; ``None`` if it did not end by itself.
        signal: the signal it died of, else ``None``.
        cpu_s: processor seconds of the program and its descendants.
        wall_s: clock seconds from its first instruction to its end.
        memory_mb: peak MiB, of one process as the kernel counts it or of all as sampled,
            whichever is more.
        reason: in words, what led to the status; empty for ``ok``.
    """

    status: ExecutionStatus
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_mb: float = 0.0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0, within every limit."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came out of one call (or of the loading before it) in a process of its own.

    Attributes:
        status: see :data:`ExecutionStatus`; ``"ok"`` if the process gave its reply and then ended
            by itself, within every limit.
        data: the driver's reply, whatever it says; ``None`` if none came. Made in the process of
            judged code: data, never a verdict.
        cpu_s, wall_s, memory_mb, exit_code, signal, reason: as in :class:`ExecutionResult`.
    """

    status: ExecutionStatus
    data: bytes | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_mb: float = 0.0
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether a reply came and the process ended by itself, within every limit."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Calls:
    """What came out of a source that was loaded once and called many times.

    Attributes:
        loaded: of the loading. With status ``"ok"`` and no data, calls were made; data are the
            driver's reasons why it is not ready.
        results: one per call, in order. Fewer than were asked for if the source did not load, if
            the process that had loaded it ended meanwhile, or if it is ``spent``.
        spent: calls were not made because the others had used up the budget, or the room that there
            is for replies.
    """

    loaded: CallResult
    results: tuple[CallResult, ...] = ()
    spent: bool = False
