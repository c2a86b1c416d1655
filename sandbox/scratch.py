"""Deleting a folder that hostile code has written."""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["remove_tree"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def remove_tree(path: str) -> None:
    """Delete a folder with all in it: of any depth, unreadable, full of links.

    ``shutil.rmtree`` runs out of stack, of descriptors or of path length on a deep tree. Here
    every folder is first moved up to the top, so that depth never matters; links are never
    followed; whoever wrote the tree must be dead.
    """
    top = os.open(path, _DIRECTORY)
    try:
        os.chmod(top, 0o700)
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(top: int) -> None:
    moved = 0
    while names := os.listdir(top):
        for name in names:
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            # Its owner may have closed it; moving it away rewrites its "..".
            os.chmod(name, 0o700, dir_fd=top)
            inner = os.open(name, _DIRECTORY, dir_fd=top)
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
        os.chmod(name, 0o700, dir_fd=inner)
        while _exists(f"rk{moved}", top):
            moved += 1
        os.rename(name, f"rk{moved}", src_dir_fd=inner, dst_dir_fd=top)
        moved += 1
    return moved


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _exists(name: str, parent: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.stat(name, dir_fd=parent, follow_symlinks=False)
        return True
    return False
