"""Files in memory: how bulk gets into and out of a lane.

Nobody reads a pipe, so nothing can block or flood us, and a descendant that keeps stdout open keeps
nobody waiting.
"""

from __future__ import annotations

import os

__all__ = ["MemoryFiles"]


class MemoryFiles:
    """The files of one execution; all are closed together."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def given(self, data: bytes) -> int:
        """A file with this in it, which nobody can change any more. Raises ``OSError``."""
        import fcntl  # here, so that importing the room fails on no platform

        fd = self._new(os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        done = os.pwrite(fd, data, 0)  # its position stays at the start
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], done)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    def taken(self) -> int:
        """An empty file to be written to, at its end alone: a program that opens ``/dev/stdout``
        anew then does not overwrite itself. Raises ``OSError``."""
        import fcntl

        fd = self._new(os.MFD_CLOEXEC)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        return fd

    def written(self, fd: int) -> int:
        """Another descriptor of such a file, that can be written to and not read."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        return self.kept(os.open(f"/proc/self/fd/{fd}", flags))

    def kept(self, fd: int) -> int:
        """Another descriptor that is to be closed with the rest."""
        self._fds.append(fd)
        return fd

    def _new(self, flags: int) -> int:
        return self.kept(os.memfd_create("rewardkit", flags))

    def __enter__(self) -> MemoryFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds:
            os.close(fd)
