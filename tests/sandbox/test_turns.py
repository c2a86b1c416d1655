"""Promise: a call that only waits keeps no other from a processor, and one that computes does."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewardkit.errors import UsageError
from rewardkit.sandbox import FunctionRef, WorkerPool, WorkerTimeout
from rewardkit.sandbox.turns import Sleep, Turns

SLEEPS = FunctionRef.of(time.sleep)
LONG_SUM = FunctionRef.of(sum)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="seen in /proc, which is Linux's")


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-S", "-c", request.param]) as running:
        yield running
        running.kill()


def longest(pid: int, looks: int = 40) -> float:
    """The longest sleep that many looks see."""
    sleep, found = Sleep(pid), 0.0
    for _ in range(looks):
        time.sleep(0.02)
        found = max(found, sleep.look())
    return found


@pytest.mark.parametrize("process", ["import time; time.sleep(60)"], indirect=True)
def test_a_process_that_sleeps_is_seen_to(process: subprocess.Popen[bytes]) -> None:
    assert longest(process.pid) > 0.3


@pytest.mark.parametrize("process", ["while True: pass"], indirect=True)
def test_one_that_computes_is_not_even_on_a_busy_machine(process: subprocess.Popen[bytes]) -> None:
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(4)]
    try:
        time.sleep(0.3)  # until it has begun
        assert longest(process.pid, looks=20) == 0.0
    finally:
        for one in busy:
            one.kill()
            one.wait()


def nap(seconds: float) -> tuple[float, float]:
    """When it began, and when it ended: by the machine's one clock."""
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def test_calls_that_sleep_go_beside_each_other_beyond_the_size_of_a_pool() -> None:
    ref = FunctionRef.of(nap)
    assert ref is not None
    with WorkerPool(size=1, most=6) as pool, ThreadPoolExecutor(6) as threads:

        def call(_: int) -> tuple[float, float]:
            began, ended = pool.call(ref, (0.8,), cpu_s=20.0, wall_s=60.0)
            return began, ended

        list(threads.map(call, range(6)))  # the workers start
        naps = list(threads.map(call, range(6)))
    together = max(sum(began <= at < ended for began, ended in naps) for at, _ in naps)
    assert together >= 3


def test_no_more_go_at_a_time_than_is_allowed_and_one_where_nothing_is_said() -> None:
    assert SLEEPS is not None
    ref = SLEEPS
    with WorkerPool(size=1) as one, ThreadPoolExecutor(3) as threads:
        start = time.monotonic()
        list(threads.map(lambda _: one.call(ref, (0.3,), cpu_s=9.0, wall_s=60.0), range(3)))
        assert time.monotonic() - start >= 0.9
    with pytest.raises(UsageError, match="most must be at least size"):
        WorkerPool(size=4, most=3)


def test_turns_are_given_one_at_a_time_to_what_is_not_seen_asleep() -> None:
    turns, inside, most = Turns(size=2, most=8), 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with turns.turn("kind"):  # nobody is told who works, so nobody can be seen asleep
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(24)))
    assert most == 2


def test_a_call_that_sleeps_past_its_time_is_ended_then_and_one_that_computes_is_not() -> None:
    assert SLEEPS is not None
    assert LONG_SUM is not None
    with WorkerPool() as pool:
        start = time.monotonic()
        with pytest.raises(WorkerTimeout) as over:
            pool.call(SLEEPS, (60,), cpu_s=30.0, wall_s=60.0, asleep_s=0.5)
        assert (over.value.limit, over.value.seconds) == ("wall", 0.5)
        assert 0.5 <= time.monotonic() - start < 30
        # Half a second of it and more, by any machine's clock.
        result = pool.call(LONG_SUM, (range(30_000_000),), cpu_s=30.0, wall_s=60.0, asleep_s=0.05)
        assert result == sum(range(30_000_000))
        with pytest.raises(UsageError, match="asleep_s must be positive"):
            pool.call(SLEEPS, (0,), cpu_s=1.0, wall_s=1.0, asleep_s=0.0)
