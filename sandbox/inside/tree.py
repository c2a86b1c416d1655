"""Deleting a folder that hostile code has written."""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["empty_tree", "remove_tree"]

# (Where a platform has neither flag, nothing is ever run, so there is nothing to delete.)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def remove_tree(path: str) -> None:
    """Delete a folder with all in it: of any depth, unreadable, full of links.

    ``shutil.rmtree`` runs out of stack, of descriptors or of path length on a deep tree. Here
    every folder is first moved up to the top, so that depth never matters; links are never
    followed; whoever wrote the tree must be dead.
    """
    empty_tree(path)
    os.rmdir(path)


def empty_tree(path: str) -> None:
    """Delete all that is in a folder, and keep the folder. As :func:`remove_tree`."""
    top = _open(path, None)
    try:
        _empty(top)
    finally:
        os.close(top)


def _empty(top: int) -> None:
    moved = 0
    while names := os.listdir(top):
        for name in names:
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            inner = _open(name, top)
            try:
                moved = _lift(inner, top, moved)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _lift(inner: int, top: int, moved: int) -> int:
    """Delete a folder's files and move its folders to the top under new names."""
    for name in os.listdir(inner):
        if not _is_folder(name, inner):
            os.unlink(name, dir_fd=inner)
            continue
        os.close(_open(name, inner))  # writable: moving a folder rewrites its ".."
        while _exists(f"rk{moved}", top):
            moved += 1
        os.rename(name, f"rk{moved}", src_dir_fd=inner, dst_dir_fd=top)
        moved += 1
    return moved


def _open(name: str, parent: int | None) -> int:
    """A descriptor of a folder, opened up for us in case that its maker closed it."""
    handle = os.open(name, _DIRECTORY | getattr(os, "O_PATH", 0), dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)  # what was opened: not what a link leads to
    finally:
        os.close(handle)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _exists(name: str, parent: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False
