"""A run in a lane is like a run of a fresh interpreter, and like no run was before it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rewardkit.errors import UsageError
from rewardkit.sandbox import ExecutionResult, Job, Limits, Program, Sandbox

# Programs whose end is told by the interpreter itself, started afresh: exit code, what they printed.
ENDINGS = {
    "nothing": "",
    "exit without a word": "import sys; sys.exit()",
    "exit with a number": "import sys; sys.exit(7)",
    "exit with a large number": "import sys; sys.exit(1 << 40)",
    "exit with true": "import sys; sys.exit(True)",
    "exit with words": "import sys; sys.exit('words')",
    "quit": "quit(5)",
    "hard exit": "import os; print('lost'); os._exit(9)",
    "exception": "print('before'); [][1]",
    "exception in a thread": "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start()",
    "atexit": "import atexit\natexit.register(print, 'last')\nprint('first')",
    "atexit after an exception": "import atexit\natexit.register(print, 'last')\n1/0",
    "exit in atexit": "import atexit, sys\natexit.register(sys.exit, 3)",
    "thread that goes on": """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
        print("main")
    """,
    "daemon thread": """
        import threading, time
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    """,
    "executor": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        futures = [pool.submit(print, i) for i in range(1)]
    """,
    "no stdout": "import sys; sys.stdout = None",
    "stdout that is none": "import sys; sys.stdout = 3",
    "failure and stdout that is none": "import sys; sys.stdout = object(); 1/0",
    "file left open": """
        out = open(1, "w", closefd=False)
        out.write("flushed all the same")
    """,
    "fast output": """
        import atexit, io, sys
        buffer = io.StringIO()
        sys.stdout = buffer
        atexit.register(lambda: sys.__stdout__.write(buffer.getvalue()))
        print("fast")
    """,
    "destructor": """
        class Thing:
            def __del__(self): print("gone")
        thing = Thing()
    """,
    "stdout closed": "import sys; sys.stdout.close()",
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0",
    "guard": "if __name__ == '__main__': print(__name__, __doc__, __package__, __spec__)",
    "documentation": "'''What it does.'''\nprint(__doc__)",
    "pickle": "import pickle\nclass A: x = 1\nprint(pickle.loads(pickle.dumps(A())).x)",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 3\nprint(A())",
    "inspect": "import inspect\ndef f(a, b=2): return a\nprint(inspect.getsource(f))",
    "streams": "import sys\nprint(sys.stdin.encoding, sys.stdout.errors, sys.stdout.line_buffering)",
    "surrogates": "print('\\udc80', end='')",
    "bytes out": "import sys; sys.stdout.buffer.write(b'\\xff\\x00'); print('x')",
    "arguments": "import sys; print(len(sys.argv), sys.flags.optimize, sys.path[0] == '')",
    "recursion": "def f(n): return n and f(n - 1)\nimport sys; sys.setrecursionlimit(10**5)\nprint(f(20000))",
    "decimal": "from decimal import Decimal, getcontext; print(Decimal(1) / 3)",
    "coding": "# -*- coding: latin-1 -*-\nprint(len('\u00e4'))",
}


def fresh(source: str) -> tuple[int, bytes]:
    """What a new interpreter makes of it, run from a file as ``python -s -P -S`` does."""
    command = [sys.executable, "-s", "-P", "-c", _RUN, source]
    env = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, check=False, env=env, timeout=60)
    return done.returncode & 0xFF, done.stdout


_RUN = """
import os, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "program.py")
    with open(path, "wb") as file: file.write(sys.argv[1].encode("utf-8", "surrogateescape"))
    code = os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-s", "-P", path])
sys.exit(code)
"""


@pytest.mark.parametrize("name", ENDINGS)
def test_programs_end_as_in_a_fresh_interpreter(tier_box: Sandbox, name: str) -> None:
    source = textwrap.dedent(ENDINGS[name])
    code, stdout = fresh(source)
    result = tier_box.run(source)
    assert (result.exit_code, result.stdout) == (code, stdout), result


def test_tracebacks_show_the_programs_lines_and_no_others(tier_box: Sandbox) -> None:
    source = "def f():\n    return 1 / 0\ntry:\n    f()\nexcept ZeroDivisionError:\n    {}['x']"
    stderr = tier_box.run(source).stderr.decode()
    assert stderr.count("File ") == 3
    for line in ("return 1 / 0", "{}['x']", "KeyError: 'x'", "During handling"):
        assert line in stderr


@pytest.mark.parametrize("source", ["def f(:", "x = 'a", "\0", "\ud800", "(" * 500, "return 1"])
def test_what_does_not_compile_is_told_from_what_fails(tier_box: Sandbox, source: str) -> None:
    result = tier_box.run(source)
    assert (result.status, result.exit_code, result.stdout) == ("compile_error", 1, b"")
    assert b"Error" in result.stderr


@pytest.mark.parametrize(
    "source",
    ["raise SyntaxError('invented')", "compile('def f(:', 'x', 'exec')", "import sys; sys.exit(1)"],
)
def test_what_compiled_cannot_say_that_it_did_not(tier_box: Sandbox, source: str) -> None:
    assert tier_box.run(source).status == "runtime_error"


