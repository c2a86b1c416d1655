"""Judged code cannot get out, cannot outlive its run, cannot outrun its limits, cannot blame us."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import rewardkit.errors
import rewardkit.sandbox
from rewardkit.errors import UsageError
from rewardkit.sandbox import (
    ExecutionResult,
    Limits,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
)

ROOM = Path(str(rewardkit.sandbox.__file__)).parent
SYSTEM_PYTHON = "/usr/bin/python3"
ORDINARY_USER = 65534


@dataclass(frozen=True)
class Case:
    """A program and what must come of it. ``stdout``: exactly this (``None``: anything)."""

    name: str
    source: str
    status: str = "ok"
    stdout: str | None = None
    stdin: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    weak: bool = True  # holds without namespaces, too


HONEST = [
    Case("hello", "print('hello')", stdout="hello\n"),
    Case("nothing", "", stdout=""),
    Case("stdin", "print(sum(map(int, input().split())))", stdin="1 2 3", stdout="6\n"),
    Case("no_stdin", "import sys; print(repr(sys.stdin.read()))", stdout="''\n"),
    Case("open_stdin", "print(open(0).read())", stdin="abc", stdout="abc\n"),
    Case(
        "large_stdin",
        "import sys; print(len(sys.stdin.read()))",
        stdin="x" * 8_000_000,
        stdout="8000000\n",
    ),
    Case("unicode", "print('\\u00e9\\u4e2d\\U0001f600')", stdout="é中😀\n"),
    Case("future", "from __future__ import annotations\nprint(1)", stdout="1\n"),
    Case("guard", "if __name__ == '__main__':\n    print(__file__[-10:])", stdout="program.py\n"),
    Case("exit_zero", "import sys; print(1); sys.exit(0)", stdout="1\n"),
    Case(
        "atexit_and_threads",
        """
        import atexit, threading, time
        atexit.register(print, "last")
        threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
        print("main")
        """,
        stdout="main\nthread\nlast\n",
    ),
    Case(
        "scratch",
        """
        import os, tempfile
        with tempfile.TemporaryFile() as f:
            f.write(b"x" * 1_000_000)
        open("mine", "w").write("text")
        print(os.listdir(os.path.expanduser("~")) == os.listdir("."), open("mine").read())
        """,
        stdout="True text\n",
    ),
    Case(
        "recursion",
        """
        import sys, threading
        sys.setrecursionlimit(10**6)
        threading.stack_size(1 << 27)
        def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
        t = threading.Thread(target=lambda: print(depth(50_000))); t.start(); t.join()
        """,
        stdout="50000\n",
    ),
    Case(
        "library",
        """
        import asyncio, collections, heapq, json, random, re, decimal, fractions, functools
        async def f(): return await asyncio.sleep(0, 7)
        print(asyncio.run(f()), json.dumps({"a": [1]}), re.sub("a", "b", "aa"))
        """,
        stdout='7 {"a": [1]} bb\n',
    ),
    Case("same_hash", "print({'a', 'b', 'c', 'd', 'e'} is not None, hash('x') == hash('x'))"),
]

FAILING = [
    Case("exit_code", "import sys; print('said'); sys.exit(3)", "runtime_error", "said\n"),
    Case("exception", "print('said'); 1/0", "runtime_error", "said\n"),
    Case("syntax_error", "def f(:", "runtime_error", ""),
    Case("surrogate", "print('\ud800')", "runtime_error", ""),
    Case("nul", "print(1)\0", "runtime_error", ""),
    Case("deep_source", "(" * 5000 + ")" * 5000, "runtime_error", ""),
    Case("hard_exit", "import os; os._exit(254)", "runtime_error", ""),
    Case("suicide", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal", ""),
    Case("segfault", "import ctypes; ctypes.string_at(0)", "signal", ""),
    Case("loop", "while True: pass", "cpu_limit", "", limits={"cpu_s": 0.3}),
    Case(
        "loop_in_c",
        "print(len(str(3 ** 3_000_000_000)))",
        "cpu_limit",
        "",
        limits={"cpu_s": 0.3},
    ),
    Case(
        "loop_that_ignores_signals",
        """
        import signal
        for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(s, signal.SIG_IGN)
        while True:
            try:
                while True: pass
            except BaseException: pass
        """,
        "cpu_limit",
        "",
        limits={"cpu_s": 0.3},
    ),
    Case(
        "loops_of_many_processes",
        """
        import os
        for _ in range(3): os.fork()
        while True: pass
        """,
        "cpu_limit",
        "",
        limits={"cpu_s": 0.5},
    ),
    Case("sleep", "import time; time.sleep(600)", "wall_limit", "", limits={"wall_s": 0.5}),
    Case(
        "stopped",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "wall_limit",
        "",
        limits={"wall_s": 0.5},
    ),
    Case("memory_at_once", "x = bytearray(1 << 34)", "memory", ""),
    Case(
        "memory_by_and_by",
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "memory",
        "",
        limits={"memory_mb": 128},
    ),
    Case(
        "memory_shared",
        """
        import mmap
        m = mmap.mmap(-1, 512 << 20)
        for i in range(0, 512 << 20, 4096): m[i] = 1
        print("got it")
        """,
        "memory",
        "",
        limits={"memory_mb": 128},
    ),
    Case(
        "memory_of_many_processes",
        """
        import os, time
        for _ in range(5):
            if os.fork() == 0: break
        x = bytearray(80 << 20)
        time.sleep(600)
        """,
        "memory",
        "",
        limits={"memory_mb": 256, "wall_s": 30},
    ),
    Case("flood", "while True: print('x' * 10_000)", "output", limits={"output_kb": 64}),
    Case(
        "flood_of_errors",
        "import sys\nwhile True: print('x' * 10_000, file=sys.stderr)",
        "output",
        limits={"output_kb": 64},
    ),
    Case("flood_then_exit", "print('x' * 70_000)", "output", limits={"output_kb": 64}),
    Case("sparse_flood", "import os; os.ftruncate(1, 1 << 22)", "output", limits={"output_kb": 64}),
    Case(
        "large_file",
        "open('f', 'wb').write(bytes(8 << 20))",
        "disk",
        limits={"disk_mb": 2, "output_kb": 64},
    ),
    Case(
        "many_files",
        "for i in range(64): open(str(i), 'wb').write(bytes(1 << 20))",
        "disk",
        limits={"disk_mb": 4},
        weak=False,
    ),
    Case(
        "many_inodes",
        "for i in range(10**6): open(str(i), 'w')",
        "disk",
        weak=False,
    ),
    Case(
        "raised_limit",
        """
        import resource
        for r in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_NPROC):
            resource.setrlimit(r, (resource.RLIM_INFINITY,) * 2)
        """,
        "runtime_error",
    ),
]

# Each prints what it got away with; none may get away with anything.
HOSTILE = [
    Case(
        "network",
        """
        import socket
        for family, address in [
            (socket.AF_INET, ("127.0.0.1", PORT)),
            (socket.AF_INET, ("1.1.1.1", 53)),
            (socket.AF_INET6, ("::1", PORT)),
            (socket.AF_UNIX, ABSTRACT),
            (socket.AF_VSOCK, (2, 1)),
            (socket.AF_NETLINK, (0, 0)),
        ]:
            try:
                s = socket.socket(family); s.settimeout(2)
                s.connect(address); print(family, address)
            except (OSError, TypeError): pass
        """,
        stdout="",
    ),
    Case(
        "other_files",
        """
        import os
        for path in [SECRET, PUBLIC, "/etc/shadow", "/etc/hostname", "/root", "/home", "/sys",
                     "/var", "/run", "/work", "/proc/sys", "/proc/meminfo"]:
            if os.path.lexists(path): print(path)
        try: open(MARKER, "w"); print("marker")
        except OSError: pass
        for path in ["/", "/usr", "/usr/lib", "/etc", "/dev", "/proc"]:
            try: open(os.path.join(path, "mark"), "w"); print("wrote", path)
            except OSError: pass
        for path in [os.__file__, "/etc/passwd", "/bin/sh"]:
            try: open(path, "r+"); print("may write", path)
            except OSError: pass
        """,
        "ok",
        "",
        weak=False,
    ),
    Case(
        "environment",
        """
        import glob, os
        if any("REWARDKIT_SECRET" in os.environ for _ in "x"): print("own")
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                if b"REWARDKIT_SECRET" in open(path, "rb").read(): print(path)
            except OSError: pass
        """,
        "ok",
        "",
        weak=False,
    ),
    Case(
        "caller",
        """
        import os, signal
        for pid in (CALLER, os.getppid(), 1):
            try:
                if open(f"/proc/{pid}/cmdline", "rb").read() == b"" : continue
            except OSError: continue
            for name in ("mem", "fd", "environ", "maps"):
                try:
                    os.listdir(f"/proc/{pid}/{name}") if name == "fd" else open(f"/proc/{pid}/{name}").read(1)
                    if pid != os.getpid(): print(pid, name)
                except OSError: pass
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getppid(), signal.SIGINT)
        os.kill(os.getppid(), signal.SIGSTOP)
        """,
        "ok",
        "",
        weak=False,
    ),
    Case(
        "rights",
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        tried = dict(
            unshare=lambda: libc.unshare(0x10000000),
            mount=lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
            chroot=lambda: libc.chroot(b"/tmp"),
            ptrace=lambda: libc.ptrace(0, 0, 0, 0),
            setuid=lambda: libc.setuid(0),
            memfd=lambda: libc.syscall(319, b"x", 0),
            keyring=lambda: libc.syscall(248, b"user", b"a", b"b", 1, -3),
            io_uring=lambda: libc.syscall(425, 8, ctypes.create_string_buffer(200)),
            bpf=lambda: libc.syscall(321, 0, None, 0),
            perf=lambda: libc.syscall(298, ctypes.create_string_buffer(200), 0, -1, -1, 0),
            userfaultfd=lambda: libc.syscall(323, 1),
            shm=lambda: libc.shmget(0, 4096, 0o1600),
            clone=lambda: libc.syscall(56, 0x10000011, None, None, None, None) or os._exit(1),
            x32=lambda: libc.syscall(0x40000000 + 39),
            hostname=lambda: libc.sethostname(b"x", 1),
        )
        for name, attempt in tried.items():
            if attempt() >= 0: print(name)
        """,
        stdout="",
    ),
    Case(
        "capabilities",
        """
        for line in open("/proc/self/status"):
            name, _, value = line.partition(":")
            if name in ("CapInh", "CapPrm", "CapEff", "CapAmb") and int(value, 16): print(line)
            if name == "NoNewPrivs" and value.strip() != "1": print(line)
            if name == "Seccomp" and value.strip() != "2": print(line)
        """,
        stdout="",
    ),
    Case(
        "descriptors",
        """
        import os
        for fd in range(3, 300):
            try: os.fstat(fd); print(fd)
            except OSError: pass
        """,
        stdout="",
    ),
    Case(
        "launcher_leftovers",
        """
        import gc, sys
        print([m for m in sys.modules if "inside" in m or "rewardkit" in m], end="")
        print([p for p in sys.path if "rewardkit" in p or p.endswith("sandbox")], end="")
        """,
        stdout="[][]",
    ),
]

