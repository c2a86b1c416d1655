"""A world of its own: user, mount, process, network, IPC and host-name namespaces.

After :func:`leave` the caller is still in its old process namespace; its next child is the first
process of the new one, and when that ends the kernel kills everything in it.
"""

from __future__ import annotations

import os

from . import linux

__all__ = ["INSIDE_ID", "become_nobody", "drop_root", "leave", "nobody_for"]

_OTHERS = linux.NEW_NS | linux.NEW_PID | linux.NEW_NET | linux.NEW_IPC | linux.NEW_UTS
INSIDE_ID = 1000
_HIGH_UIDS = 0x70000000  # far above what systems and containers hand out
_FALLBACK_UID = 65533


def nobody_for(pid: int) -> int | None:
    """A user id that nobody else has, if we are root and may become it; else ``None``.

    One per lane: two programs under one id could signal each other and would share the count of
    processes.
    """
    if os.geteuid() != 0:
        return None
    for uid in (_HIGH_UIDS + pid, _FALLBACK_UID):
        if _is_mapped(uid):
            return uid
    return None  # root of a container with one id: an ordinary user seen from outside


def _is_mapped(uid: int) -> bool:
    with open("/proc/self/uid_map") as table:
        ranges = [tuple(map(int, line.split())) for line in table]
    return any(inside <= uid < inside + count for inside, _, count in ranges)


def leave(nobody: int | None) -> None:
    """Enter new namespaces; an ordinary user does it by way of a user namespace.

    Root keeps its rights until the file system stands (a container's masked ``/proc`` would
    refuse a mount to a mere user namespace), then calls :func:`become_nobody`.
    """
    if nobody is not None:
        linux.unshare(_OTHERS)
        return
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.NEW_USER | _OTHERS)
    _map_ids(uid, gid)


def become_nobody(nobody: int) -> None:
    """Drop root for good, and enter a user namespace in which processes are counted apart.

    (``RLIMIT_NPROC`` does not bind root, and is counted per user and user namespace.)
    """
    drop_root(nobody)
    linux.allow_dumps(True)  # else /proc/self/uid_map belongs to root
    linux.unshare(linux.NEW_USER)
    _map_ids(nobody, nobody)


def drop_root(nobody: int) -> None:
    """Become an ordinary user without groups."""
    os.setgroups([])
    os.setresgid(nobody, nobody, nobody)
    os.setresuid(nobody, nobody, nobody)


def _map_ids(uid: int, gid: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_ID} {uid} 1"),
        ("gid_map", f"{INSIDE_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
