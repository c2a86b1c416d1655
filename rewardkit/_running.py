"""One place that crosses between sync and async code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["run_sync"]

T = TypeVar("T")


def run_sync(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end from sync code, also where this thread has a running loop.

    Inside a running loop (a notebook, an async trainer) ``asyncio.run`` refuses, so the coroutine
    gets a loop of its own in a thread of its own.
    """

    async def main() -> T:
        return await make()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rewardkit-async") as pool:
        return pool.submit(asyncio.run, main()).result()
