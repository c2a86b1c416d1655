"""Workers: trusted functions that run away are really stopped, and nothing else is harmed."""

from __future__ import annotations

import asyncio
import functools
import math
import operator
import os
import pickle
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

from rewardkit.errors import RewardKitError, UsageError
from rewardkit.sandbox import (
    FunctionRef,
    SandboxError,
    WorkerFunctionError,
    WorkerLoadError,
    WorkerLost,
    WorkerPool,
    WorkerTimeout,
    shared_pool,
)

FOR_EVER = (3, 3_000_000_000)  # pow(*FOR_EVER) computes in C for hours and never looks at a signal


# ---- what the workers call


def worker_pid() -> int:
    return os.getpid()


def add(a: int, b: int = 0) -> int:
    return a + b


def chatter() -> str:
    print("x" * 1_000_000)
    print("y" * 1_000_000, file=sys.stderr)
    os.write(1, b"z" * 100_000)
    return "said"


class UnpicklableError(Exception):
    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.closure = lambda: None


def raise_unpicklable() -> None:
    raise UnpicklableError


class BadStrError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def raise_bad_str() -> None:
    raise BadStrError


def leave() -> None:
    sys.exit("goodbye")


def vanish() -> None:
    os._exit(7)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def vanish_once(marker: str) -> int:
    path = Path(marker)
    if not path.exists():
        path.write_text("died here")
        os._exit(1)
    return 1


def fill_memory() -> int:
    return len(bytearray(1 << 34))


def unpicklable_result() -> Callable[[], None]:
    return lambda: None


def unreadable_result() -> Unreadable:
    return Unreadable()


