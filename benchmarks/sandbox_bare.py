"""A warm interpreter that forks for every program and protects from nothing: the cheapest there is.

What the sandbox adds to it is what protection costs. Run as a script it is that interpreter; the
class :class:`BareFork` is its caller.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import socket
import struct
import subprocess
import sys
from types import TracebackType


def serve(control: socket.socket, modules: list[str]) -> None:
    """Fork, run, wait, tell the exit code; until the caller is gone."""
    for name in modules:
        importlib.import_module(name)
    fork = ctypes.PyDLL(None).fork  # without Python's own hooks: there is one thread alone
    warm = compile("sum(map(int, '1 2 3'.split())); str(6.5)", "warm.py", "exec")
    for _ in range(20):
        exec(warm, {})
    gc.collect()
    gc.freeze()
    while True:
        data, fds, _, _ = socket.recv_fds(control, 8, 3)
        if not data:
            return
        pid = fork()
        if pid == 0:
            _run(fds)
        for fd in fds:
            os.close(fd)
        control.send(struct.pack("i", os.waitpid(pid, 0)[1]))


def _run(fds: list[int]) -> None:
    code = 1
    try:
        source = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
        os.dup2(fds[1], 0)
        os.dup2(fds[2], 1)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - they end with the process
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})
        sys.stdout.flush()
        code = 0
    finally:
        os._exit(code)


class BareFork:
    """Its caller; one program at a time."""

    def __init__(self, modules: list[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8"},
            )

    def run(self, source: str, stdin: bytes) -> bytes:
        """What the program printed."""
        files = [os.memfd_create("bare") for _ in range(3)]
        try:
            for fd, data in zip(files, (source.encode(), stdin), strict=False):
                os.pwrite(fd, data, 0)
            socket.send_fds(self._control, [b"\0"], files)
            status = struct.unpack("i", self._control.recv(4))[0]
            assert status == 0, status
            return os.pread(files[2], 1 << 20, 0)
        finally:
            for fd in files:
                os.close(fd)

    def __enter__(self) -> BareFork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._control.close()
        self._process.wait()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
