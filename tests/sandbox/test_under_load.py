"""A busy machine fails no honest program, and lets no other run longer than it may."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable

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
