"""The system-call filters: what judged code may ask of the kernel.

An allowlist, so that a call invented tomorrow is refused. Two filters:

- :func:`common` is put on the zygote itself, once; judged processes are born with it.
- :func:`alone` is for judged processes that have no process namespace: it lets them signal nobody
  but themselves, read no clock of another, and start threads only. It names the process, so it is
  put on each of them.
"""

from __future__ import annotations

import errno
import signal
import struct

from . import bpf
from .syscalls import ABSENT, ALLOWED, CHECKED, LAST_KNOWN, NUMBERS

__all__ = ["ARGUMENTS", "MACHINES", "alone", "common"]

MACHINES = ("x86_64",)
"""Where the tables hold; other machines are refused until they can be tested."""

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AUDIT_X86_64 = 0xC000003E
_X32_BIT = 0x40000000

_NUMBER, _ARCH = 0, 4
ARGUMENTS = tuple(range(16, 64, 8))
"""Where the low halves of a call's six arguments lie in its description."""

_NEW_NAMESPACES, _TRACED, _THREAD = 0x7E020000, 0x2000, 0x10000
_AF_UNIX, _MAP_HUGETLB = 1, 0x40000
_SOME_PID = 0x7FFFFFFE  # no number of a system call, no flag
_IOCTLS = (
    0x5401,  # TCGETS: "is this a terminal?"
    0x5413,  # TIOCGWINSZ
    0x541B,  # FIONREAD
    0x5421,  # FIONBIO
    0x5450,  # FIONCLEX
    0x5451,  # FIOCLEX
)
_FCNTLS = (
    *range(8),  # DUPFD, GETFD, SETFD, GETFL, SETFL, and locks
    *(36, 37, 38),  # locks of open files
    1030,  # DUPFD_CLOEXEC
    1032,  # GETPIPE_SZ
    *(1033, 1034),  # seals
)
# Not SETOWN and SETSIG, which would have the kernel send signals to others; not SETPIPE_SZ: what
# lies in pipes no limit counts.
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP = 1, 22
_PRCTLS = (
    2,  # GET_PDEATHSIG
    3,  # GET_DUMPABLE
    4,  # SET_DUMPABLE
    15,  # SET_NAME
    16,  # GET_NAME
    21,  # GET_SECCOMP
    23,  # CAPBSET_READ
    30,  # GET_TIMERSLACK
    38,  # SET_NO_NEW_PRIVS
    39,  # GET_NO_NEW_PRIVS
    0x53564D41,  # SET_VMA: libc names its memory
)


def common(*, may_add_filters: bool) -> bytes:
    """The allowlist as a packed program.

    Args:
        may_add_filters: whether a process under it may add another (:func:`alone`).
    """
    lines = [
        bpf.load(_ARCH),
        # 32-bit calls have other numbers: none may pass.
        bpf.equal(_AUDIT_X86_64, "native"),
        bpf.give(_KILL),
        bpf.label("native"),
        bpf.load(_NUMBER),
    ]
    lines += _search(_ranges(), "")
    lines += [
        *_mmap(),
        *_clone(),
        *_first_is("socketpair", _AF_UNIX),
        *_first_is("sched_setaffinity", 0),  # another's processors, or limits, are not its affair
        *_first_is("prlimit64", 0),
        *_sendto(),
        *_second_in("ioctl", _IOCTLS, "no terminal"),
        *_second_in("fcntl", _FCNTLS, "deny"),
        *_prctl(may_add_filters),
    ]
    return bpf.assemble([*lines, *_verdicts()])


def alone() -> tuple[bytes, int]:
    """The filter for a process without a process namespace, and at which byte is the instruction
    whose operand is to be its own process id."""
    to_itself = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    # (Landlock knows truncate since its third version only.)
    never = ("tkill", "pidfd_open", "pidfd_send_signal", "fork", "vfork", "truncate")
    lines = [bpf.load(_NUMBER)]
    lines += [bpf.equal(NUMBERS[name], "own") for name in to_itself]
    lines += [bpf.equal(NUMBERS[name], "deny") for name in never]
    lines += [bpf.equal(NUMBERS[name], "pretend") for name in _UNGUARDED]
    lines += [bpf.equal(NUMBERS[name], "clock") for name in _CLOCKED]
    lines += [
        bpf.equal(NUMBERS["clone"], "clone"),
        bpf.equal(NUMBERS["prctl"], "prctl", "allow"),
        bpf.label("clock"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_CLOCK_OF_A_PROCESS, "deny", "allow"),
        bpf.label("own"),
        bpf.load(ARGUMENTS[0]),
        bpf.equal(_SOME_PID, "allow", "deny"),
        bpf.label("clone"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_THREAD, "allow", "deny"),
        bpf.label("prctl"),
        bpf.load(ARGUMENTS[0]),
        bpf.equal(_PR_SET_SECCOMP, "deny", "allow"),
    ]
    program = bpf.assemble([*lines, *_verdicts()])
    return program, program.index(struct.pack("<I", _SOME_PID)) - 4


