"""Which functions another process can find, and that it finds the same ones."""

from __future__ import annotations

import functools
import math
import operator
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardkit.sandbox import (
    FunctionRef,
    WorkerPool,
)

FOR_EVER = (3, 3_000_000_000)  # pow(*FOR_EVER) computes in C for hours and never looks at a signal


def add(a: int, b: int = 0) -> int:
    return a + b


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


def ref(fn: Callable[..., Any]) -> FunctionRef:
    found = FunctionRef.of(fn)
    assert found is not None
    return found


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
    ids=[
        "builtin",
        "function",
        "class",
        "object",
        "bound",
        "classmethod",
        "partial",
        "slot",
        "getter",
    ],
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
    huge = functools.partial(len, bytes(17 << 20))
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
