"""Which processes are a judged program's own, and how they are ended: one class per tier.

- :class:`Sealed`: a process namespace, whose first process we are.
- :class:`Alone`: no namespace, but a filter that lets judged code start threads only.
- :class:`Loose`: nothing of either; we adopt what daemonises, and look for what is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from . import linux, seccomp

__all__ = ["Alone", "Loose", "Sealed", "World"]

_ROUNDS = 2000


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
    """The program is one process; its memory is bounded by the kernel's limit on it."""

    sees_memory = False
    may_fork = False

    def __init__(self) -> None:
        program, self._place = seccomp.alone()
        self._filter = linux.Filter(program)
        self._zygote = os.getpid()
        self.enter = self._enter

    def rehearse(self) -> None:
        self._filter.set_operand(self._place, os.getpid())
        linux.allow_dumps(False)  # as it is

    def _enter(self) -> None:
        linux.die_with_parent()
        if os.getppid() != self._zygote:
            os._exit(1)  # it has ended already, and will tell nobody
        self._filter.set_operand(self._place, os.getpid())
        self._filter.put_on()

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
