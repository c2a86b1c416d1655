"""What the caller hands to the launcher, and the report it gets back.

Both sides import this module. The job is marshalled in a memory file (caller to launcher: trusted,
same interpreter); the report is a fixed struct, so that whatever may stand in it, reading it is
harmless.
"""

from __future__ import annotations

import marshal
import os
import struct

__all__ = [
    "CAUSES",
    "NAMESPACES",
    "PROCESS",
    "PROGRAM",
    "Job",
    "Report",
    "read_report",
]

NAMESPACES, PROCESS = "namespaces", "process"

PROGRAM = "program.py"
"""The judged source's name in the scratch folder."""

CAUSES = ("", "cpu_limit", "wall_limit", "memory", "output", "caller_gone")
"""Why the watch ended a program; the index travels."""

_REPORT = struct.Struct("<BBiddd")  # state, cause, wait status, cpu s, wall s, peak MiB
_EMPTY, _ARMED, _DONE, _FAILED = range(4)
_TEXT_BYTES = 4000


class Job:
    """One execution: the program, its files, its limits, and the descriptors it came with.

    Plain slots and marshal: dataclasses and pickle would cost milliseconds of import each time.
    """

    __slots__ = (
        "cpu_s",
        "disk_mb",
        "files",
        "ids_are_fresh",
        "isolation",
        "memory_mb",
        "output_kb",
        "processes",
        "scratch",
        "source",
        "wall_s",
    )

    isolation: str
    source: bytes
    files: dict[str, bytes]
    scratch: str
    cpu_s: float
    wall_s: float
    memory_mb: int
    processes: int
    disk_mb: int
    output_kb: int
    ids_are_fresh: bool

    def __init__(self, **values: object) -> None:
        for name in self.__slots__:
            setattr(self, name, values[name])

    def dump(self) -> bytes:
        """As bytes for :meth:`load`."""
        return marshal.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, data: bytes) -> Job:
        """The inverse of :meth:`dump`; the data come from the caller, never from judged code."""
        return cls(**marshal.loads(data))


class Report:
    """The launcher's pen: states follow each other in one memory file.

    ``armed`` is written before the program's first instruction. Whatever goes wrong after it is
    the program's own doing: judged code must not be able to look like a failure of ours.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def armed(self) -> None:
        """The program is about to start."""
        os.pwrite(self._fd, _REPORT.pack(_ARMED, 0, 0, 0.0, 0.0, 0.0), 0)

    def done(self, cause: str, status: int, cpu_s: float, wall_s: float, peak_mb: float) -> None:
        """The program ended, or was ended for ``cause``."""
        packed = _REPORT.pack(_DONE, CAUSES.index(cause), status, cpu_s, wall_s, peak_mb)
        os.pwrite(self._fd, packed, 0)

    def failed(self, why: str) -> None:
        """The program could not be started."""
        text = why.encode("utf-8", "backslashreplace")[-_TEXT_BYTES:]
        os.pwrite(self._fd, text, _REPORT.size)
        os.pwrite(self._fd, _REPORT.pack(_FAILED, 0, 0, 0.0, 0.0, 0.0), 0)


class Outcome:
    """A report as read by the caller."""

    __slots__ = ("armed", "cause", "cpu_s", "done", "peak_mb", "text", "wait_status", "wall_s")

    def __init__(
        self, state: int, cause: int, status: int, cpu_s: float, wall_s: float, peak_mb: float
    ) -> None:
        self.armed = state in (_ARMED, _DONE)
        self.done = state == _DONE
        self.cause = CAUSES[cause] if cause < len(CAUSES) else ""
        self.wait_status = status
        self.cpu_s, self.wall_s, self.peak_mb = cpu_s, wall_s, peak_mb
        self.text = ""


def read_report(fd: int) -> Outcome:
    """What the launcher wrote, if anything; never raises on odd content."""
    data = os.pread(fd, _REPORT.size + _TEXT_BYTES, 0)
    if len(data) < _REPORT.size:
        return Outcome(_EMPTY, 0, 0, 0.0, 0.0, 0.0)
    outcome = Outcome(*_REPORT.unpack_from(data))
    outcome.text = data[_REPORT.size :].decode("utf-8", "replace")
    return outcome
