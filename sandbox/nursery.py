"""The nursery as its caller sees it: started once, it makes lanes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import tempfile

from rewardkit.sandbox.inside.wire import LANE
from rewardkit.sandbox.lane import Lane, LaneFailed
from rewardkit.sandbox.memory import MemoryFiles
from rewardkit.sandbox.profiles import Profile

__all__ = ["Nursery"]

_FOLDER = os.path.dirname(__file__)
# What it is to do comes by its stdin: command lines can be read by judged code.
_BOOT = "import os; exec(os.read(0, 65536))"
# -s -P -S: no site-packages, nothing of the user's, nothing of the current folder. Not -E (and so
# not -I): the environment is ours, and carries the fixed hash seed without which a program that
# prints a set would be right on one day and wrong on the next.
_FLAGS = ("-s", "-P", "-S")
_LAST_WORDS = 2000
_PATIENCE_S = 10.0
_KILL = struct.Struct("<i")


class Nursery:
    """A warm process that lanes are forked from; started by ``subprocess``, never by a fork of the
    caller.

    Args:
        profile: what it is warm with.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, profile: Profile) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log = os.memfd_create("rewardkit-log")
        text = (
            f"import sys; sys.path.append({_FOLDER!r}); from inside import nursery; "
            f"nursery.main({theirs.fileno()}, {os.getpid()}, {list(profile.modules)!r}, "
            f"{list(profile.paths)!r}, {tempfile.gettempdir()!r})"
        )
        try:
            if not sys.executable:
                raise OSError("sys.executable is not set: there is no interpreter to start")
            with MemoryFiles() as memory:
                self._process = subprocess.Popen(
                    [sys.executable, *_FLAGS, "-c", _BOOT],
                    stdin=memory.given(text.encode()),
                    stdout=subprocess.DEVNULL,
                    stderr=self._log,
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    env=_environment(),
                    start_new_session=True,
                )
        except BaseException:
            self._control.close()
            os.close(self._log)
            raise
        finally:
            theirs.close()

    def lane(self, tier: str, writable: bool) -> Lane:
        """A new lane.

        Args:
            tier: how it is kept apart.
            writable: whether its folder outside, if it has one, is a scratch.

        Raises:
            LaneFailed: it cannot be set up, with what went wrong.
            OSError: no descriptors are left.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ledger = os.memfd_create("rewardkit-ledger")
        lane = Lane(ours, ledger, writable)
        try:
            message = LANE.pack(tier.encode(), writable)
            socket.send_fds(self._control, [message], [theirs.fileno(), ledger])
            theirs.close()
            lane.wait_ready()
        except (LaneFailed, OSError) as error:
            lane.close()
            theirs.close()
            raise LaneFailed(f"{error}{self._last_words()}") from error
        return lane

    def end(self, lane: Lane) -> None:
        """End a lane that may not end by itself."""
        lane.close()
        try:
            self._control.send(_KILL.pack(lane.pid))
        except OSError:
            return  # it is gone itself, and with it all lanes

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End it with all its lanes, and wait for that."""
        self._control.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the lanes die with it
            self._process.wait()
        os.close(self._log)

    def forget(self) -> None:
        """In a forked process: it is the parent's."""
        self._control.close()
        os.close(self._log)
        self._process.returncode = 0  # else its destructor would wait for it

    def _last_words(self) -> str:
        said = os.pread(self._log, _LAST_WORDS, max(0, os.fstat(self._log).st_size - _LAST_WORDS))
        text = said.decode("utf-8", "replace").strip()
        return f"; the nursery said: {text}" if text else ""


def _environment() -> dict[str, str]:
    """All that the nursery, and so judged code, sees of an environment."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        # Names of libraries resolved now, not in each fork anew.
        "LD_BIND_NOW": "1",
    }
