"""What a run gives back, and what it leaves behind: nothing, and no excuse."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rewardkit.sandbox import (
    ExecutionResult,
    Limits,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        made = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"no namespaces here: {error}")
    with made:
        yield made


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


def test_a_source_of_any_size_is_the_programs_own_affair(box: Sandbox) -> None:
    source = "#" * 3_000_000 + "\nprint(1)"
    assert box.run(source, limits=Limits(disk_mb=1)).stdout == b"1\n"
    huge = "x = [" + "1," * 5_000_000 + "]"
    assert box.run(huge, limits=Limits(memory_mb=64)).status in ("memory", "signal")


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


def command_name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def test_daemons_die_with_the_run(box: Sandbox) -> None:
    name = f"rk-{os.getpid()}"
    result = box.run(
        f"""
import os, time
open("/proc/self/comm", "w").write({name!r})
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
    assert name not in [command_name(pid) for pid in os.listdir("/proc") if pid.isdigit()]


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_runs_leave_no_descriptors_mounts_or_files(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def state() -> tuple[int, int, int]:
        mounts = Path("/proc/self/mountinfo").read_text().count("\n")
        return len(os.listdir("/proc/self/fd")), mounts, len(os.listdir(tmp_path))

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
        while len(family := descendants(caller.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)  # launcher, first process, program
        caller.kill()
    assert len(family) == 3
    while any(cmdline(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(cmdline(pid) for pid in family)


def descendants(pid: int) -> set[int]:
    try:
        children = set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()
    return children.union(*map(descendants, children))


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
    for depth in range(1500):
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
