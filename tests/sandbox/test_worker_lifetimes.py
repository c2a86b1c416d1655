"""Workers from any thread, from async code, after a fork; and how they end."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rewardkit.sandbox import (
    FunctionRef,
    SandboxError,
    WorkerLost,
    WorkerPool,
    WorkerTimeout,
    shared_pool,
)

FOR_EVER = (3, 3_000_000_000)  # pow(*FOR_EVER) computes in C for hours and never looks at a signal


def worker_pid() -> int:
    return os.getpid()


def add(a: int, b: int = 0) -> int:
    return a + b


def vanish() -> None:
    os._exit(7)


def ref(fn: Callable[..., Any]) -> FunctionRef:
    found = FunctionRef.of(fn)
    assert found is not None
    return found


def call(pool: WorkerPool, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return pool.call(ref(fn), args, kwargs, cpu_s=20.0, wall_s=60.0)


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def ends(pid: int, within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def run_script(
    tmp_path: Path, source: str, *, interpreter_args: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(source))
    command = [sys.executable, *interpreter_args, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool() as made:
        yield made


def test_threads_share_the_workers() -> None:
    with WorkerPool(size=2) as two, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda i: call(two, add, i, 1), range(50))) == list(range(1, 51))
        pids = set(threads.map(lambda _: call(two, worker_pid), range(20)))
    assert 1 <= len(pids) <= 2


def test_a_timeout_in_one_thread_does_not_touch_the_others() -> None:
    with WorkerPool(size=2) as two:
        failures: list[WorkerTimeout] = []

        def run_away() -> None:
            try:
                two.call(ref(operator.pow), FOR_EVER, cpu_s=0.3, wall_s=60.0)
            except WorkerTimeout as error:
                failures.append(error)

        thread = threading.Thread(target=run_away)
        thread.start()
        assert [call(two, add, i) for i in range(30)] == list(range(30))
        thread.join(60)
    assert len(failures) == 1


def test_from_async_code(pool: WorkerPool) -> None:
    async def many() -> list[int]:
        calls = (asyncio.to_thread(call, pool, add, i, 1) for i in range(10))
        return list(await asyncio.gather(*calls))

    assert asyncio.run(many()) == list(range(1, 11))


def test_signals_and_timers_of_the_caller_are_untouched(pool: WorkerPool) -> None:
    def state() -> tuple[object, ...]:
        handlers = tuple(signal.getsignal(s) for s in (signal.SIGALRM, signal.SIGCHLD))
        return (*handlers, signal.getitimer(signal.ITIMER_REAL))

    before = state()
    with pytest.raises(WorkerTimeout):
        pool.call(ref(operator.pow), FOR_EVER, cpu_s=0.1, wall_s=60.0)
    assert state() == before


def test_after_a_fork_each_side_has_its_own_workers(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import os, sys
        from rewardkit.sandbox import FunctionRef, WorkerPool

        if __name__ == "__main__":
            pool = WorkerPool()
            ref = FunctionRef.of(os.getpid)
            mine = pool.call(ref, cpu_s=None, wall_s=60)
            child = os.fork()
            if child == 0:
                theirs = pool.call(ref, cpu_s=None, wall_s=60)
                print("differs" if theirs != mine else "shared", flush=True)
                sys.exit(0)  # with atexit: it must not kill the parent's worker
            assert os.waitpid(child, 0)[1] == 0
            print("kept" if pool.call(ref, cpu_s=None, wall_s=60) == mine else "lost")
        """,
    )
    assert done.stdout.split() == ["differs", "kept"], done.stderr


def test_a_fork_while_other_threads_call_does_not_hang(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import os, threading, time
        from rewardkit.sandbox import FunctionRef, WorkerPool

        if __name__ == "__main__":
            pool = WorkerPool()
            nap = FunctionRef.of(time.sleep)
            for _ in range(2):
                args = dict(cpu_s=None, wall_s=60)
                threading.Thread(target=pool.call, args=(nap, (1,)), kwargs=args).start()
            time.sleep(0.3)  # one holds the only worker, the other waits for it
            child = os.fork()
            if child == 0:
                pool.call(nap, (0,), cpu_s=None, wall_s=60)
                os._exit(0)
            print(os.waitpid(child, 0)[1])
        """,
    )
    assert done.stdout.split() == ["0"], done.stderr


def test_the_death_of_the_caller_ends_a_busy_worker(tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        textwrap.dedent(
            """
            import operator, os, threading, time
            from rewardkit.sandbox import FunctionRef, WorkerPool

            if __name__ == "__main__":
                pool = WorkerPool()
                pid = pool.call(FunctionRef.of(os.getpid), cpu_s=None, wall_s=60)
                args = (FunctionRef.of(operator.pow), (3, 3_000_000_000))
                limits = dict(cpu_s=None, wall_s=600)
                threading.Thread(target=pool.call, args=args, kwargs=limits).start()
                time.sleep(0.5)
                print(pid, flush=True)
                time.sleep(600)
            """
        )
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        assert is_running(pid)
        caller.kill()
    assert ends(pid)


def test_closing_ends_the_workers_and_refuses_calls() -> None:
    pool = WorkerPool()
    pid = call(pool, worker_pid)
    pool.close()
    assert ends(pid)
    with pytest.raises(SandboxError, match="closed"):
        call(pool, add, 1)


def test_a_forgotten_pool_takes_its_workers_along() -> None:
    pool = WorkerPool()
    pid = call(pool, worker_pid)
    del pool
    assert ends(pid)


def test_an_idle_worker_leaves_and_is_replaced() -> None:
    with WorkerPool(idle_s=0.2) as brief:
        pid = call(brief, worker_pid)
        assert ends(pid)
        assert call(brief, worker_pid) != pid


def test_killed_workers_leave_no_descriptors_behind() -> None:
    with WorkerPool() as pool:
        call(pool, add, 1)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with pytest.raises(WorkerLost):
                call(pool, vanish)
        call(pool, add, 1)
        assert len(os.listdir("/proc/self/fd")) == before


def test_the_shared_pool_is_one() -> None:
    assert shared_pool() is shared_pool()
    assert call(shared_pool(), add, 1) == 1
