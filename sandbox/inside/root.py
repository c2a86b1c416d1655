"""The judged program's file system: the system's and the interpreter's libraries, read-only.

Nothing else of the machine is there: no home, no ``/etc`` but three made-up files, no ``/sys``, no
sockets. ``/tmp`` is the scratch: a fresh memory file system with a bound on bytes and on files.
"""

from __future__ import annotations

import os
import sys

from . import linux

__all__ = ["SCRATCH", "build", "close"]

SCRATCH = "/tmp"

_STAGE = ("/tmp", "/mnt", "/var/tmp", "/run")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {
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


def build(disk_mb: int) -> None:
    """Build it and make it the root; the old one hangs on until :func:`close`.

    The order is bubblewrap's: the new root goes on a folder that any system has, and only after
    the pivot are things bound from the old one, which by then is whole again (a virtual
    environment under ``/tmp`` is not hidden by the stage that stood there).
    """
    links, shown = _plan()
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    stage = next(path for path in _STAGE if os.path.isdir(path))
    linux.mount("tmpfs", stage, "tmpfs", _FLAGS, "size=1m,nr_inodes=4096,mode=0755")
    os.chdir(stage)
    os.mkdir(_OLD[1:])
    linux.pivot_root(".", _OLD[1:])
    os.chdir("/")
    for path, target in links.items():
        os.symlink(target, path)
    for path, real in shown.items():
        _show(_OLD + real, path)
    _make_devices()
    _make_files()
    _mount_own(disk_mb)


def close() -> None:
    """Let go of the old root, and make the new one read-only (the scratch stays writable)."""
    linux.unmount(_OLD)
    os.rmdir(_OLD)
    linux.make_read_only("/", recursive=False)


def _plan() -> tuple[dict[str, str], dict[str, str]]:
    """Links to make, and paths to show with where they really are; before the root changes."""
    links = {path: os.readlink(path) for path in _SYSTEM if os.path.islink(path)}
    shown: dict[str, str] = {}
    for path in (*_SYSTEM, *_interpreter(), *_ETC):
        inside = any(path == top or path.startswith(top + "/") for top in (*links, *shown))
        if not inside and os.path.exists(path):
            shown[path] = os.path.realpath(path)
    return links, shown


def _interpreter() -> list[str]:
    """Its ``lib`` folders and its own file, under the names that it knows them by.

    Not the whole prefix: Python may be installed with the user's home as its prefix.
    """
    stdlib = os.path.dirname(os.__file__)
    paths = [os.path.join(sys.base_prefix, "lib"), os.path.join(sys.base_exec_prefix, "lib")]
    paths += [stdlib, os.path.realpath(sys.executable)]
    return [*paths, *map(os.path.realpath, paths)]


def _show(source: str, path: str) -> None:
    if os.path.isdir(source):
        os.makedirs(path, 0o755, exist_ok=True)
    else:
        _touch(path)
    linux.bind_read_only(source, path)


def _mount_own(disk_mb: int) -> None:
    os.mkdir(SCRATCH)
    options = f"size={disk_mb}m,nr_inodes={max(256, 192 * disk_mb)},mode=0777"
    linux.mount("tmpfs", SCRATCH, "tmpfs", _FLAGS, options)
    os.mkdir("/proc")
    linux.mount("proc", "/proc", "proc", _FLAGS | linux.MS_NOEXEC, "subset=pid")


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
        os.symlink(target, path)


def _make_files() -> None:
    for path, text in _MADE_UP.items():
        _touch(path)
        with open(path, "w") as file:
            file.write(text)