BOMB = Case(
    "fork_bomb",
    """
    import os, time
    made = 0
    try:
        while True:
            if os.fork() == 0: time.sleep(600)
            made += 1
    except BlockingIOError: print(made)
    """,
    stdout="5\n",
    limits={"processes": 6},
)

EVERYWHERE = [*HONEST, *FAILING, *HOSTILE]


class World:
    """What hostile programs are told about: things outside that they must not reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcp, self.unix = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
        self.abstract = f"\0rewardkit-{os.getpid()}-{id(self)}"
        self.unix.bind(self.abstract)
        self.unix.listen()
        for name, mode in (("secret", 0o600), ("public", 0o644)):
            (folder / name).write_text("secret")
            (folder / name).chmod(mode)

    def source(self, case: Case) -> str:
        told = {
            "PORT": self.tcp.getsockname()[1],
            "ABSTRACT": self.abstract,
            "SECRET": str(self.folder / "secret"),
            "PUBLIC": str(self.folder / "public"),
            "MARKER": str(self.folder / "marker"),
            "CALLER": os.getpid(),
        }
        source = textwrap.dedent(case.source)
        for name, value in told.items():
            source = source.replace(name, repr(value))
        return source

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("outside"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        made = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"no namespaces here: {error}")
    with made:
        yield made


def check(case: Case, status: str, stdout: bytes, about: object) -> None:
    assert status == case.status, about
    if case.stdout is not None:
        assert stdout.decode() == case.stdout, about


@pytest.mark.parametrize("case", [*EVERYWHERE, BOMB], ids=lambda case: case.name)
def test_programs_in_namespaces(box: Sandbox, world: World, case: Case) -> None:
    source = world.source(case)
    result = box.run(source, stdin=case.stdin.encode(), limits=Limits(**case.limits))
    check(case, result.status, result.stdout, result)


# ---- the same as other users, with and without namespaces

_HELPER = """
import json, sys
from rewardkit.sandbox import Limits, Sandbox, SandboxUnavailable
told = json.load(sys.stdin)
try:
    box = Sandbox(told["isolation"], accept_weak_isolation=told["isolation"] == "process")
