"""A system-call filter: what no judged program needs and every escape wants.

A deny list, not an allow list: it keeps memory that no limit counts (memory files, System V
shared memory), kernel interfaces with a long record of holes (io_uring, bpf, userfaultfd, perf,
keyrings), new namespaces, and other processes' memory out of reach. x86_64 only, because only
there has it been tested; elsewhere :func:`filter_for` gives ``None`` and the report says so.
"""

from __future__ import annotations

import errno
import struct

__all__ = ["filter_for"]

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AUDIT_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT_0 = 0, 4, 16  # offsets in struct seccomp_data

_CLONE, _SOCKET, _CLONE3 = 56, 41, 435
_KILL_CALL, _TGKILL = 62, 234
_OTHER_SIGNALS = (200, 129, 297, 424)  # tkill, rt_sigqueueinfo and kin, pidfd_send_signal
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: all bound to the network namespace

_DENIED = (
    # memory that rlimits do not count
    *(319, 447),  # memfd_create, memfd_secret
    *(29, 30, 31, 67, 64, 65, 66, 220),  # System V shared memory and semaphores
    *(68, 69, 70, 71, 240, 241, 242, 243, 244, 245),  # message queues of both kinds
    *(188, 189, 190),  # setxattr and kin: attributes are kernel memory
    # other processes
    *(101, 310, 311, 312, 438, 440),  # ptrace, process_vm_*, kcmp, pidfd_getfd, process_madvise
    # namespaces and mounts
    *(165, 166, 155, 161, 272, 308),  # mount, umount2, pivot_root, chroot, unshare, setns
    *(428, 429, 430, 431, 432, 433, 442),  # the newer mount calls
    *(303, 304, 300, 301),  # open_by_handle_at and kin, fanotify
    # kernel interfaces with a record
    *(321, 298, 323, 425, 426, 427),  # bpf, perf_event_open, userfaultfd, io_uring
    *(248, 249, 250),  # keyrings
    *(175, 313, 176, 246, 320, 169),  # modules, kexec, reboot
    *(167, 168, 163, 179, 443),  # swap, accounting, quotas
    *(164, 227, 159, 305),  # setting clocks
    *(172, 173, 154, 135, 103, 134, 139, 136, 153, 180, 212),  # iopl ... lookup_dcookie
    *(237, 238, 256, 279, 216),  # memory placement
)


def filter_for(machine: str, *, alone: bool, pid: int) -> bytes | None:
    """The filter as packed instructions; ``None`` for a machine that it was not made for.

    Args:
        machine: as in ``os.uname().machine``.
        alone: whether the program has namespaces of its own. If not, the filter keeps it from
            making sockets, and from signalling any process but itself.
        pid: the program's process id.
    """
    if machine != "x86_64":
        return None
    code = [
        _op(_LOAD, _ARCH),
        _op(_EQUAL, _AUDIT_X86_64, 1, 0),
        _op(_RETURN, _KILL),  # 32-bit calls have other numbers: none may pass
        _op(_LOAD, _NUMBER),
        _op(_AT_LEAST, _X32_BIT, 0, 1),
        _deny(errno.ENOSYS),
        _op(_EQUAL, _CLONE3, 0, 1),
        _deny(errno.ENOSYS),  # its flags are out of a filter's sight; libc falls back to clone
    ]
    for number in _DENIED:
        code += [_op(_EQUAL, number, 0, 1), _deny(errno.EPERM)]
    code += _clone() + _socket(alone)
    if not alone:
        code += _signals(pid)
    code.append(_op(_RETURN, _ALLOW))
    return b"".join(code)


def _clone() -> list[bytes]:
    """Threads and processes yes, new namespaces no."""
    body = [
        _op(_LOAD, _ARGUMENT_0),
        _op(_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _deny(errno.EPERM),
        _op(_RETURN, _ALLOW),
    ]
    return [_op(_EQUAL, _CLONE, 0, len(body)), *body]


def _socket(allowed: bool) -> list[bytes]:
    """Only families that a network namespace holds in: vsock would reach a VM's host."""
    body = [_op(_LOAD, _ARGUMENT_0)]
    for family in _FAMILIES if allowed else ():
        body += [_op(_EQUAL, family, 0, 1), _op(_RETURN, _ALLOW)]
    body.append(_deny(errno.EAFNOSUPPORT))
    return [_op(_EQUAL, _SOCKET, 0, len(body)), *body]


def _signals(own: int) -> list[bytes]:
    """Only to itself and to its own process group: the caller may run as the same user."""
    code = []
    for number in _OTHER_SIGNALS:
        code += [_op(_EQUAL, number, 0, 1), _deny(errno.EPERM)]
    for number, allowed in ((_KILL_CALL, (own, 0)), (_TGKILL, (own,))):
        body = [_op(_LOAD, _ARGUMENT_0)]
        for target in allowed:
            body += [_op(_EQUAL, target, 0, 1), _op(_RETURN, _ALLOW)]
        body.append(_deny(errno.EPERM))
        code += [_op(_EQUAL, number, 0, len(body)), *body]
    return code


def _deny(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
