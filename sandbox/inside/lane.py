"""Becoming a lane: from a fork of the nursery to a zygote that waits for orders."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from . import landlock, linux, namespaces, root, seccomp
from .child import Ledger
from .keeper import Scratch, keep
from .reach import NOTHING_KEPT, Reach
from .root import Shown
from .wire import LANDLOCK, NAMESPACES, READY
from .worlds import Alone, Loose, Sealed, World
from .zygote import Zygote

__all__ = ["be_lane"]


def be_lane(
    tier: str, control: socket.socket, ledger: int, shown: Shown, folder: str, writable: bool
) -> NoReturn:
    """Set up the tier, tell the caller, and serve; in a process just forked.

    Args:
        tier: ``NAMESPACES``, ``LANDLOCK`` or ``NONE``.
        control, ledger: the caller's.
        shown: what of the machine may be seen.
        folder: the working directory of judged code, where it has no root of its own.
        writable: whether that folder is a scratch.
    """
    me, log, known = os.getpid(), os.dup(2), landlock.version()
    try:
        if tier == NAMESPACES:
            zygote = _sealed(control, Ledger(ledger), shown)
        else:
            world = Alone() if tier == LANDLOCK else Loose()
            zygote = _in_folder(control, Ledger(ledger), shown, folder, writable, world)
        told = "" if tier == NAMESPACES else folder
        control.send(READY.pack(True, known, me) + os.fsencode(told))
    except BaseException as error:
        why = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
        control.send(READY.pack(False, known, me) + why[:1000])
        os._exit(1)
    try:
        zygote.serve()
    except BaseException as error:
        os.write(log, f"zygote: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(0)


def _sealed(control: socket.socket, ledger: Ledger, shown: Shown) -> Zygote:
    """In namespaces: the caller's fork becomes the keeper, its child the zygote."""
    nobody = namespaces.nobody_for(os.getpid())
    namespaces.leave(nobody)
    ours, keepers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = linux.fork()
    if pid < 0:
        raise OSError("cannot fork")
    if pid:
        linux.die_with_parent()
        linux.allow_dumps(False)
        control.close()
        ours.close()
        keep(keepers, pid, nobody if nobody is not None else namespaces.INSIDE_ID)
    keepers.close()
    root.build(shown)
    root.mount_proc()
    root.close()
    linux.set_host_name("sandbox")
    _die_first()
    if nobody is not None:
        namespaces.become_nobody(nobody)
    scratch = Scratch(ours)
    own = 1 if nobody is not None else 2  # the keeper is of the same user namespace, or not
    zygote = Zygote(control, ledger, Sealed(), scratch, "/tmp", own)
    rules = root.rules(shown, own_root=True)
    ruleset = landlock.prepared(rules) if landlock.version() else -1
    _confine(ruleset, seccomp.common())
    return zygote


def _in_folder(
    control: socket.socket,
    ledger: Ledger,
    shown: Shown,
    folder: str,
    writable: bool,
    world: World,
) -> Zygote:
    """Without namespaces: an ordinary user's process in a folder of its own."""
    # A group of its own, but no session: a scheduler that shares by sessions would let many lanes
    # outweigh the trainer.
    os.setpgid(0, 0)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    _die_first()
    ruleset = -1
    nobody = namespaces.nobody_for(os.getpid())
    kept = Reach(shown).kept if nobody is not None else NOTHING_KEPT
    if isinstance(world, Alone):
        rights = landlock.ALL if writable else landlock.READ
        ruleset = landlock.prepared([*root.rules(shown, own_root=False), (folder, rights)])
    if nobody is not None:
        os.chown(folder, nobody, nobody)
        namespaces.drop_root(nobody)
    zygote = Zygote(control, ledger, world, None, folder, own=1, kept=kept)
    if isinstance(world, Alone):
        # In this order: the second forbids further ones.
        _confine(ruleset, seccomp.alone(may_signal=world.may_signal), seccomp.common())
    return zygote


def _die_first() -> None:
    """If the machine runs out of memory, let the kernel choose a judged process, not the trainer.
    (They inherit it; of all that are willing the kernel takes the largest, which we are not.)"""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return  # a container may keep its /proc from being written: then as it is


def _confine(ruleset: int, *filters: bytes) -> None:
    """Give up all rights for good: judged processes are born without them."""
    linux.drop_capabilities()
    linux.die_with_parent()  # the changes of user above have taken it back
    linux.allow_dumps(False)  # judged processes inherit it; none may look into another
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    if ruleset >= 0:
        landlock.confine(ruleset)
    for program in filters:
        linux.filter_calls(program)