except SandboxUnavailable as error:
    print(json.dumps({"unavailable": str(error)})); sys.exit()
results = []
for case in told["cases"]:
    r = box.run(case["source"], stdin=case["stdin"].encode(), limits=Limits(**case["limits"]))
    results.append([r.status, r.stdout.decode("latin-1")[:1000], repr(r)[:1000]])
print(json.dumps({"results": results, "report": box.report().as_dict()}))
"""


@pytest.fixture(scope="module")
def room_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The room's files where any user may read them, as a package without dependencies."""
    folder = Path(tmp_path_factory.mktemp("room"))
    package = folder / "rewardkit"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOM, package / "sandbox", ignore=ignore)
    shutil.copy(str(rewardkit.errors.__file__), package / "errors.py")
    (package / "__init__.py").touch()
    (folder / "helper.py").write_text(_HELPER)
    public = Path(f"/tmp/rewardkit-test-{os.getpid()}")  # pytest's own folders are private
    shutil.copytree(folder, public)
    public.chmod(0o755)
    yield public
    shutil.rmtree(public)


def as_user(
    room: Path, user: int, isolation: str, cases: list[Case], world: World
) -> dict[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not os.path.exists(SYSTEM_PYTHON) or not shutil.which("setpriv"):
        pytest.skip("needs a system-wide interpreter and setpriv")
    version = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=True)
    if tuple(map(int, version.stdout.split()[1].split(".")[:2])) < (3, 11):
        pytest.skip("the system-wide interpreter is older than 3.11")
    told = {
        "isolation": isolation,
        "cases": [{"source": world.source(c), "stdin": c.stdin, "limits": c.limits} for c in cases],
    }
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", SYSTEM_PYTHON]
        + [str(room / "helper.py")],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(room), "REWARDKIT_SECRET": "x"},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    if "unavailable" in answer:
        pytest.skip(answer["unavailable"])
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("user", [0, ORDINARY_USER], ids=["root", "user"])
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_programs_as_another_user(
    room_for_all: Path, world: World, isolation: str, user: int
) -> None:
    strong = isolation == "namespaces"
    cases = [case for case in (*EVERYWHERE, BOMB) if strong or case.weak]
    if not strong and user:
        cases.remove(BOMB)  # shares the count of processes with all else the user runs
    answer = as_user(room_for_all, user, isolation, cases, world)
    for case, (status, stdout, about) in zip(cases, answer["results"], strict=True):
        check(case, status, stdout.encode("latin-1"), (case.name, about))
    assert all(answer["report"]["holds"].values()) == strong


