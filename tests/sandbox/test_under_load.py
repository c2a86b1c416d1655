"""A busy machine fails no honest program, and lets no other run longer than it may."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable
from rewardkit.sandbox.inside import watch
from rewardkit.sandbox.inside.wire import PATIENCE, RUN, Order
from rewardkit.sandbox.inside.worlds import World

LANES = 8
BURN = "import time\nwhile time.process_time() < {s}: pass\nprint('done')"


@pytest.fixture(scope="module")
def busy() -> Iterator[None]:
    """One process for each CPU that does nothing but use it."""
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in os.sched_getaffinity(0)]
    yield
    for other in others:
        other.kill()
        other.wait()


def crowd(tier: Isolation, jobs: int, cpu_s: float) -> Counter[str]:
    """Statuses of honest jobs, in more lanes than there are CPUs, with twice the time they need."""
    try:
        box = Sandbox(tier, workers=LANES)
    except SandboxUnavailable as error:
        pytest.skip(f"{tier}: {error}")
    with box, ThreadPoolExecutor(LANES) as threads:
        # By the clock as long as it takes: the machine may be far busier than it is made here.
        limits = Limits(cpu_s=2 * cpu_s, wall_s=300)
        source = BURN.format(s=cpu_s)
        runs = threads.map(lambda _: box.run(source, limits=limits).status, range(jobs))
        return Counter(runs)


@pytest.mark.usefixtures("busy")
def test_honest_jobs_do_not_fail_for_lack_of_processors(tier: Isolation) -> None:
    assert crowd(tier, 12, 0.1) == {"ok": 12}


@pytest.mark.slow
@pytest.mark.usefixtures("busy")
def test_of_four_hundred_honest_jobs_none_fails(tier: Isolation) -> None:
    assert crowd(tier, 400, 0.3) == {"ok": 400}


@pytest.mark.usefixtures("busy")
def test_limits_are_kept_however_busy_the_machine(tier_box: Sandbox) -> None:
    """Generous, since nothing here may depend on the machine; the benchmark has the figures."""
    for source, status, limits in [
        ("import time; time.sleep(60)", "wall_limit", Limits(wall_s=0.2)),
        ("while True: pass", "cpu_limit", Limits(cpu_s=0.1)),
    ]:
        start = time.monotonic()
        assert tier_box.run(source, limits=limits).status == status
        assert time.monotonic() - start < 10


@pytest.fixture
def starved() -> Iterator[Sandbox]:
    """A lane on a processor that it shares with seven others, each counted for itself."""
    before = _children()
    try:
        box = Sandbox("namespaces", workers=1)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    cpu = min(os.sched_getaffinity(0))
    with box:
        assert box.run("pass").ok
        loop = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(loop, start_new_session=True) for _ in range(7)]
        try:
            for pid in _children() - before:
                os.sched_setaffinity(pid, {cpu})
            yield box
        finally:
            for other in others:
                other.kill()
                other.wait()


def _children() -> set[int]:
    """All processes below this one."""
    found: set[int] = set()
    queue = [os.getpid()]
    while queue:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            folder = f"/proc/{queue.pop()}/task"
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/children") as file:
                    queue += map(int, file.read().split())
        found |= set(queue)
    return found


def test_waiting_for_a_processor_does_not_count_against_the_clock(starved: Sandbox) -> None:
    limits = Limits(cpu_s=30, wall_s=1)
    result = starved.run(BURN.format(s=0.4), limits=limits)
    assert result.status == "ok"
    assert result.wall_s > 1  # it would have been ended


def test_sleeping_counts_however_busy_the_machine(starved: Sandbox) -> None:
    result = starved.run("import time; time.sleep(60)", limits=Limits(wall_s=0.5))
    assert result.status == "wall_limit"
    assert 0.5 <= result.wall_s < 0.5 * PATIENCE


def test_processes_that_keep_each_other_waiting_have_an_end(starved: Sandbox) -> None:
    """What a program waits for itself, it pays for with its processor seconds."""
    source = "import os\nfor _ in range(4): os.fork()\nwhile True: pass"
    result = starved.run(source, limits=Limits(cpu_s=0.5, wall_s=1))
    assert result.status in ("cpu_limit", "wall_limit")


class OneProcess(World):
    sees_memory = False


@pytest.mark.parametrize(("waited_s", "least"), [(0.0, 1), (0.15, 2), (1e9, PATIENCE)])
def test_the_clock_is_extended_by_what_was_waited_up_to_a_bound(
    waited_s: float, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_waited_s", lambda _: waited_s)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, subprocess.Popen(["sleep", "60"]) as sleeper:
        ending = watch.Ending()
        order = Order(RUN, 1, cpu_s=60, wall_s=0.1, memory_mb=1024)
        watch.Watch(theirs.fileno(), OneProcess()).follow(sleeper.pid, order, ending)
        took = time.monotonic() - ending.started
        sleeper.kill()
    assert ending.cause == "wall_limit"
    assert took >= 0.1 * least
