"""Promise: async rewards work from sync code, batch after batch, from any thread, and after a fork."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Rubric, Sample, Verdict, Verifier
from rewardkit._running import run_sync

SAMPLES = [Sample(completion=str(i)) for i in range(8)]


def test_what_one_batch_bound_to_its_loop_serves_the_next() -> None:
    """A semaphore of a module, or the connections of a client."""
    one_at_a_time = asyncio.Semaphore(1)

    async def shared(completion: str) -> float:
        async with one_at_a_time:
            await asyncio.sleep(0.001)
        return 1.0

    class Shared(Verifier):
        async def _averify(self, sample: Sample) -> Verdict:
            return Verdict.correct() if await shared("") else Verdict.incorrect()

    rubric = Rubric(f=shared, v=Shared())
    for _ in range(3):
        assert [s.total for s in rubric.score_many(SAMPLES)] == [2.0] * 8


def test_from_inside_a_loop_too() -> None:
    async def double(completion: str) -> float:
        await asyncio.sleep(0)
        return 2.0

    async def inside() -> list[float | None]:
        return [s.total for s in Rubric(f=double).score_many(SAMPLES)]

    assert asyncio.run(inside()) == [2.0] * 8


def test_an_async_reward_that_scores_by_sync_methods_does_not_wait_for_itself() -> None:
    async def inner(completion: str) -> float:
        await asyncio.sleep(0)
        return 1.0

    async def other(completion: str) -> float:
        await asyncio.sleep(0)
        return 1.0

    deep = Rubric(a=inner, b=other)

    async def outer(completion: str) -> float:
        return deep.score(completion=completion).total or 0.0

    async def outermost(completion: str) -> float:
        return Rubric(a=outer, b=inner).score(completion=completion).total or 0.0

    scores: list[Any] = []
    thread = threading.Thread(
        target=lambda: scores.extend(Rubric(x=outermost, y=outer).score_many(SAMPLES)), daemon=True
    )
    thread.start()
    thread.join(timeout=60)
    assert [s.total for s in scores] == [5.0] * 8


def test_many_threads_share_the_loop() -> None:
    async def slow(completion: str) -> float:
        await asyncio.sleep(0.01)
        return 1.0

    totals: list[float | None] = []

    def work() -> None:
        totals.extend(s.total for s in Rubric(a=slow, b=slow).score_many(SAMPLES))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert totals == [2.0] * 48


def test_an_exit_in_a_coroutine_ends_its_caller_and_not_the_loop() -> None:
    async def leaves() -> None:
        raise SystemExit(3)

    async def stays() -> int:
        return 4

    with pytest.raises(SystemExit):
        run_sync(leaves)
    assert run_sync(stays) == 4


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    async def four() -> int:
        await asyncio.sleep(0)
        return 4

    assert run_sync(four) == 4
    child = os.fork()
    if child == 0:
        os._exit(run_sync(four))
    deadline = time.monotonic() + 30
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < deadline:
        time.sleep(0.01)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done
    assert os.waitstatus_to_exitcode(status) == 4


INTERRUPTED = """
import asyncio, os, signal, threading
from rewardkit._running import run_sync

seen = []
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
async def hangs():
    threading.Timer(0.2, interrupt).start()
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
async def look():
    await asyncio.sleep(0)
    return seen
try:
    run_sync(hangs)
except KeyboardInterrupt:
    print("interrupted", *run_sync(look))
"""


def test_ctrl_c_cancels_what_the_caller_waits_for(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "interrupted cancelled\n", done.stderr