def test_an_ordinary_user_gets_namespaces_too(room_for_all: Path, world: World) -> None:
    answer = as_user(room_for_all, ORDINARY_USER, "namespaces", [HONEST[0], *HOSTILE], world)
    assert [status for status, _, _ in answer["results"]] == ["ok"] * (1 + len(HOSTILE))


# ---- results


def test_results_carry_what_happened(box: Sandbox) -> None:
    result = box.run(
        "import sys, time\nt = time.process_time()\nwhile time.process_time() - t < 0.2: pass\n"
        "x = bytearray(50 << 20)\nprint('out'); print('err', file=sys.stderr); sys.exit(7)"
    )
    assert (result.status, result.exit_code, result.signal) == ("runtime_error", 7, None)
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert 0.2 <= result.cpu_s < 5
    assert result.wall_s >= 0.19
    assert 50 < result.memory_mb < 300
    assert "7" in result.reason
    assert not result.ok


def test_signals_are_told_from_exit_codes(box: Sandbox) -> None:
    result = box.run("import os; os.abort()")
    assert (result.exit_code, result.signal) == (None, signal.SIGABRT)


def test_tracebacks_show_the_program_and_nothing_of_ours(box: Sandbox) -> None:
    stderr = box.run("def f():\n    return 1 / 0\nf()").stderr.decode()
    assert "return 1 / 0" in stderr
    assert stderr.count("File ") == 2
    assert "ZeroDivisionError" in stderr


