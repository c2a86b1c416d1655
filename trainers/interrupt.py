"""Ctrl-C and SIGTERM between steps: a run stops where its state is whole."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from rewardkit.trainers import parallel

__all__ = ["GracefulStop"]

_ECHO_S = 2.0
"""Seconds in which a signal may be the echo of the one before."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class GracefulStop:
    """Within this, the first Ctrl-C or SIGTERM only sets :attr:`asked`; the second ends at once.

    An interrupt in the middle of a step would leave weights and counters that do not belong
    together. SIGTERM is what a scheduler of machines sends before it takes one away. The caller's
    handlers are put back afterwards; outside of the main thread, where Python lets nobody handle
    signals, this does nothing.

    Attributes:
        asked: the signal that asked to stop; ``None`` if none did.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, Any] = {}
        self._when = 0.0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._handle) for n in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave(self, asked: int) -> None:
        """End as the signal would have: raises ``KeyboardInterrupt``, or ``SystemExit(143)``."""
        if asked == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def _again(self) -> bool:
        """Whether a second signal is a second wish. One Ctrl-C at the terminal of several processes
        reaches each of them twice: from the terminal, and from what launched them."""
        return parallel.processes() == 1 or time.monotonic() - self._when > _ECHO_S

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            if self._again():
                self.leave(self.asked)
            return
        self.asked, self._when = number, time.monotonic()
        # Not print: the main thread may be in the middle of one.
        os.write(2, b"stopping after this step; press Ctrl-C again to stop at once\n")
