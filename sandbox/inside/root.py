"""The judged program's file system: the system's and the interpreter's libraries, read-only.

Nothing else of the machine is there: no home, no ``/etc`` but made-up files, no ``/sys``, no
sockets. ``/tmp`` leads to the scratch, a memory file system with a bound on bytes and on files.
"""

from __future__ import annotations

import os
import sys

from . import linux
from .landlock import ALL, READ, WRITE

__all__ = ["SCRATCH", "Shown", "build", "close", "mount_proc", "mount_scratch", "rules", "show"]

# The scratch is mounted and mounted anew; Landlock, put on once, knows it by the folder around it.
_BOX = "/box"
SCRATCH = "/box/tmp"

_STAGE = ("/tmp", "/mnt", "/var/tmp", "/run")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_DEVICES = {"null": WRITE, "zero": WRITE, "full": WRITE, "random": READ, "urandom": READ}
_LINKS = {
    "/tmp": SCRATCH,
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/fd": "/proc/self/fd",
    "/dev/shm": SCRATCH,
}
_MADE_UP = {
    "/etc/passwd": "sandbox:x:1000:1000::/tmp:/bin/sh\n",
    "/etc/group": "sandbox:x:1000:\n",
}
_OLD = "/.old"
_FLAGS = linux.MS_NOSUID | linux.MS_NODEV


class Shown:
    """What of the machine judged code may see, found out before the root changes.

    Args:
        extra: further files and folders: of what is preloaded.
    """

    def __init__(self, extra: list[str]) -> None:
        self.links = {path: os.readlink(path) for path in _SYSTEM if os.path.islink(path)}
        self.paths: dict[str, str] = {}
        for path in (*_SYSTEM, *_interpreter(), *extra, *_ETC):
            tops = (*self.links, *self.paths)
            inside = any(path == top or path.startswith(top + "/") for top in tops)
            if not inside and os.path.exists(path):
                self.paths[path] = os.path.realpath(path)


def _interpreter() -> list[str]:
    """Its ``lib`` folders and its own file, under the names that it knows them by.

    Not the whole prefix: Python may be installed with the user's home as its prefix.
    """
    stdlib = os.path.dirname(os.__file__)
    paths = [os.path.join(sys.base_prefix, "lib"), os.path.join(sys.base_exec_prefix, "lib")]
    paths += [stdlib, sys.executable]
    return [*paths, *map(os.path.realpath, paths)]


def rules(shown: Shown, *, own_root: bool) -> list[tuple[str, int]]:
    """What Landlock is to allow, in a root of our own or in the machine's."""
    found = [(path, READ) for path in (*shown.paths, *shown.links)]
    found += [(f"/dev/{name}", rights) for name, rights in _DEVICES.items()]
    if own_root:
        found += [(path, READ) for path in _MADE_UP]
        found += [("/proc", READ | WRITE), (_BOX, ALL)]
    return found


def build(shown: Shown) -> None:
    """Build it and make it the root; the old one hangs on until :func:`close`.

    The order is bubblewrap's: the new root goes on a folder that any system has, and only after
    the pivot are things bound from the old one, which by then is whole again (a virtual
    environment under ``/tmp`` is not hidden by the stage that stood there).
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    stage = next(path for path in _STAGE if os.path.isdir(path))
    linux.mount("tmpfs", stage, "tmpfs", _FLAGS, "size=1m,nr_inodes=4096,mode=0755")
    os.chdir(stage)
    os.mkdir(_OLD[1:])
    linux.pivot_root(".", _OLD[1:])
    os.chdir("/")
    for path, target in shown.links.items():
        os.symlink(target, path)
    for path, real in shown.paths.items():
        show(_OLD + real, path)
    os.makedirs(SCRATCH)
    _make_devices()
    _make_files()


def mount_proc() -> None:
    """In the first process of a process namespace, while the old ``/proc`` can still be seen."""
    os.mkdir("/proc")
    linux.mount("proc", "/proc", "proc", _FLAGS | linux.MS_NOEXEC, "subset=pid")


def close() -> None:
    """Let go of the old root, and make the new one read-only (the scratch is a mount apart)."""
    linux.unmount(_OLD)
    os.rmdir(_OLD)
    linux.make_read_only("/", recursive=False)


def mount_scratch(disk_mb: int, owner: int) -> None:
    """A fresh, empty scratch. Raises ``OSError``."""
    options = f"size={disk_mb}m,nr_inodes={max(256, 192 * disk_mb)},mode=0700"
    linux.mount("tmpfs", SCRATCH, "tmpfs", _FLAGS, f"{options},uid={owner},gid={owner}")


def show(source: str, path: str) -> None:
    """Have what is at ``source`` also at ``path``, read-only. Raises ``OSError``."""
    if os.path.isdir(source):
        os.makedirs(path, 0o755, exist_ok=True)
    else:
        _touch(path)
    linux.bind_read_only(source, path)


def _touch(path: str) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with open(path, "w"):
        pass


def _make_devices() -> None:
    os.mkdir("/dev")
    for name in _DEVICES:
        _touch(f"/dev/{name}")
        linux.mount(f"{_OLD}/dev/{name}", f"/dev/{name}", None, linux.MS_BIND)
    for path, target in _LINKS.items():
        if not os.path.lexists(path):  # an interpreter may live under /tmp
            os.symlink(target, path)


def _make_files() -> None:
    for path, text in _MADE_UP.items():
        _touch(path)
        with open(path, "w") as file:
            file.write(text)
