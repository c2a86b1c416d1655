"""Landlock: which files a process and its descendants may open, whatever their rights are.

https://docs.kernel.org/userspace-api/landlock.html. The struct sizes tell the kernel which version
we speak, so that one table serves every version from the first (5.13) on.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from . import linux

__all__ = ["ALL", "READ", "WRITE", "be_lonely", "confine", "lonely", "prepared", "version"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1, 2, 4, 8
_TRUNCATE, _DEVICE_IOCTL = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_IOCTL

READ = _EXECUTE | _READ_FILE | _READ_FOLDER
"""Read and execute, and list folders."""
WRITE = _READ_FILE | _WRITE_FILE | _TRUNCATE
"""Read and write what is there, make nothing new."""
ALL = (1 << 16) - 1
"""Everything that some version knows."""

# (version, access rights on files that it knows)
_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, _DEVICE_IOCTL))
_TCP = 3  # bind and connect, from version 4
_SCOPES, _SIGNALS = 3, 2  # abstract sockets and signals outside, from version 6
_SCOPED_SINCE = 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """The kernel's Landlock version; 0 where there is none, or it is switched off or forbidden."""
    try:
        return linux.system_call(_CREATE_RULESET, None, 0, _ASK_VERSION, what="landlock")
    except OSError:
        return 0


def prepared(rules: Iterable[tuple[str, int]]) -> int:
    """A descriptor of a ruleset, for :func:`confine`.

    Paths that do not exist are passed over: what is not allowed is denied.

    Args:
        rules: paths (of files, or of folders with all below), each with what is allowed there.

    Raises:
        OSError: the kernel has no Landlock, or refuses.
    """
    known = version()
    handled = sum(rights for since, rights in _RIGHTS if known >= since)
    ruleset = _new_ruleset(known, handled)
    for path, allowed in rules:
        _add(ruleset, path, allowed & handled)
    return ruleset


def confine(ruleset: int) -> None:
    """From now on this process opens only what the rules name. Needs ``no_new_privs``; closes the
    descriptor. Raises ``OSError``."""
    linux.system_call(_RESTRICT_SELF, ruleset, 0, what="landlock_restrict_self")
    os.close(ruleset)


def lonely() -> int:
    """A descriptor of a ruleset for :func:`be_lonely`; -1 where the kernel cannot (before 6.12)."""
    if version() < _SCOPED_SINCE:
        return -1
    return _created(_Ruleset(0, 0, _SIGNALS), 24)


def be_lonely(ruleset: int) -> None:
    """From now on this process can signal itself and its descendants only. Raises ``OSError``."""
    if linux.call(_RESTRICT_SELF, ruleset, 0) < 0:
        linux.fail("landlock_restrict_self")


def _new_ruleset(known: int, handled: int) -> int:
    is_scoped = known >= _SCOPED_SINCE
    attributes = _Ruleset(handled, _TCP if known >= 4 else 0, _SCOPES if is_scoped else 0)
    return _created(attributes, 24 if is_scoped else 16 if known >= 4 else 8)


def _created(attributes: _Ruleset, size: int) -> int:
    return linux.system_call(
        _CREATE_RULESET, ctypes.byref(attributes), size, 0, what="landlock_create_ruleset"
    )


def _add(ruleset: int, path: str, allowed: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = allowed if os.path.isdir(path) else allowed & _OF_FILES
        rule = _PathBeneath(rights, fd)
        linux.system_call(
            _ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0, what=f"landlock {path}"
        )
    finally:
        os.close(fd)
