"""What came out of one execution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ExecutionResult", "ExecutionStatus"]

ExecutionStatus = Literal[
    "ok",
    "runtime_error",
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
