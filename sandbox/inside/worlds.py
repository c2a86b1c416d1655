"""Which processes are a judged program's own, and how they are ended: one class per tier.

- :class:`Sealed`: a process namespace, whose first process we are.
- :class:`Alone`: no namespace, but a filter that lets judged code start threads only; see
  :mod:`.rights` for how the zygote does what the filter forbids.
- :class:`Loose`: nothing of either; we adopt what daemonises, and look for what is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from . import landlock, linux
from .rights import Rights

__all__ = ["Alone", "Loose", "Sealed", "World"]


class World:
    """What the tiers share.

    Attributes:
        enter: what each judged process does last of all, if anything.
    """

    sees_memory = True
    """Whether the memory of all processes can be added up from here."""
    may_fork = True
    """Whether judged code may start processes."""

    enter: Callable[[], None] | None = None

    def rehearse(self) -> None:
        """Do what can be done of that here, so that it is not new to the interpreter there."""

    def fork(self) -> int:
        """As :data:`~.linux.fork`."""
        return int(linux.fork())

    def fork_stem(self) -> int:
        """As :meth:`fork`, of a process without judged code that shares our descriptors."""
        raise NotImplementedError

    def fork_beside(self) -> tuple[int, int]:
        """In a stem: a process that is our parent's child, and a descriptor of it."""
        raise NotImplementedError

    def adopt(self, descriptor: int) -> None:
        """From now on it is the process of that descriptor that is watched."""
        raise NotImplementedError

    def descriptor(self, pid: int) -> int:
        """A descriptor that is readable once a process has ended; then :meth:`let_go` of it."""
        return os.pidfd_open(pid)

    def let_go(self, descriptor: int) -> None:
        """Nobody looks at it any more."""
        os.close(descriptor)

    def kill(self, pid: int) -> None:
        """End a child of ours."""
        os.kill(pid, signal.SIGKILL)

    def clock_s(self, pid: int) -> float:
        """Processor seconds of one process so far; also of one that has ended and is not reaped."""
        try:
            return time.clock_gettime(linux.cpu_clock(pid))
        except OSError:
            return 0.0

    def members(self, pid: int) -> list[int]:
        """All processes of the program whose first is ``pid``."""
        raise NotImplementedError

    def kill_all(self) -> None:
        """Send SIGKILL to all that judged code has started."""
        raise NotImplementedError


class Sealed(World):
    """All processes in sight but ourselves are judged ones."""

    def __init__(self) -> None:
        if os.getpid() != 1:
            raise OSError("not the first process of a namespace: there are others than judged ones")

    def members(self, pid: int) -> list[int]:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]

    def kill_all(self) -> None:
        try:
            os.kill(-1, signal.SIGKILL)  # atomic against fork: nothing can slip through
        except ProcessLookupError:
            return


class Alone(World):
    """The program is one process; its memory is bounded by the kernel's limit on it.

    Attributes:
        may_signal: whether judged code may send signals: to itself.
    """

    sees_memory = False
    may_fork = False

    def __init__(self) -> None:
        self._rights = Rights()
        self._lonely = landlock.lonely()
        self._descriptor = -1
        self._parent = 0
        self.may_signal = self._lonely >= 0
        self.enter = self._enter

    def rehearse(self) -> None:
        linux.die_with_parent()
        os.getppid()
        with contextlib.suppress(OSError):
            landlock.be_lonely(-1)

    def _enter(self) -> None:
        linux.die_with_parent()
        if os.getppid() != self._parent:
            os._exit(1)  # it has ended already, and will tell nobody
        if self.may_signal:
            landlock.be_lonely(self._lonely)
        self._rights.give_up()

    def fork(self) -> int:
        return self._forked(0)

    def fork_stem(self) -> int:
        return self._forked(linux.CLONE_FILES)

    def fork_beside(self) -> tuple[int, int]:
        pid = self._rights.fork(linux.CLONE_PARENT)
        return pid, self._rights.descriptor() if pid > 0 else -1

    def adopt(self, descriptor: int) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _forked(self, flags: int) -> int:
        self._parent = os.getpid()
        pid = self._rights.fork(flags)
        if pid > 0:
            self.adopt(self._rights.descriptor())
        return pid

    def descriptor(self, pid: int) -> int:
        return self._descriptor

    def let_go(self, descriptor: int) -> None:
        """Nothing: the next one takes its place."""

    def kill(self, pid: int) -> None:
        self._rights.kill(pid)

    def clock_s(self, pid: int) -> float:
        try:
            return self._rights.clock_s(pid)
        except OSError:
            return 0.0

    def members(self, pid: int) -> list[int]:
        return [pid]

    def kill_all(self) -> None:
        """Nothing: it starts none, and itself it dies with us."""


class Loose(World):
    """The program's descendants are told by their parents; what daemonised is ours by adoption."""

    def members(self, pid: int) -> list[int]:
        found: list[int] = []
        queue = [os.getpid()]
        while queue:
            children = _children(queue.pop())
            found += children
            queue += children
        return found

    def kill_all(self) -> None:
        for member in self.members(0):
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
    except OSError:
        return found  # it ended meanwhile; its children are ours by now, seen in the next round
    return found