class Unreadable:
    """Pickles, but refuses to be unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return int, ("not a number",)


def start_daemon_and_hang(pid_file: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(str(child.pid))
    pow(*FOR_EVER)


def sleep_for_ever() -> None:
    time.sleep(600)


def big(n: int) -> bytes:
    return b"x" * n


class Adder:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: int) -> int:
        return x + self.by

    def method(self, x: int) -> int:
        return x * self.by

    @classmethod
    def made(cls, x: int) -> int:
        return x


@functools.wraps(add)
def impostor(a: int, b: int = 0) -> int:
    return -1


# ---- helpers


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


# ---- calls


def test_arguments_go_and_results_come_back(pool: WorkerPool) -> None:
    assert call(pool, add, 2, b=3) == 5


def test_the_worker_stays_warm(pool: WorkerPool) -> None:
    assert call(pool, worker_pid) == call(pool, worker_pid) != os.getpid()


def test_large_frames_both_ways(pool: WorkerPool) -> None:
    assert call(pool, len, b"x" * 20_000_000) == 20_000_000
    assert len(call(pool, big, 20_000_000)) == 20_000_000


def test_functions_may_print_without_harm(pool: WorkerPool) -> None:
    assert call(pool, chatter) == "said"
    assert call(pool, add, 1) == 1


def test_a_warm_call_is_cheap(pool: WorkerPool) -> None:
    call(pool, add, 1)
    start = time.perf_counter()
    for _ in range(200):
        call(pool, add, 1)
    assert (time.perf_counter() - start) / 200 < 0.02  # about 0.0001 on a quiet machine


# ---- limits


def test_cpu_limit_kills_c_code_and_the_next_call_works(pool: WorkerPool) -> None:
    pid = call(pool, worker_pid)
    start = time.monotonic()
    with pytest.raises(WorkerTimeout) as caught:
        pool.call(ref(operator.pow), FOR_EVER, cpu_s=0.2, wall_s=60.0)
    assert time.monotonic() - start < 30
    assert (caught.value.limit, caught.value.seconds) == ("cpu", 0.2)
    assert not is_running(pid)
    assert call(pool, worker_pid) != pid


def test_wall_limit_stops_sleepers(pool: WorkerPool) -> None:
    pid = call(pool, worker_pid)
    with pytest.raises(WorkerTimeout) as caught:
        pool.call(ref(sleep_for_ever), cpu_s=None, wall_s=0.2)
    assert (caught.value.limit, caught.value.seconds) == ("wall", 0.2)
    assert not is_running(pid)


def test_waiting_does_not_use_up_cpu_seconds(pool: WorkerPool) -> None:
    assert pool.call(ref(time.sleep), (0.3,), cpu_s=0.2, wall_s=60.0) is None


def test_a_timeout_is_not_tried_again(pool: WorkerPool, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    with pytest.raises(WorkerTimeout):
        pool.call(ref(append_and_hang), (str(ticks),), cpu_s=None, wall_s=1.0)
    assert ticks.read_text() == "."


def append_and_hang(path: str) -> None:
    with open(path, "a") as file:
        file.write(".")
    time.sleep(600)


def test_the_whole_process_group_is_killed(pool: WorkerPool, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(WorkerTimeout):
        pool.call(ref(start_daemon_and_hang), (str(pid_file),), cpu_s=1.0, wall_s=60.0)
    assert ends(int(pid_file.read_text()))


def test_memory_is_bounded() -> None:
    with WorkerPool(memory_mb=256) as small:
        before = call(small, worker_pid)
        with pytest.raises(WorkerFunctionError) as caught:
            call(small, fill_memory)
        assert caught.value.type_name == "MemoryError"
        assert call(small, worker_pid) != before


@pytest.mark.parametrize(("cpu_s", "wall_s"), [(0, 1), (-1, 1), (math.nan, 1), (1, 0), (1, -2)])
def test_senseless_limits_are_refused(pool: WorkerPool, cpu_s: float, wall_s: float) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        pool.call(ref(add), (1,), cpu_s=cpu_s, wall_s=wall_s)


@pytest.mark.parametrize("bad", [{"size": 0}, {"memory_mb": 1}, {"idle_s": 0}])
def test_senseless_pools_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        WorkerPool(**bad)


# ---- failures


def test_exceptions_travel_as_text(pool: WorkerPool) -> None:
    pid = call(pool, worker_pid)
    with pytest.raises(WorkerFunctionError) as caught:
        call(pool, raise_unpicklable)
    error = caught.value
    assert (error.type_name, error.message) == ("UnpicklableError", "cannot travel")
    assert "raise_unpicklable" in error.traceback_text
    assert call(pool, worker_pid) == pid, "an exception is no reason to lose the warm worker"


def test_an_exception_without_words_travels_too(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFunctionError) as caught:
        call(pool, raise_bad_str)
    assert caught.value.type_name == "BadStrError"


def test_sys_exit_is_an_exception_like_others(pool: WorkerPool) -> None:
    with pytest.raises(WorkerFunctionError) as caught:
        call(pool, leave)
    assert (caught.value.type_name, caught.value.message) == ("SystemExit", "goodbye")


@pytest.mark.parametrize("fn", [unpicklable_result, unreadable_result])
def test_results_that_cannot_travel_are_errors(pool: WorkerPool, fn: Callable[..., Any]) -> None:
    with pytest.raises(WorkerFunctionError):
        call(pool, fn)
    assert call(pool, add, 1) == 1


def test_arguments_that_cannot_travel_are_the_callers_mistake(pool: WorkerPool) -> None:
    with pytest.raises(UsageError, match="picklable"):
        call(pool, add, lambda: None)


def test_death_is_reported_with_its_exit_code(pool: WorkerPool) -> None:
    with pytest.raises(WorkerLost) as caught:
        call(pool, vanish)
    assert caught.value.exit_code == 7
    assert call(pool, add, 1) == 1


def test_a_crash_leaves_its_last_words(pool: WorkerPool) -> None:
    with pytest.raises(WorkerLost) as caught:
        call(pool, crash)
    assert caught.value.exit_code == -signal.SIGSEGV
    assert "Segmentation fault" in caught.value.log


def test_a_death_is_tried_once_more(pool: WorkerPool, tmp_path: Path) -> None:
    assert call(pool, vanish_once, str(tmp_path / "marker")) == 1


def test_a_worker_killed_between_calls_is_replaced(pool: WorkerPool) -> None:
    pid = call(pool, worker_pid)
    os.kill(pid, signal.SIGKILL)
    assert call(pool, worker_pid) != pid


def test_errors_belong_to_the_tree_and_pickle() -> None:
    for error in (
        WorkerTimeout("cpu", 2.0),
        WorkerLost(-9, "log"),
        WorkerFunctionError("ValueError", "m", "t"),
        WorkerLoadError("ImportError", "m", "t"),
    ):
        assert isinstance(error, RewardKitError)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert vars(copy) == vars(error)


def test_a_module_that_cannot_be_imported_there(pool: WorkerPool, tmp_path: Path) -> None:
    module = tmp_path / "only_once_rk.py"
    module.write_text("def f():\n    return 1\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import only_once_rk  # type: ignore[import-not-found]

        found = ref(only_once_rk.f)
        module.write_text("raise RuntimeError('changed its mind')\n")
        with pytest.raises(WorkerLoadError, match="changed its mind"):
            pool.call(found, cpu_s=None, wall_s=60.0)
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("only_once_rk", None)
    assert call(pool, add, 1) == 1


# ---- from anywhere


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
        return await asyncio.gather(*calls)

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


# ---- lifetimes


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


# ---- references


@pytest.mark.parametrize(
    ("fn", "args", "result"),
    [
        (math.sqrt, (9.0,), 3.0),
        (add, (1, 2), 3),
        (Adder, (1,), None),
        (Adder(2), (3,), 5),
        (Adder(2).method, (3,), 6),
        (Adder.made, (3,), 3),
        (functools.partial(add, 1), (2,), 3),
        (str.upper, ("a",), "A"),
        (operator.attrgetter("real"), (5,), 5),
    ],
    ids=repr,
)
def test_what_can_be_referenced_can_be_called(
    pool: WorkerPool, fn: Callable[..., Any], args: tuple[Any, ...], result: object
) -> None:
    got = pool.call(ref(fn), args, cpu_s=None, wall_s=60.0)
    assert got == result or (result is None and isinstance(got, Adder))


def _closure() -> Callable[[], int]:
    n = 1
    return lambda: n


def _inner() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


@pytest.mark.parametrize("fn", [_closure(), _inner(), lambda x: x, impostor, 5])
def test_what_no_other_process_could_find_is_refused(fn: Any) -> None:
    assert FunctionRef.of(fn) is None
    assert FunctionRef.why_not(fn)


def test_a_carried_object_that_is_too_large_is_refused() -> None:
    huge = functools.partial(add, bytes(17 << 20))
    assert FunctionRef.of(huge) is None
    assert "bytes" in str(FunctionRef.why_not(huge))


def test_references_are_values() -> None:
    assert ref(add) == ref(add)
    assert hash(ref(Adder(2))) == hash(ref(Adder(2)))
    assert ref(Adder(2)) != ref(Adder(3))
    assert pickle.loads(pickle.dumps(ref(add))) == ref(add)
    assert repr(ref(math.sqrt)) == "FunctionRef('math.sqrt')"
    assert FunctionRef.why_not(add) is None


def test_a_scripts_own_functions_run_without_its_guarded_part(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        from rewardkit.sandbox import FunctionRef, WorkerPool

        class Box:
            def __init__(self, value): self.value = value
            def __call__(self, x): return Box(self.value + x)

        def double(x): return Box(2 * x.value)

        if __name__ == "__main__":
            with WorkerPool() as pool:
                limits = dict(cpu_s=None, wall_s=60)
                one = pool.call(FunctionRef.of(double), (Box(4),), **limits)
                two = pool.call(FunctionRef.of(Box(1)), (2,), **limits)
                print(type(one) is Box, one.value, two.value)
        """,
    )
    assert done.stdout.split() == ["True", "8", "3"], done.stderr


def test_functions_of_an_interactive_session_are_refused() -> None:
    source = (
        "from rewardkit.sandbox import FunctionRef\n"
        "def f(): pass\n"
        "class C:\n    def __call__(self): pass\n"
        "print(FunctionRef.of(f), FunctionRef.of(C()), FunctionRef.why_not(f))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("None None it is defined in an interactive session")