# A clock's number can name any process of the machine: it would tell how much that one computes.
_CLOCKED = ("clock_gettime", "clock_getres", "clock_nanosleep", "timer_create")
_CLOCK_OF_A_PROCESS = 0x80000000

# What Landlock does not look at: mode and times of files that the same user owns. They cannot be
# changed, but copying a file sets them: it is told that it did.
_UNGUARDED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2"),
    *("utime", "utimes", "futimesat", "utimensat"),
)


def _verdicts() -> list[bpf.Line]:
    return [
        bpf.label("deny"),
        bpf.give(_ERRNO | errno.EPERM),
        bpf.label("absent"),
        bpf.give(_ERRNO | errno.ENOSYS),
        bpf.label("pretend"),
        bpf.give(_ERRNO),
        bpf.label("no terminal"),
        bpf.give(_ERRNO | errno.ENOTTY),
        bpf.label("allow"),
        bpf.give(_ALLOW),
    ]


def _ranges() -> list[tuple[int, str]]:
    """From which number on which verdict holds, in order, from 0."""
    verdicts = dict.fromkeys(range(LAST_KNOWN + 1), "deny")
    for group in ALLOWED.values():
        verdicts.update(dict.fromkeys(group.values(), "allow"))
    verdicts.update({number: f"check {name}" for name, number in CHECKED.items()})
    verdicts.update(dict.fromkeys(ABSENT.values(), "absent"))
    # Also x32, whose numbers have a high bit.
    verdicts[LAST_KNOWN + 1] = "absent"
    ordered = sorted(verdicts.items())
    return [
        (number, verdict)
        for place, (number, verdict) in enumerate(ordered)
        if place == 0 or ordered[place - 1][1] != verdict
    ]


def _search(ranges: list[tuple[int, str]], path: str) -> list[bpf.Line]:
    """Find the register's range by halving, and go to its verdict."""
    if len(ranges) == 1:
        return [bpf.jump(ranges[0][1])]
    middle = len(ranges) // 2
    upper = f"upper {path}"
    return [
        bpf.at_least(ranges[middle][0], upper),
        *_search(ranges[:middle], path + "<"),
        bpf.label(upper),
        *_search(ranges[middle:], path + ">"),
    ]


def _mmap() -> list[bpf.Line]:
    """No pages of the machine's pool of huge ones: the limits that count memory do not see them."""
    return [
        bpf.label("check mmap"),
        bpf.load(ARGUMENTS[3]),
        bpf.any_bit(_MAP_HUGETLB, "deny", "allow"),
    ]


def _clone() -> list[bpf.Line]:
    """Threads and processes yes; new namespaces, or a tracer that comes along, no."""
    return [
        bpf.label("check clone"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_NEW_NAMESPACES | _TRACED, "deny", "allow"),
    ]


def _first_is(name: str, value: int) -> list[bpf.Line]:
    return [
        bpf.label(f"check {name}"),
        bpf.load(ARGUMENTS[0]),
        bpf.equal(value, "allow", "deny"),
    ]


def _sendto() -> list[bpf.Line]:
    """Only on what is connected: a datagram pair could send to any address of its family."""
    address = ARGUMENTS[4]
    return [
        bpf.label("check sendto"),
        bpf.load(address),
        bpf.equal(0, "", "deny"),
        bpf.load(address + 4),
        bpf.equal(0, "allow", "deny"),
    ]


def _second_in(name: str, values: tuple[int, ...], otherwise: str) -> list[bpf.Line]:
    return [
        bpf.label(f"check {name}"),
        bpf.load(ARGUMENTS[1]),
        *(bpf.equal(value, "allow") for value in values),
        bpf.jump(otherwise),
    ]


def _prctl(may_add_filters: bool) -> list[bpf.Line]:
    options = (*_PRCTLS, _PR_SET_SECCOMP) if may_add_filters else _PRCTLS
    return [
        bpf.label("check prctl"),
        bpf.load(ARGUMENTS[0]),
        *(bpf.equal(option, "allow") for option in options),
        bpf.equal(_PR_SET_PDEATHSIG, "", "deny"),
        # Set it again, yes; take it back, no: it ends what outlives its zygote.
        bpf.load(ARGUMENTS[1]),
        bpf.equal(signal.SIGKILL, "allow", "deny"),
    ]