def test_output_is_cut_at_its_cap(box: Sandbox) -> None:
    result = box.run("while True: print('x' * 1000)", limits=Limits(output_kb=10))
    assert len(result.stdout) == 10 << 10


def test_output_that_just_fits_is_whole(box: Sandbox) -> None:
    result = box.run("print('x' * 10239)", limits=Limits(output_kb=10))
    assert (result.status, len(result.stdout)) == ("ok", 10240)


def test_results_are_values() -> None:
    result = ExecutionResult("ok", b"out")
    assert pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = "signal"  # type: ignore[misc]


def test_files_are_laid_out(box: Sandbox) -> None:
    files = {"data.txt": b"data", "pkg/__init__.py": b"", "pkg/mod.py": b"x = 5"}
    result = box.run("from pkg.mod import x; print(x, open('data.txt').read())", files=files)
    assert result.stdout == b"5 data\n"


def test_runs_are_repeatable(box: Sandbox) -> None:
    source = "print({str(i) for i in range(20)}, hash('x'))"
    assert box.run(source).stdout == box.run(source).stdout


def test_a_run_sees_nothing_of_the_one_before(box: Sandbox) -> None:
    box.run("open('left', 'w').write('x')")
    assert box.run("import os; print(os.listdir())").stdout == b"['program.py']\n"


# ---- nothing of ours to blame

