"""The system-call filters: what judged code may ask of the kernel.

An allowlist, so that a call invented tomorrow is refused. Two filters:

- :func:`common` is put on every zygote; judged processes are born with it.
- :func:`alone` is put on those that have no process namespace as well. What lets a zygote do more
  than the processes that it forks is in :mod:`.rights`.
"""

from __future__ import annotations

import errno
import signal

from . import bpf, rights
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
_PID_DESCRIPTOR = 0x1000
_AF_UNIX, _MAP_HUGETLB, _MAP_GROWSDOWN, _MAP_HERE = 1, 0x40000, 0x100, 0x100010
_MREMAP_MAYMOVE = 1
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
_PR_SET_PDEATHSIG = 1
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


def common() -> bytes:
    """The allowlist as a packed program."""
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
        *_prctl(),
    ]
    return bpf.assemble([*lines, *_verdicts()])


def alone(*, may_signal: bool) -> bytes:
    """The filter without a process namespace: threads but no processes, no clock of another.

    Args:
        may_signal: whether signals may be sent, because Landlock keeps them to the process itself.
    """
    # (Landlock knows truncate since its third version only.)
    never = ["tkill", "pidfd_open", "pidfd_send_signal", "fork", "vfork", "truncate"]
    if not may_signal:
        never += ["kill", "tgkill", "rt_tgsigqueueinfo"]
    never += _MAPPING_ANYWHERE
    lines = [bpf.load(_NUMBER)]
    lines += [bpf.equal(NUMBERS[name], "deny") for name in never]
    lines += [bpf.equal(NUMBERS[name], "pretend") for name in _UNGUARDED]
    lines += [bpf.equal(NUMBERS[name], "other clocks") for name in _CLOCKED]
    lines += [
        bpf.equal(NUMBERS["clone"], "clone"),
        bpf.equal(NUMBERS["clock_gettime"], "clock_gettime"),
        bpf.equal(NUMBERS["rt_sigqueueinfo"], "rt_sigqueueinfo"),
        bpf.equal(NUMBERS["mmap"], "mmap"),
        bpf.equal(NUMBERS["munmap"], "low"),
        bpf.equal(NUMBERS["mprotect"], "low"),
        bpf.equal(NUMBERS["mremap"], "mremap", "allow"),
        bpf.label("clone"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_THREAD, "allow"),
        bpf.any_bit(_PID_DESCRIPTOR, "", "deny"),
        *_pointer_is(2, rights.DESCRIPTOR_AT),
        bpf.label("clock_gettime"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_CLOCK_OF_A_PROCESS, "", "allow"),
        *_pointer_is(1, rights.CLOCK_AT),
        bpf.label("other clocks"),
        bpf.load(ARGUMENTS[0]),
        bpf.any_bit(_CLOCK_OF_A_PROCESS, "deny", "allow"),
        bpf.label("rt_sigqueueinfo"),
        *([bpf.jump("allow")] if may_signal else _pointer_is(2, rights.SIGNAL_AT)),
        *_mapping_elsewhere(),
    ]
    return bpf.assemble([*lines, *_verdicts()])


def _pointer_is(argument: int, address: int) -> list[bpf.Line]:
    return [
        bpf.load(ARGUMENTS[argument]),
        bpf.equal(address, "", "deny"),
        bpf.load(ARGUMENTS[argument] + 4),
        bpf.equal(0, "allow", "deny"),
    ]


# What maps memory at addresses that a filter does not see: a new program its segments, arch_prctl
# the kernel's own pages, which can then be made writable.
_MAPPING_ANYWHERE = ("execve", "execveat", "arch_prctl")


def _mapping_elsewhere() -> list[bpf.Line]:
    """The page that is in the place of the page of rights stays, and nobody may read or write it.

    It is not enough that nothing can be mapped there by name: were there a gap, the kernel would
    take it for who asks for no address, once all gaps above are too small.
    """
    return [
        bpf.label("mmap"),
        bpf.load(ARGUMENTS[3]),
        bpf.any_bit(_MAP_GROWSDOWN, "deny"),
        bpf.load(ARGUMENTS[0] + 4),
        bpf.equal(0, "", "allow"),
        bpf.load(ARGUMENTS[0]),
        bpf.at_least(rights.END, "allow"),
        bpf.equal(0, "", "inaccessible"),
        bpf.load(ARGUMENTS[3]),
        bpf.any_bit(_MAP_HERE, "deny", "allow"),
        # As a zygote's processes do themselves; to do it again changes nothing.
        bpf.label("inaccessible"),
        bpf.load(ARGUMENTS[2]),
        bpf.equal(0, "", "deny"),
        bpf.load(ARGUMENTS[3]),
        bpf.equal(rights.IN_ITS_PLACE, "allow", "deny"),
        bpf.label("mremap"),
        bpf.load(ARGUMENTS[3]),
        bpf.any_bit(~_MREMAP_MAYMOVE, "deny"),
        bpf.label("low"),
        bpf.load(ARGUMENTS[0] + 4),
        bpf.equal(0, "", "allow"),
        bpf.load(ARGUMENTS[0]),
        bpf.at_least(rights.END, "allow", "deny"),
    ]


# A clock's number can name any process of the machine: it would tell how much that one computes.
_CLOCKED = ("clock_getres", "clock_nanosleep", "timer_create")
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


def _prctl() -> list[bpf.Line]:
    return [
        bpf.label("check prctl"),
        bpf.load(ARGUMENTS[0]),
        *(bpf.equal(option, "allow") for option in _PRCTLS),
        bpf.equal(_PR_SET_PDEATHSIG, "", "deny"),
        # Set it again, yes; take it back, no: it ends what outlives its zygote.
        bpf.load(ARGUMENTS[1]),
        bpf.equal(signal.SIGKILL, "allow", "deny"),
    ]
