"""Measuring many processes at once: rates in alternating slices, processor time, load."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _record import spread
from math_process import descendants

_TICKS = os.sysconf("SC_CLK_TCK")

Execute = Callable[[], None]
"""One execution, checked."""


def family_cpu() -> float:
    """Processor seconds of this process and of all below it, of all that they waited for too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError, ValueError):  # gone in the meantime
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / _TICKS
    return total


@contextlib.contextmanager
def busy_processors(are: bool) -> Iterator[None]:
    """One process for each CPU that does nothing but use it."""
    count = len(os.sched_getaffinity(0)) if are else 0
    loop = [sys.executable, "-S", "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(count)]
    _busy.update(other.pid for other in others)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
            _busy.discard(other.pid)


_busy: set[int] = set()


class Slice:
    """What one slice of one variant showed."""

    def __init__(self, execute: Execute, workers: int, seconds: float) -> None:
        self.walls: list[float] = []
        before, start = own_cpu(), time.perf_counter()

        def work(_: int) -> None:
            while (begun := time.perf_counter()) - start < seconds:
                execute()
                self.walls.append(time.perf_counter() - begun)

        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(work, range(workers)))
        self.seconds = time.perf_counter() - start
        self.cpu = own_cpu() - before

    @property
    def rate(self) -> float:
        """Executions per second."""
        return len(self.walls) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds of one execution."""
        return 1000 * self.cpu / len(self.walls)


def own_cpu() -> float:
    """As :func:`family_cpu`, without the processes that are only there to be busy."""
    spent = 0.0
    for pid in _busy:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += sum(map(int, fields[11:13])) / _TICKS
    return family_cpu() - spent


def alternating(
    variants: Mapping[str, Execute], base: str, workers: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Slices of each variant in turn; ratios to the base are taken within each round."""
    for execute in variants.values():
        for _ in range(5):
            execute()
    slices: dict[str, list[Slice]] = {name: [] for name in variants}
    for number in range(rounds):
        names = list(variants)
        for name in names if number % 2 == 0 else reversed(names):
            slices[name].append(Slice(variants[name], workers, seconds))
    return {name: _told(found, slices[base]) for name, found in slices.items()}


def _told(found: Sequence[Slice], base: Sequence[Slice]) -> dict[str, Any]:
    pairs = list(zip(found, base, strict=True))
    walls = [wall for one in found for wall in one.walls]
    return {
        "executions": len(walls),
        "per second": spread([one.rate for one in found]),
        "ratio of rates": spread([one.rate / other.rate for one, other in pairs]),
        "processor ms": spread([one.cpu_ms for one in found]),
        "ratio of processor time": spread([one.cpu_ms / other.cpu_ms for one, other in pairs]),
        "wall ms": percentiles([1000 * wall for wall in walls]),
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile, largest, and how many."""
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    told = {name: round(ordered[round(share * last)], 3) for name, share in at.items()}
    return {**told, "n": len(ordered)}


def alive(pids: set[int]) -> bool:
    """Whether any of them is there, and no zombie."""
    for pid in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/stat").read_text()
            if text.rpartition(")")[2].split()[0] not in "ZX":
                return True
    return False
