"""A process that is warm before any lane is: lanes are forked from it, and share its memory.

```
caller ── exec ──> nursery ── fork ──> keeper ── fork ──> zygote ── fork ──> judged process
                                       (own namespaces)  (first process)    (one per execution)
```

It ends, with all lanes, when the caller does: it sees the caller's process end, even if a child of
the caller still holds the socket.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import site
import socket
import struct
import sys
import traceback
from typing import NoReturn

from . import linux
from .child import seed
from .lane import be_lane
from .pages import make_compact
from .reach import is_open_to_all
from .root import Shown
from .tree import remove_tree
from .warm import warm_up
from .wire import LANE, NAMESPACES, READY

__all__ = ["main"]

_KILL = struct.Struct("<i")
_INT = struct.calcsize("i")


def main(control_fd: int, caller: int, modules: list[str], paths: list[str], tmp: str) -> NoReturn:
    """Preload, then make lanes until the caller is gone.

    Args:
        control_fd: the caller's socket.
        caller: its process id.
        modules: what to import.
        paths: folders where those are found that are not of the standard library.
        tmp: where lanes without a file system of their own get folders.
    """
    code = 1
    try:
        _start_afresh()
        Nursery(socket.socket(fileno=control_fd), caller, modules, paths, tmp).serve()
        code = 0
    except BaseException:
        traceback.print_exc()  # the caller reads it
    finally:
        os._exit(code)


def _start_afresh() -> None:
    """Give up what was inherited from whatever thread of the caller's started us."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # None with a handler: only such signals get through to the first process of a namespace. Two
    # stay ignored, as in every interpreter.
    for number in signal.valid_signals() - _UNTOUCHED:
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)


_UNTOUCHED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


class Nursery:
    """Serves one caller."""

    def __init__(
        self, control: socket.socket, caller: int, modules: list[str], paths: list[str], tmp: str
    ) -> None:
        self._control, self._tmp = control, tmp
        self._caller = os.pidfd_open(caller)
        self._lanes: dict[int, tuple[int, str]] = {}  # by pidfd: process id, folder
        self._shown = _preload(modules, paths)

    def serve(self) -> None:
        """Until the caller is gone, or closes its socket: then end all lanes."""
        try:
            while self._step():
                pass
        finally:
            for pid, _ in self._lanes.values():
                os.kill(pid, signal.SIGKILL)
            for pidfd in list(self._lanes):
                self._bury(pidfd)

    def _step(self) -> bool:
        events = select.poll()
        for fd in (self._control.fileno(), self._caller, *self._lanes):
            events.register(fd, select.POLLIN)
        ready = {fd for fd, _ in events.poll()}
        for pidfd in ready & self._lanes.keys():
            self._bury(pidfd)
        if self._caller in ready:
            return False
        return self._control.fileno() not in ready or self._obey()

    def _obey(self) -> bool:
        """Carry out one request; whether there can be more."""
        data, passed, _, _ = self._control.recvmsg(256, socket.CMSG_SPACE(2 * _INT))
        if len(data) == LANE.size:
            control, ledger = (fd for _, _, raw in passed for (fd,) in struct.iter_unpack("i", raw))
            tier, writable = LANE.unpack(data)
            self._make(tier.rstrip(b"\0").decode(), control, ledger, writable)
        elif len(data) == _KILL.size:
            (pid,) = _KILL.unpack(data)
            if any(pid == lane for lane, _ in self._lanes.values()):
                os.kill(pid, signal.SIGKILL)
        return bool(data)

    def _make(self, tier: str, control: int, ledger: int, writable: bool) -> None:
        try:
            folder = "" if tier == NAMESPACES else self._new_folder()
            pid = linux.fork()  # os.fork would have random seed itself anew
            if pid == 0:
                try:
                    self._forget()
                    own = socket.socket(fileno=control)
                    be_lane(tier, own, ledger, self._shown, folder, writable)
                finally:
                    os._exit(1)  # whatever happens, there must be no second nursery
            if pid < 0:
                raise OSError("cannot fork")
            self._lanes[os.pidfd_open(pid)] = (pid, folder)
        except OSError as error:
            os.write(control, READY.pack(False, 0, 0) + str(error).encode()[:1000])
        finally:
            os.close(control)
            os.close(ledger)

    def _new_folder(self) -> str:
        # Root's lanes belong to a user who may not go everywhere.
        parent = self._tmp if os.geteuid() or is_open_to_all(self._tmp) else "/tmp"
        folder = os.path.join(parent, f"rewardkit-{os.getpid()}-{os.urandom(6).hex()}")
        os.mkdir(folder, 0o700)
        return folder

    def _forget(self) -> None:
        """In a lane: what is the nursery's own."""
        self._control.close()
        os.close(self._caller)
        for pidfd in self._lanes:
            os.close(pidfd)

    def _bury(self, pidfd: int) -> None:
        pid, folder = self._lanes.pop(pidfd)
        os.waitpid(pid, 0)
        os.close(pidfd)
        if folder:
            try:
                remove_tree(folder)
            except OSError as error:
                print(f"cannot remove {folder}: {error}", file=sys.stderr)  # the caller's log


def _preload(modules: list[str], paths: list[str]) -> Shown:
    """Import, warm up, and put all of it out of the collector's sight."""
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.dirname(__file__))]
    # A virtual environment's own executable is not shown inside; programs may start themselves.
    sys.executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    _add_builtins()
    before = list(sys.path)
    sys.path += paths
    for name in modules:
        importlib.import_module(name)
    # What was loaded finds its own parts; what was not must look as if it were not installed.
    sys.path[:] = before
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(f"preloading {modules} starts threads; processes with them cannot fork")
    warm_up()
    seed(0)
    shown = Shown(_loaded_from(paths))
    gc.collect()
    gc.freeze()
    make_compact()
    return shown


def _add_builtins() -> None:
    """``exit``, ``quit`` and the others that an interpreter has from ``site``, which is not run."""
    site.setquit()
    site.setcopyright()
    site.sethelper()


def _loaded_from(paths: list[str]) -> list[str]:
    """The folders and files right under ``paths`` that something was loaded from."""
    found: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        for path in paths:
            if file.startswith(path + os.sep):
                found.add(os.path.join(path, file[len(path) + 1 :].partition(os.sep)[0]))
    beside = {f"{path}.libs" for path in found}  # where wheels keep libraries of their own
    return sorted(found | {path for path in beside if os.path.isdir(path)})
