"""Ctrl-C between steps: a run stops where its state is whole."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["GracefulStop"]


class GracefulStop:
    """Within this, the first Ctrl-C only sets :attr:`asked`; the second interrupts at once.

    An interrupt in the middle of a step would leave weights and counters that do not belong
    together. The caller's handler is put back afterwards; outside of the main thread, where Python
    lets nobody handle signals, this does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Not print: the main thread may be in the middle of one.
        os.write(2, b"stopping after this step; press Ctrl-C again to stop at once\n")