SCRATCH_MARKS = {
    "a file": "open('left', 'w').write('x')",
    "a deep tree": "import os\nfor _ in range(200): os.mkdir('d'); os.chdir('d')",
    "a closed folder": "import os; os.mkdir('d'); os.chmod('d', 0); os.chmod('.', 0)",
    "no rights at all": "import os; os.chmod('.', 0)",
    "rights for all": "import os; os.chmod('.', 0o1777)",
    "another time": "import os; os.utime('.', (1, 1))",
    "a full disk": "open('f', 'wb').write(bytes(1 << 30))",
    "all inodes": "for i in range(10**6): open(str(i), 'w')",
    "a link": "import os; os.symlink('/usr', 'usr')",
    "a pipe": "import os\ntry: os.mkfifo('p')\nexcept OSError: pass",
    "what was opened and deleted": """
import os
fd = os.open('f', os.O_CREAT | os.O_RDWR); os.unlink('f'); os.write(fd, b'x' * 10**6)
""",
    "a daemon that writes": """
import os, time
if os.fork() == 0:
    os.setsid()
    while True: open('d', 'w').write('x')
""",
}

LOOK = """
import os
stat, system = os.stat("."), os.statvfs(".")
print(os.listdir(), oct(stat.st_mode), stat.st_nlink, stat.st_mtime, os.getcwd())
print(system.f_blocks - system.f_bfree, system.f_files - system.f_ffree)
"""


@pytest.mark.parametrize("mark", SCRATCH_MARKS)
def test_a_scratch_is_as_new(sandbox_of: Any, mark: str) -> None:
    sandbox_of("namespaces")  # skips where there are none
    with Sandbox("namespaces", workers=1) as box:
        limits = Limits(disk_mb=4)
        before = box.run(LOOK, limits=limits).stdout
        box.run(SCRATCH_MARKS[mark], limits=limits)
        after = box.run(LOOK, limits=limits)
        assert after.stdout.split(b" ", 1)[0] == b"[]", after
        # A fresh mount has the time of its making; one that was only looked at has none.
        assert _without_time(after.stdout) == _without_time(before)


def _without_time(looks: bytes) -> list[bytes]:
    words = looks.split()
    return words[:3] + words[4:]


def test_a_scratch_is_as_large_as_ordered(sandbox_of: Any) -> None:
    box = sandbox_of("namespaces")
    source = "import os; s = os.statvfs('.'); print(s.f_blocks * s.f_frsize >> 20)"
    sizes = [box.run(source, limits=Limits(disk_mb=mb)).stdout for mb in (1, 64, 2, 2)]
    assert sizes == [b"1\n", b"64\n", b"2\n", b"2\n"]


def test_files_can_be_read_whatever_the_callers_umask_is(tier_box: Sandbox) -> None:
    files = {"a/b/c.txt": b"deep", "d.txt": b"flat"}
    source = "import os; print(open('a/b/c.txt').read(), open('d.txt').read(), os.listdir('a'))"
    before = os.umask(0o777)
    try:
        results = [tier_box.run(source, files=files) for _ in range(2)]
    finally:
        os.umask(before)
    assert [result.stdout for result in results] == [b"deep flat ['b']\n"] * 2
    assert tier_box.run("import os; print(os.listdir())").stdout == b"[]\n"


def test_a_scratch_without_a_file_system_of_its_own(sandbox_of: Any) -> None:
    sandbox_of("landlock")  # skips where there is none
    with Sandbox("landlock", workers=1, scratch=True) as box:
        assert "disk_total" in box.report().broken
        source = """
import os, shutil, tempfile
with tempfile.TemporaryDirectory() as folder:
    shutil.copy("given", os.path.join(folder, "copy"))
    print(open(os.path.join(folder, "copy")).read())
open("given", "a").write("more")
os.makedirs("left/deep"); os.symlink("/", "left/root")
print(sorted(os.listdir()))
try: open("/tmp/outside-the-folder", "w")
except PermissionError: print("nowhere else")
"""
        for _ in range(2):
            result = box.run(source, files={"given": b"x"})
            assert result.stdout == b"x\n['given', 'left']\nnowhere else\n", result
        large = box.run("open('f', 'wb').write(bytes(8 << 20))", limits=Limits(disk_mb=2))
        assert large.status == "disk"


STATE = {
    "a module": "import math; math.pi = 3",
    "a builtin": "import builtins; builtins.print = None",
    "a variable of the environment": "import os; os.environ['LEFT'] = 'x'",
    "the random numbers": "import random; random.seed(99); random.random()",
    "the recursion limit": "import sys; sys.setrecursionlimit(50)",
    "the path": "import sys; sys.path.insert(0, '/usr')",
    "the streams": "import sys; sys.stdout = None",
    "the umask": "import os; os.umask(0o777)",
    "signals": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the collector": "import gc; gc.disable()",
    "a codec": "import codecs; codecs.register(lambda n: None)",
    "an import hook": "import sys; sys.meta_path.clear()",
    "the switch interval": "import sys; sys.setswitchinterval(9)",
}
PRINT_STATE = """
import builtins, gc, math, os, random, signal, sys
print(math.pi, builtins.print is print, sorted(os.environ), random.random(), sys.path,
      sys.getrecursionlimit(), signal.getsignal(signal.SIGTERM), gc.isenabled(), len(sys.meta_path),
      sys.getswitchinterval(), os.umask(0))
"""