FORGERIES = {
    "close everything": "import os; os.closerange(0, 1000); os._exit(1)",
    "write to every descriptor": """
        import os
        for fd in range(3, 64):
            try: os.write(fd, b"\\x03" * 100)
            except OSError: pass
        os._exit(1)
    """,
    "kill all": "import os, signal; os.kill(-1, signal.SIGKILL); os._exit(1)",
    "kill the group": "import os, signal; os.kill(0, signal.SIGKILL)",
    "kill the first process": """
        import os
        for s in range(1, 65):
            try: os.kill(1, s)
            except OSError: pass
        os._exit(1)
    """,
    "our own words": "import sys; sys.stderr.write('SandboxError: cannot start'); sys.exit(70)",
    "stop the watch": "import os; os.kill(os.getppid(), 19); os._exit(1)",
    "exhaust memory": "x = []\nwhile True: x.append(' ' * 10**6)",
    "exhaust descriptors": """
        import os
        try:
            while True: os.open("/", os.O_RDONLY)
        except OSError: os._exit(1)
    """,
    "end at once": "import os; os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_judged_code_cannot_cause_an_infrastructure_error(box: Sandbox, name: str) -> None:
    limits = Limits(memory_mb=128)
    for _ in range(3):
        result = box.run(textwrap.dedent(FORGERIES[name]), limits=limits)
        assert result.status in ("runtime_error", "signal", "memory"), result


def test_what_cannot_start_is_an_infrastructure_error(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    result = box.run("print(1)")
    assert result.status == "infrastructure_error"
    assert "cannot start" in result.reason


def test_a_launcher_that_breaks_says_why(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken python >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    result = box.run("print(1)")
    assert (result.status, result.reason) == ("infrastructure_error", "broken python")


# ---- nothing is left


def processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def test_daemons_die_with_the_run(box: Sandbox) -> None:
    before = processes()
    result = box.run(
        """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
print("started")
"""
    )
    assert (result.status, result.stdout) == ("ok", b"started\n")
    ours = [p for p in processes() - before if "from inside import" in cmdline(p)]
    assert not ours


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_runs_leave_no_descriptors_mounts_or_files(box: Sandbox) -> None:
    def state() -> tuple[int, int, list[str]]:
        mounts = Path("/proc/self/mountinfo").read_text().count("\n")
        files = [n for n in os.listdir("/tmp") if n.startswith("rewardkit-") and "test" not in n]
        return len(os.listdir("/proc/self/fd")), mounts, sorted(files)

    box.run("print(1)")
    before = state()
    for source in ("print(1)", "1/0", "import os; os.abort()", "open('x','w'); os.fork()"):
        box.run(source)
    assert state() == before


def test_the_death_of_the_caller_ends_the_run(box: Sandbox, tmp_path: Path) -> None:
    script = tmp_path / "caller.py"
    script.write_text(
        "import os\nfrom rewardkit.sandbox import Limits, Sandbox\n"
        "box = Sandbox()\nprint('ready', flush=True)\n"
        "box.run('while True: pass', limits=Limits(cpu_s=600))\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        deadline = time.monotonic() + 30
        while not (launchers := children_of(caller.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        family = launchers | {g for p in launchers for g in children_of(p)}
        caller.kill()
    assert family
    while any(cmdline(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(cmdline(pid) for pid in family)


def children_of(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


def test_hostile_trees_are_deleted_whole(tmp_path: Path) -> None:
    from rewardkit.sandbox.scratch import remove_tree

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "rk0").mkdir()
    (tree / "rk0" / "rk0").mkdir()
    fd = os.open(tree, os.O_RDONLY)
    for depth in range(3000):
        os.mkdir("d", dir_fd=fd)
        os.symlink("/", "root", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        if depth % 100 == 0:
            os.chmod("d", 0, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_tree(str(tree))
    assert not tree.exists()
    assert (outside / "kept").exists()


# ---- from anywhere


def test_threads_run_at_once(box: Sandbox) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda i: box.run(f"print({i})").stdout, range(12)))
    assert results == [f"{i}\n".encode() for i in range(12)]


def test_runs_at_once_do_not_share_their_count_of_processes() -> None:
    source = "import os, time\nfor _ in range(3):\n    if os.fork() == 0: break\ntime.sleep(0.3)"
    with Sandbox(workers=4) as box, ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(box.run, source, limits=Limits(processes=4)) for _ in range(4)]
        assert [run.result().status for run in runs] == ["ok"] * 4


def test_after_a_fork(box: Sandbox) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if box.run("print(1)").stdout == b"1\n" else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_sandbox_pickles(box: Sandbox) -> None:
    copy = pickle.loads(pickle.dumps(box))
    assert copy.run("print(1)").stdout == b"1\n"


def test_a_closed_sandbox_refuses() -> None:
    box = Sandbox()
    box.close()
    with pytest.raises(SandboxError, match="closed"):
        box.run("print(1)")


def test_ten_runs_in_a_reasonable_time(box: Sandbox) -> None:
    start = time.monotonic()
    for _ in range(10):
        assert box.run("print(1)").status == "ok"
    assert time.monotonic() - start < 20  # about 0.25 on a quiet machine


# ---- what is promised, and refusals


def test_the_report_says_what_holds(box: Sandbox) -> None:
    report = box.report()
    assert report.isolation == "namespaces"
    assert not set(report.broken) - {"system_calls"}
    assert json.loads(json.dumps(report.as_dict()))["holds"]["network"] is True


def test_weak_isolation_must_be_said_twice() -> None:
    with pytest.raises(UsageError, match="accept_weak_isolation=True"):
        Sandbox("process")


def test_where_namespaces_do_not_work_auto_refuses(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", _WITHOUT_NAMESPACES]
        + ["sh", sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "cannot be set" in done.stderr:
        pytest.skip("cannot forbid namespaces here")
    assert "REFUSED" in done.stdout, done
    assert "Nothing was run" in done.stdout
    assert "max_user_namespaces" in done.stdout


# In a user namespace of our own the number of further ones is ours to limit.
_WITHOUT_NAMESPACES = """
for kind in user mnt pid net ipc uts; do
    echo 0 > /proc/sys/user/max_${kind}_namespaces || { echo cannot be set >&2; exit; }
done
exec "$1" -c '
from rewardkit.sandbox import Sandbox, SandboxUnavailable
try:
    Sandbox()
except SandboxUnavailable as error:
    print("REFUSED", error)
'
"""


def test_elsewhere_than_on_linux_the_refusal_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardkit.sandbox.probe import probe

    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="Linux only"):
        probe("namespaces")


@pytest.mark.parametrize("isolation", ["none", "", "docker"])
def test_unknown_isolation_is_refused(isolation: Any) -> None:
    with pytest.raises(UsageError, match="namespaces"):
        Sandbox(isolation)


def test_senseless_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="workers"):
        Sandbox(workers=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"source": b"print(1)"},
        {"stdin": "text"},
        {"files": {"/etc/passwd": b""}},
        {"files": {"../up": b""}},
        {"files": {"a/../../up": b""}},
        {"files": {"": b""}},
        {"files": {"program.py": b""}},
        {"files": {"a": "text"}},
        {"files": {"a": bytes(2 << 20)}, "limits": Limits(disk_mb=1)},
    ],
    ids=repr,
)
def test_senseless_requests_are_refused(box: Sandbox, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        box.run(**{"source": "print(1)", **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"cpu_s": 0},
        {"cpu_s": float("nan")},
        {"cpu_s": float("inf")},
        {"cpu_s": None},
        {"cpu_s": "1"},
        {"wall_s": -1},
        {"wall_s": True},
        {"memory_mb": 8},
        {"memory_mb": 100.5},
        {"processes": 0},
        {"disk_mb": 0},
        {"output_kb": 1 << 40},
    ],
    ids=repr,
)
def test_senseless_limits_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Limits(**bad)


def test_the_wall_limit_follows_the_cpu_limit() -> None:
    assert Limits(cpu_s=10).wall_seconds == 35.0
    assert Limits(cpu_s=10, wall_s=1).wall_seconds == 1
