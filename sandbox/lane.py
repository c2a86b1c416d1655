"""A lane as its caller sees it: a socket to a zygote, and what can be known when that is lost."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Sequence

from rewardkit.sandbox.inside.wire import (
    MESSAGE_BYTES,
    READY,
    STOP,
    Order,
    Record,
    unpack_answer,
)

__all__ = ["Lane", "LaneFailed", "LaneLost"]

START_S = 60.0
"""Clock seconds that a lane, or a process in it, may take to start: a machine can be very busy."""

_GRACE_S = 15.0  # for killing and reaping, after a wall limit that the zygote keeps itself


class LaneFailed(Exception):  # noqa: N818 - reads as the event it names
    """The lane could not start what was ordered; no judged code ran."""


class LaneLost(Exception):  # noqa: N818 - reads as the event it names
    """The lane ended, or fell silent, over an order.

    Attributes:
        armed: whether judged code had begun.
    """

    def __init__(self, why: str, armed: bool) -> None:
        super().__init__(why)
        self.armed = armed


class Lane:
    """One lane. Serves one order at a time; only :meth:`stop` may come from another thread.

    Attributes:
        pid: of its first process outside, which ends it.
        folder: its folder outside, ``""`` if it has a file system of its own.
        is_writable: whether judged code may write there.
        landlock: the kernel's Landlock version there.
    """

    def __init__(self, control: socket.socket, ledger: int, is_writable: bool) -> None:
        self._control, self._ledger = control, ledger
        self.is_writable = is_writable
        self._serial = 0
        self._alive = threading.Lock()  # held while the socket must not be closed
        self._closed = False
        self.pid = 0
        self.folder = ""
        self.landlock = 0

    def wait_ready(self) -> None:
        """Raises ``LaneFailed`` with what could not be set up."""
        data = self._receive(time.monotonic() + START_S)
        if len(data) < READY.size:
            raise LaneFailed("it ended while it was set up")
        is_ready, self.landlock, self.pid = READY.unpack_from(data)
        text = data[READY.size :]
        if not is_ready:
            raise LaneFailed(text.decode("utf-8", "replace"))
        self.folder = os.fsdecode(text)

    def send(self, order: Order, fds: Sequence[int]) -> int:
        """Give an order; returns its serial number. Raises ``LaneLost``."""
        self._serial += 1
        os.pwrite(self._ledger, b"\0", 0)
        try:
            socket.send_fds(self._control, [order._replace(serial=self._serial).pack()], fds)
        except OSError as error:
            raise LaneLost(f"its lane takes no orders: {error}", False) from error
        return self._serial

    def receive(self, wall_s: float) -> list[Record]:
        """The answer to the order given last.

        Args:
            wall_s: how long it may take by its own limits.

        Raises:
            LaneFailed: nothing was started.
            LaneLost: there will be no answer.
        """
        deadline = time.monotonic() + START_S + wall_s + _GRACE_S
        records: list[Record] = []
        while True:
            data = self._receive(deadline)
            if not data:
                raise LaneLost("its lane was lost", os.pread(self._ledger, 1, 0) != b"\0")
            answer = unpack_answer(data)
            if answer.serial != self._serial:
                continue
            if answer.failure:
                raise LaneFailed(answer.failure)
            records += answer.records
            if answer.last:
                return records

    def stop(self, serial: int) -> None:
        """End an order early, if it has not ended yet. From any thread."""
        with self._alive:
            if not self._closed and serial == self._serial:
                try:
                    self._control.send(Order(STOP, serial).pack())
                except OSError:
                    return  # it has ended altogether

    def close(self) -> None:
        """Let go of it: the zygote sees that, and ends."""
        with self._alive:
            if not self._closed:
                self._closed = True
                self._control.close()
                os.close(self._ledger)

    def forget(self) -> None:
        """In a forked process, where the lock may be held by nobody: it is the parent's."""
        if not self._closed:
            self._closed = True
            self._control.close()
            os.close(self._ledger)

    def fileno(self) -> int:
        """For ``poll``: there is an answer, or the lane is lost."""
        return self._control.fileno()

    def _receive(self, deadline: float) -> bytes:
        """One message; empty when none will come."""
        events = select.poll()
        events.register(self._control, select.POLLIN)
        if not events.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return b""
        try:
            return self._control.recv(MESSAGE_BYTES)
        except OSError:
            return b""