@pytest.mark.parametrize("state", STATE)
def test_a_run_changes_nothing_for_the_next(tier_box: Sandbox, state: str) -> None:
    before = tier_box.run(PRINT_STATE)
    assert before.status == "ok", before
    assert tier_box.run(STATE[state]).status == "ok"
    after = [tier_box.run(PRINT_STATE).stdout for _ in range(3)]
    # Two lanes have folders of their own where there is no file system of their own.
    assert {_without_folder(out) for out in after} == {_without_folder(before.stdout)}


def _without_folder(text: bytes) -> bytes:
    return b" ".join(word for word in text.split() if b"rewardkit-" not in word)


def test_seeds_repeat_and_differ(tier_box: Sandbox) -> None:
    source = "import random; print(random.random())"
    first = [tier_box.run(source, seed=seed).stdout for seed in (0, 1, 2**63 - 1)]
    again = [tier_box.run(source, seed=seed).stdout for seed in (0, 1, 2**63 - 1)]
    assert first == again
    assert len(set(first)) == 3


def test_many_are_run_in_order(tier_box: Sandbox) -> None:
    results = tier_box.map(Job(f"print({i})", limits=Limits(cpu_s=3)) for i in range(20))
    assert [result.stdout for result in results] == [b"%d\n" % i for i in range(20)]
    assert tier_box.map([]) == []


def test_the_verb_of_every_backend(box: Sandbox) -> None:
    program = Program("print(open('f').read() + input())")
    assert box.execute(program, b"in", {"f": b"file "}, Limits()).stdout == b"file in\n"
    with pytest.raises(UsageError, match="Python alone"):
        box.execute(Program("", "cobol"), b"", {}, Limits())  # type: ignore[arg-type]


def test_async_code_waits_for_many_at_once(tier_box: Sandbox) -> None:
    async def go() -> list[ExecutionResult]:
        return await asyncio.gather(*(tier_box.arun(f"print({i})") for i in range(9)))

    assert [result.stdout for result in asyncio.run(go())] == [b"%d\n" % i for i in range(9)]


def test_cancelling_ends_the_run_and_frees_its_lane(tier: Any) -> None:
    async def go(box: Sandbox) -> None:
        running = asyncio.create_task(
            box.arun("while True: pass", limits=Limits(cpu_s=600, wall_s=600))
        )
        waiting = asyncio.create_task(box.arun("print('never')"))
        await asyncio.sleep(0.2)
        for task in (waiting, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with Sandbox(tier, workers=1) as box:
        asyncio.run(go(box))
        start = time.monotonic()
        assert box.run("print(1)").stdout == b"1\n"
        assert time.monotonic() - start < 60  # and not the 600 of its limit


def test_a_late_stop_ends_nobody_else(box: Sandbox) -> None:
    with box._lanes.lend() as lane:
        from rewardkit.sandbox.execution import Request, run_program

        serials: list[int] = []
        run_program(lane, Request(b""), lambda _, serial: serials.append(serial))
        for serial in (*serials, 0, 99):
            lane.stop(serial)
        assert run_program(lane, Request(b"print(2)")).stdout == b"2\n"


def test_from_many_threads_every_answer_is_ones_own(tier_box: Sandbox) -> None:
    with ThreadPoolExecutor(12) as threads:
        outputs = list(threads.map(lambda i: tier_box.run(f"print({i} ** 5)").stdout, range(60)))
    assert outputs == [b"%d\n" % i**5 for i in range(60)]


def test_a_closed_sandbox_ends_what_is_under_way() -> None:
    from rewardkit.sandbox import SandboxError

    box = Sandbox(workers=1)
    with ThreadPoolExecutor(2) as threads:
        limits = Limits(cpu_s=600, wall_s=600)
        runs = [threads.submit(box.run, "while True: pass", limits=limits) for _ in range(2)]
        time.sleep(0.3)
        box.close()
        for run in runs:
            with pytest.raises(SandboxError, match="closed"):
                run.result(60)


@pytest.mark.parametrize(
    "bad",
    [
        {"source": b"print(1)"},
        {"stdin": "text"},
        {"limits": {"cpu_s": 1}},
        {"seed": -1},
        {"seed": 1 << 63},
        {"seed": True},
        {"files": {"program.py": b""}},
        {"files": {"../up": b""}},
        {"files": {"/etc/passwd": b""}},
    ],
)
def test_senseless_requests_are_refused(box: Sandbox, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        box.run(**{"source": "print(1)", **bad})
