"""Workers: trusted functions that run away are really stopped, and nothing else is harmed."""

from __future__ import annotations

import math
import operator
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardkit.errors import RewardKitError, UsageError
from rewardkit.sandbox import (
    FunctionRef,
    WorkerFunctionError,
    WorkerLoadError,
    WorkerLost,
    WorkerPool,
    WorkerTimeout,
)

FOR_EVER = (3, 3_000_000_000)  # pow(*FOR_EVER) computes in C for hours and never looks at a signal


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


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool() as made:
        yield made


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
