"""What a run gives back, and what it leaves behind: nothing, and no excuse."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import signal
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rewardkit.sandbox import (
    ExecutionResult,
    Isolation,
    Limits,
    Sandbox,
    SandboxError,
    SandboxUnavailable,
)


def test_results_carry_what_happened(tier_box: Sandbox) -> None:
    result = tier_box.run(
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


def test_signals_are_told_from_exit_codes(tier_box: Sandbox) -> None:
    result = tier_box.run("import os; os.abort()")
    assert (result.exit_code, result.signal) == (None, signal.SIGABRT)


def test_tracebacks_show_the_program_and_nothing_of_ours(tier_box: Sandbox) -> None:
    stderr = tier_box.run("def f():\n    return 1 / 0\nf()").stderr.decode()
    assert "return 1 / 0" in stderr
    assert stderr.count("File ") == 2
    assert "ZeroDivisionError" in stderr


def test_output_is_cut_at_its_cap(tier_box: Sandbox) -> None:
    result = tier_box.run("while True: print('x' * 1000)", limits=Limits(output_kb=10))
    assert len(result.stdout) == 10 << 10


def test_output_that_just_fits_is_whole(tier_box: Sandbox) -> None:
    result = tier_box.run("print('x' * 10239)", limits=Limits(output_kb=10))
    assert (result.status, len(result.stdout)) == ("ok", 10240)


def test_results_are_values() -> None:
    result = ExecutionResult("ok", b"out")
    assert pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = "signal"  # type: ignore[misc]


def test_files_are_laid_out(tier_box: Sandbox) -> None:
    files = {"data.txt": b"data", "pkg/__init__.py": b"", "pkg/mod.py": b"x = 5"}
    result = tier_box.run("from pkg.mod import x; print(x, open('data.txt').read())", files=files)
    assert result.stdout == b"5 data\n"


def test_runs_are_repeatable(tier_box: Sandbox) -> None:
    source = "print({str(i) for i in range(20)}, hash('x'))"
    assert tier_box.run(source).stdout == tier_box.run(source).stdout


def test_a_run_sees_nothing_of_the_one_before(box: Sandbox) -> None:
    box.run("open('left', 'w').write('x')")
    assert box.run("import os; print(os.listdir())").stdout == b"[]\n"


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
def test_judged_code_cannot_cause_an_infrastructure_error(tier_box: Sandbox, name: str) -> None:
    limits = Limits(memory_mb=128)
    for _ in range(3):
        result = tier_box.run(textwrap.dedent(FORGERIES[name]), limits=limits)
        assert result.status in ("runtime_error", "signal", "memory"), result


def test_a_source_of_any_size_is_the_programs_own_affair(tier_box: Sandbox) -> None:
    source = "#" * 3_000_000 + "\nprint(1)"
    assert tier_box.run(source, limits=Limits(disk_mb=1)).stdout == b"1\n"
    huge = "x = [" + "1," * 5_000_000 + "]"
    assert tier_box.run(huge, limits=Limits(memory_mb=64)).status in ("memory", "signal")


def test_what_cannot_start_is_an_infrastructure_error_and_mends(
    tier: Isolation, monkeypatch: pytest.MonkeyPatch, descendants: Callable[[int], set[int]]
) -> None:
    before = descendants(os.getpid())
    try:
        box = Sandbox(tier, workers=1)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with box:
        assert box.run("print(1)").ok
        monkeypatch.setattr(sys, "executable", "/does/not/exist")
        for pid in descendants(os.getpid()) - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        result = box.run("print(2)")
        assert result.status == "infrastructure_error"
        assert "/does/not/exist" in result.reason
        monkeypatch.undo()
        assert box.run("print(3)").stdout == b"3\n"


def test_hostile_trees_are_deleted_whole(tmp_path: Path) -> None:
    from rewardkit.sandbox.inside.tree import remove_tree

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "rk0").mkdir()
    (tree / "rk0" / "rk0").mkdir()
    fd = os.open(tree, os.O_RDONLY)
    for depth in range(1100):  # deeper than Python's stack, longer than a path
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


def test_threads_run_at_once(tier_box: Sandbox) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda i: tier_box.run(f"print({i})").stdout, range(12)))
    assert results == [f"{i}\n".encode() for i in range(12)]


def test_runs_at_once_do_not_share_their_count_of_processes() -> None:
    source = "import os, time\nfor _ in range(3):\n    if os.fork() == 0: break\ntime.sleep(0.3)"
    with Sandbox(workers=4) as box, ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(box.run, source, limits=Limits(processes=4)) for _ in range(4)]
        assert [run.result().status for run in runs] == ["ok"] * 4


def test_a_sandbox_pickles(tier_box: Sandbox) -> None:
    copy = pickle.loads(pickle.dumps(tier_box))
    assert copy.run("print(1)").stdout == b"1\n"


def test_a_closed_sandbox_refuses() -> None:
    box = Sandbox()
    box.close()
    with pytest.raises(SandboxError, match="closed"):
        box.run("print(1)")
