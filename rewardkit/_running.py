"""One place that crosses between sync and async code.

Sync code runs coroutines on one event loop that lives in a thread of its own for as long as the
process: a semaphore or a client of a service that one batch has used belongs to that loop, and with
a loop per batch the second would find it "bound to a different event loop".
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["run_sync", "waiting"]

T = TypeVar("T")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.held = 0
        """Calls for which the loop's own thread waits: until they end the loop stands still."""
        self._thread = threading.Thread(target=self._run, name="rewardkit-async", daemon=True)
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """True in the loop's own thread."""
        return threading.current_thread() is self._thread

    def run(self, make: Callable[[], Awaitable[T]]) -> T:
        """The result of a coroutine, for which this thread waits."""

        async def main() -> T:
            return await make()

        future = asyncio.run_coroutine_threadsafe(main(), self.loop)
        try:
            return future.result()
        except BaseException:  # Ctrl-C reaches the thread that waits and not the one that works
            future.cancel()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            try:
                self.loop.run_forever()
            except BaseException:
                # SystemExit in a task goes to who waits for the task, and also comes out here:
                # ended by it, the loop would leave all who come later waiting for ever.
                continue


_lock = threading.Lock()
_shared: list[_Loop] = []


def run_sync(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end from sync code, also where this thread has a running loop.

    Ctrl-C while waiting cancels it. Where the shared loop itself waits for this call (an async
    reward that scores with a rubric of its own, by the sync methods), the coroutine gets a loop and
    a thread of its own.
    """
    shared = _loop()
    if not (shared.is_here or shared.held):
        return shared.run(make)

    async def main() -> T:
        return await make()

    with waiting(), ThreadPoolExecutor(1, thread_name_prefix="rewardkit-async") as pool:
        return pool.submit(asyncio.run, main()).result()


@contextmanager
def waiting() -> Iterator[None]:
    """Around whatever waits for other threads that may call :func:`run_sync`."""
    shared = _shared[0] if _shared else None
    if shared is None or not shared.is_here:
        yield
        return
    shared.held += 1
    try:
        yield
    finally:
        shared.held -= 1


def _loop() -> _Loop:
    with _lock:
        if not _shared:
            _shared.append(_Loop())
        return _shared[0]


def _forget() -> None:
    """A forked child has the loop and not its thread."""
    global _lock
    _lock = threading.Lock()
    _shared.clear()


os.register_at_fork(after_in_child=_forget)
