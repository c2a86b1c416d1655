"""System calls that the standard library does not offer."""

from __future__ import annotations

import ctypes
import os
from functools import partial
from typing import NoReturn

__all__ = [
    "CLONE_CHILD_SETTID",
    "CLONE_FILES",
    "CLONE_PARENT",
    "CLONE_PIDFD",
    "MNT_DETACH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "NEW_IPC",
    "NEW_NET",
    "NEW_NS",
    "NEW_PID",
    "NEW_USER",
    "NEW_UTS",
    "SIGCHLD",
    "SIGKILL",
    "SYS_CLONE",
    "allow_dumps",
    "bind_read_only",
    "call",
    "cpu_clock",
    "die_with_parent",
    "drop_capabilities",
    "fail",
    "filter_calls",
    "fork",
    "fork_beside",
    "make_read_only",
    "mount",
    "pivot_root",
    "prctl",
    "set_host_name",
    "system_call",
    "unmount",
    "unshare",
]

NEW_NS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2

SYS_CLONE, _SYS_PIVOT_ROOT, _SYS_MOUNT_SETATTR = 56, 155, 442  # x86_64
CLONE_FILES, CLONE_PARENT, CLONE_PIDFD, CLONE_CHILD_SETTID = 0x400, 0x8000, 0x1000, 0x1000000
SIGCHLD, SIGKILL = 17, 9
_CPU_CLOCK = 2  # what the scheduler counts
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_CAPABILITY_VERSION_3 = 0x20080522

# PyDLL: without letting go of the interpreter's lock. None of these calls waits, and a fork made
# while the lock is free could leave the child without it.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
call = _libc["syscall"]
"""A raw system call whose arguments are whole numbers of 32 bits, by the shortest way; -1 on
failure."""
call.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def fail(what: str) -> NoReturn:
    """Raise the ``OSError`` of the system call that has just failed."""
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def _check(result: int, what: str) -> int:
    if result < 0:
        fail(what)
    return result


def system_call(number: int, *arguments: object, what: str) -> int:
    """A raw system call; whole numbers travel as C longs. Raises ``OSError`` naming ``what``."""
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *passed), what)


fork = _libc.fork
"""``fork(2)`` past Python's own at-fork functions: they cost more than the fork itself, and are for
processes with threads, which ours never have. Returns -1 on failure, like C."""


fork_beside = partial(call, SYS_CLONE, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)
"""A copy of this process as its sibling: *our* parent is told its end. As :data:`fork`."""


def cpu_clock(pid: int) -> int:
    """The clock of a process's processor seconds, as in ``clock_getcpuclockid(3)``."""
    return (~pid << 3) | _CPU_CLOCK


def unshare(flags: int) -> None:
    """Leave the caller's namespaces. Raises ``OSError``."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """``mount(2)``. Raises ``OSError`` naming the target."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    _check(result, f"mount {kind or source} on {target}")


def unmount(target: str) -> None:
    """Detach a mount and all below it. Raises ``OSError``."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root and put the old one at ``put_old``. Raises ``OSError``."""
    paths = (ctypes.c_char_p(os.fsencode(path)) for path in (new_root, put_old))
    system_call(_SYS_PIVOT_ROOT, *paths, what="pivot_root")


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Read-only, no devices, no setuid, with all mounts below. Raises ``OSError`` before 5.12."""
    attributes = _MountAttr(MS_RDONLY | MS_NOSUID | MS_NODEV, 0, 0, 0)
    system_call(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        ctypes.c_char_p(os.fsencode(target)),
        _AT_RECURSIVE if recursive else 0,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
        what=f"mount_setattr {target}",
    )


def bind_read_only(source: str, target: str) -> None:
    """Show ``source`` at ``target``, read-only with all mounts below it. Raises ``OSError``."""
    mount(source, target, None, MS_BIND | MS_REC)
    make_read_only(target)


def set_host_name(name: str) -> None:
    """The host's name in this UTS namespace. Raises ``OSError``."""
    _check(_libc.sethostname(name.encode(), len(name.encode())), "sethostname")


def prctl(option: int, argument: int) -> None:
    """``prctl(2)`` with one argument. Raises ``OSError``."""
    if _libc.prctl(option, argument, 0, 0, 0) < 0:
        _check(-1, f"prctl {option}")


def allow_dumps(allowed: bool) -> None:
    """Whether others of the same user may look into this process, as at ``/proc/<pid>/mem``."""
    prctl(PR_SET_DUMPABLE, int(allowed))


def die_with_parent() -> None:
    """Be killed when the thread that made us ends. Taken back by a change of user: ask again."""
    prctl(PR_SET_PDEATHSIG, SIGKILL)


def filter_calls(program: bytes) -> None:
    """Put a seccomp filter on, for good, on this process and its descendants.

    Args:
        program: packed ``sock_filter`` instructions.

    Raises:
        OSError: the kernel refuses.
    """
    code = ctypes.create_string_buffer(program, len(program))
    wrapped = _FilterProgram(len(program) // 8, ctypes.addressof(code))
    if _libc.prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(wrapped), 0, 0) < 0:
        _check(-1, "seccomp")


def drop_capabilities() -> None:
    """Give up every capability (with ``no_new_privs`` none can come back). Raises ``OSError``."""
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")
