"""The lane's second process: it stays outside of the process namespace and keeps the scratch fresh.

The zygote has given up all rights, mounting included, before the first judged program; so somebody
else must have them. The keeper does one thing, on request, and is out of judged code's sight.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NoReturn

from . import linux, root

__all__ = ["Scratch", "keep"]

_REQUEST = struct.Struct("<I")
_DONE = b"k"
_MODE = 0o700
_TIMES = (0, 0)


def keep(channel: socket.socket, zygote: int, owner: int) -> NoReturn:
    """Mount a fresh scratch whenever the zygote asks, until it ends; then end as well.

    Args:
        channel: to the zygote.
        zygote: its process id.
        owner: the user id, as known here, that the scratch belongs to.
    """
    mounted = False
    while request := channel.recv(_REQUEST.size):
        try:
            if mounted:
                linux.unmount(root.SCRATCH)
                mounted = False
            (disk_mb,) = _REQUEST.unpack(request)
            root.mount_scratch(disk_mb, owner)
            mounted = True
            channel.send(_DONE)
        except OSError as error:
            channel.send(str(error).encode())
    # The channel closed: the zygote has ended, and the kernel empties its process namespace.
    os.waitpid(zygote, 0)
    os._exit(0)


class Scratch:
    """The zygote's side: makes sure that a scratch is empty, as large as ordered, and as new."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._disk_mb = 0

    def renew(self, disk_mb: int) -> None:
        """Have it mounted anew, unless nothing is in it; it becomes the working directory.

        In a memory file system whose root folder is empty, and of which no process has anything
        open, there is nothing; what can be changed of the folder itself is set again. (Extended
        attributes and flags cannot: the filter forbids it.)

        Raises:
            OSError: it could not be mounted.
        """
        if self._disk_mb == disk_mb:
            os.chmod(root.SCRATCH, _MODE)
            if not os.listdir(root.SCRATCH):
                os.utime(root.SCRATCH, _TIMES)
                return
        self._disk_mb = 0
        os.chdir("/")
        self._channel.send(_REQUEST.pack(disk_mb))
        answer = self._channel.recv(4096)
        if answer != _DONE:
            raise OSError(f"no scratch: {answer.decode() or 'its keeper is gone'}")
        os.chdir(root.SCRATCH)
        self._disk_mb = disk_mb
