"""What a zygote may and the processes that it forks may not, where no process namespace does it.

A system-call filter is inherited, and sees a call's arguments but not who makes it. A filter for
each judged process would have to be compiled for each by the kernel, which costs more than all else
that protects it, and on a busy machine makes it wait. So there is one filter for all, and it lets
through a few calls only if one of their pointers is an address in one certain page: the kernel has
to read or write there, and fails the call where it may not. The zygote has the page. Each judged
process puts one in its place that nobody can read or write, before its first instruction, and the
filter lets nobody change that (:func:`~.seccomp.alone` names every way there is).
"""

from __future__ import annotations

import ctypes

from . import linux

__all__ = ["CLOCK_AT", "DESCRIPTOR_AT", "END", "SIGNAL_AT", "Rights"]

_START, _SIZE = 1 << 20, 4096  # above where nothing may be mapped, below all that is ever mapped
END = _START + _SIZE
"""Where the page ends; nothing else lies below."""

DESCRIPTOR_AT, CLOCK_AT, SIGNAL_AT = _START, _START + 64, _START + 128
"""Where ``clone`` writes a descriptor of the new process (``pidfd_open(2)``), ``clock_gettime`` a
time, and from where ``rt_sigqueueinfo`` reads what a signal says."""

_READ_WRITE = 3
_SHARED_ANONYMOUS_HERE = 0x100021  # MAP_SHARED: else the page would be copied after each fork
IN_ITS_PLACE = 0x32
"""What is mapped in its place: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED. (Not the page itself, made
inaccessible: what is shared can be emptied by ``madvise`` even so.)"""
_SI_QUEUE = -1
_MMAP, _RT_SIGQUEUEINFO, _CLOCK_GETTIME = 9, 129, 228  # x86_64
_PR_GET_TID_ADDRESS = 40


class Rights:
    """The page, mapped.

    Raises:
        OSError: something else is there.
    """

    def __init__(self) -> None:
        if linux.call(_MMAP, _START, _SIZE, _READ_WRITE, _SHARED_ANONYMOUS_HERE, -1, 0) != _START:
            linux.fail(f"the page at {_START:#x} cannot be mapped")
        self._descriptor = ctypes.c_int.from_address(DESCRIPTOR_AT)
        self._time = (ctypes.c_int64 * 2).from_address(CLOCK_AT)
        signal = (ctypes.c_int * 3).from_address(SIGNAL_AT)  # signo, errno, code
        signal[:] = [linux.SIGKILL, 0, _SI_QUEUE]
        self._thread_id_at = ctypes.c_size_t(_thread_id_at())

    def fork(self, flags: int = 0) -> int:
        """As :data:`~.linux.fork`; afterwards :meth:`descriptor` is of the new process.

        Args:
            flags: further ones of ``clone(2)``.
        """
        # libc goes by its own note of the thread's number, as in pthread_kill.
        flags |= linux.CLONE_PIDFD | linux.CLONE_CHILD_SETTID | linux.SIGCHLD
        return int(linux.call(linux.SYS_CLONE, flags, 0, DESCRIPTOR_AT, self._thread_id_at, 0))

    def descriptor(self) -> int:
        """Of the process forked last: readable once it has ended."""
        return self._descriptor.value

    def kill(self, pid: int) -> None:
        """Send SIGKILL. Raises ``ProcessLookupError`` if there is no such process."""
        if linux.call(_RT_SIGQUEUEINFO, pid, linux.SIGKILL, SIGNAL_AT) < 0:
            linux.fail(f"process {pid} cannot be ended")

    def clock_s(self, pid: int) -> float:
        """Processor seconds of a process. Raises ``OSError`` if there is no such process."""
        if linux.call(_CLOCK_GETTIME, linux.cpu_clock(pid), CLOCK_AT) < 0:
            linux.fail(f"process {pid} has no clock")
        return self._time[0] + self._time[1] / 1e9

    def give_up(self) -> None:
        """In a judged process: for good. Raises ``OSError``."""
        if linux.call(_MMAP, _START, _SIZE, 0, IN_ITS_PLACE, -1, 0) != _START:
            linux.fail("the page cannot be given up")


def _thread_id_at() -> int:
    """Where libc keeps the number of its only thread; 0 if the kernel does not say."""
    place = ctypes.c_size_t()
    try:
        linux.prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(place))
    except OSError:
        return 0
    return place.value
