"""Keeping the interpreter within reach of a user who may not go where it lies.

Python may be installed under root's home, where nobody else may look (as it often is in
containers), while judged code runs as nobody.
"""

from __future__ import annotations

import os
import sys

from . import linux
from .root import Shown, show

__all__ = ["NOTHING_KEPT", "Reach", "is_open_to_all"]

_FIRST_KEPT, _MOST_KEPT = 48, 8
NOTHING_KEPT = range(_FIRST_KEPT, _FIRST_KEPT)


class Reach:
    """Makes folders reachable that an ordinary user could not get to; call it as root.

    Attributes:
        kept: descriptors that judged processes must not close.
    """

    def __init__(self, shown: Shown) -> None:
        self.kept = NOTHING_KEPT
        if all(map(is_open_to_all, sys.path)):
            return
        try:
            _uncover(shown)
        except OSError:  # no right to mount
            self._keep()

    def _keep(self) -> None:
        """Let imports go through descriptors: a folder that is open need not be in reach."""
        closed = [path for path in sys.path if not is_open_to_all(path)][:_MOST_KEPT]
        through = {}
        for number, path in enumerate(closed, _FIRST_KEPT):
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
            os.dup2(fd, number)
            os.close(fd)
            through[path] = f"/proc/self/fd/{number}"
        self.kept = range(_FIRST_KEPT, _FIRST_KEPT + len(closed))
        sys.path[:] = [through.get(path, path) for path in sys.path]
        sys.path_importer_cache.clear()
        for module in list(sys.modules.values()):
            places = getattr(module, "__path__", None)
            if isinstance(places, list):
                places[:] = [_redirected(place, through) for place in places]


def _redirected(place: str, through: dict[str, str]) -> str:
    for path, link in through.items():
        if place.startswith(path + os.sep):
            return link + place[len(path) :]
    return place


def is_open_to_all(path: str) -> bool:
    """Whether any user can get there and read; what does not exist is no obstacle."""
    if not os.path.exists(path):
        return True
    if not os.stat(path).st_mode & 0o004:
        return False
    while path not in ("", "/"):
        if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def _uncover(shown: Shown) -> None:
    """In a mount namespace of our own, put in place of each closed folder an open one that has
    nothing in it but what may be seen. Raises ``OSError``."""
    linux.unshare(linux.NEW_NS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for closed in sorted({_first_closed(path) for path in shown.paths.values()} - {""}):
        below = [path for path in shown.paths.values() if path.startswith(closed + os.sep)]
        handles = {path: os.open(path, os.O_PATH) for path in below}
        linux.mount("tmpfs", closed, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=1m,mode=755")
        for path, handle in handles.items():
            show(f"/proc/self/fd/{handle}", path)
            os.close(handle)


def _first_closed(path: str) -> str:
    """The topmost folder on the way there that not everybody may pass; ``""`` if there is none."""
    found = ""
    while path != "/":
        if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
            found = path
        path = os.path.dirname(path)
    return found
