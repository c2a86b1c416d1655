"""Hostile answers measured: processor and wall time, stalls, memory, verdicts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from math_hostile_cases import Case
from math_peers import Grader, ours, peer_without_limits
from math_process import child, descendants, peak_mib, tree_cpu

KILL_S = 12.0
"""A case that has not ended after these seconds is killed and counts as a hang."""


@dataclass(frozen=True)
class Measured:
    """What one case cost; seconds and MiB. ``accepted`` is None when it was killed."""

    name: str
    accepted: bool | None
    cpu_s: float
    wall_s: float
    stall_s: float
    peak_mib: float


def ours_in_threads(todo: Sequence[Case]) -> list[Measured]:
    """Each case in a thread of its own in one warm process, which is replaced after a hang."""
    done: list[Measured] = []
    while len(done) < len(todo):
        with child(_serve_threads, todo[len(done) :]) as (_, results):
            while len(done) < len(todo):
                try:
                    ended = results.poll(KILL_S + 30 * (not done))
                    done.append(results.recv() if ended else _killed(todo[len(done)]))
                except EOFError:
                    ended = False
                    done.append(_killed(todo[len(done)]))
                if not ended:
                    break
    return done


def _killed(case: Case) -> Measured:
    return Measured(case.name, None, KILL_S, KILL_S, KILL_S, 0.0)


def _serve_threads(results: Connection, todo: Sequence[Case]) -> None:
    ours(r"\ln 8", r"\boxed{3\ln 2}")  # starts what stays warm
    for case in todo:
        results.send(in_thread(ours, case))


def in_thread(grader: Grader, case: Case) -> Measured:
    """One case in a new thread, while this one measures how long it is kept from running."""
    verdict: list[bool] = []
    thread = threading.Thread(
        target=lambda: verdict.append(grader(case.gold, case.completion)), daemon=True
    )
    cpu, own, wall = tree_cpu(), time.thread_time(), time.perf_counter()
    thread.start()
    stall = peak = 0.0
    while thread.is_alive():
        before = time.perf_counter()
        thread.join(0.01)
        stall = max(stall, time.perf_counter() - before - 0.01)
        peak = max([peak, *(peak_mib(pid) for pid in descendants(os.getpid()))])
    wall = time.perf_counter() - wall
    cpu = tree_cpu() - cpu - (time.thread_time() - own)
    accepted = verdict[0] if verdict else None
    return Measured(case.name, accepted, cpu, wall, stall, peak)


def peer_in_forks(grader: Grader, todo: Iterable[Case]) -> list[Measured]:
    """Each case in the main thread of a fork of its own: elsewhere math-verify raises."""
    return [_in_fork(_serve_main, grader, case) for case in todo]


def peer_in_threads(todo: Iterable[Case]) -> list[Measured]:
    """Each case in a thread of a fork, with its limits off, as its readme says for threads."""
    return [_in_fork(_serve_thread, peer_without_limits, case) for case in todo]


def _in_fork(serve: Any, grader: Grader, case: Case) -> Measured:
    with child(serve, grader, case) as (_, results):
        try:
            return results.recv() if results.poll(KILL_S) else _killed(case)
        except EOFError:
            return _killed(case)


def _serve_main(results: Connection, grader: Grader, case: Case) -> None:
    cpu, wall = tree_cpu(), time.perf_counter()
    accepted = grader(case.gold, case.completion)
    cpu, wall = tree_cpu() - cpu, time.perf_counter() - wall
    results.send(Measured(case.name, accepted, cpu, wall, wall, peak_mib(os.getpid())))


def _serve_thread(results: Connection, grader: Grader, case: Case) -> None:
    results.send(in_thread(grader, case))


def summary(measured: Sequence[Measured], limit_s: float = 1.2) -> dict[str, Any]:
    """Counts and worst cases, and every case over the limit."""
    return {
        "n": len(measured),
        "killed after 12 s": sum(m.accepted is None for m in measured),
        "over 1.2 s of processor time": sum(m.cpu_s > limit_s for m in measured),
        "over 1.2 s of wall time": sum(m.wall_s > limit_s for m in measured),
        "4.9 s or more": sum(m.wall_s >= 4.9 for m in measured),
        "worst processor seconds": round(max(m.cpu_s for m in measured), 3),
        "worst wall seconds": round(max(m.wall_s for m in measured), 3),
        "worst stall of the main thread, seconds": round(max(m.stall_s for m in measured), 3),
        "total processor seconds": round(sum(m.cpu_s for m in measured), 1),
        "peak MiB": round(max(m.peak_mib for m in measured)),
        "accepted": [m.name for m in measured if m.accepted],
        "over": [
            {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(m).items()}
            for m in measured
            if max(m.cpu_s, m.wall_s) > limit_s
        ],
    }
