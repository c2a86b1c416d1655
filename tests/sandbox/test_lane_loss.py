"""What becomes of ours costs no program its verdict, and is never counted against it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardkit.sandbox import Isolation, Job, Limits, Sandbox, SandboxUnavailable, tiers

Descendants = Callable[[int], set[int]]
PATIENT = Limits(wall_s=120)


@pytest.fixture
def own_box(tier: Isolation) -> Iterator[Sandbox]:
    """A sandbox that may be broken."""
    try:
        box = Sandbox(tier, workers=1)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with box:
        assert box.run("print(1)").status == "ok"
        yield box


def nursery_of(box: Sandbox) -> int:
    nursery = box._lanes._nursery
    assert nursery is not None
    return nursery._process.pid


def lanes_of(box: Sandbox) -> set[int]:
    """The first processes of its lanes."""
    nursery = nursery_of(box)
    children = Path(f"/proc/{nursery}/task/{nursery}/children").read_text()
    return set(map(int, children.split()))


class Killer(threading.Thread):
    """Kills a sandbox's lanes soon after they begin, so many of them (0: all)."""

    def __init__(self, box: Sandbox, most: int = 0) -> None:
        super().__init__()
        self._box, self._most = box, most
        self._over = threading.Event()
        self.killed: set[int] = set()

    def run(self) -> None:
        while not self._over.wait(0.1):
            for pid in lanes_of(self._box) - self.killed:
                self._over.wait(0.1)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)
                if len(self.killed) == self._most:
                    return

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@pytest.mark.parametrize("times", [1, 2])
def test_a_lane_that_is_killed_is_replaced_and_the_run_begins_anew(
    own_box: Sandbox, times: int
) -> None:
    with Killer(own_box, times) as killer:
        result = own_box.run("import time; time.sleep(1); print('whole')", limits=PATIENT)
    assert len(killer.killed) == times
    assert (result.status, result.stdout) == ("ok", b"whole\n")


def test_what_takes_every_lane_down_with_it_is_the_programs_own_failure(own_box: Sandbox) -> None:
    with Killer(own_box) as killer:
        result = own_box.run("import time; time.sleep(120)", limits=PATIENT)
    assert len(killer.killed) >= 3
    assert result.status == "signal"
    assert "3 times" in result.reason


def test_a_nursery_that_is_killed_is_replaced(own_box: Sandbox) -> None:
    for _ in range(2):
        os.kill(nursery_of(own_box), signal.SIGKILL)
        assert own_box.run("print(1)").stdout == b"1\n"
        time.sleep(0.1)
    os.kill(nursery_of(own_box), signal.SIGKILL)
    assert [r.stdout for r in own_box.map([Job("print(2)")] * 3)] == [b"2\n"] * 3


def test_what_cannot_start_is_a_failure_of_ours(
    own_box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    os.kill(nursery_of(own_box), signal.SIGKILL)
    time.sleep(0.1)
    result = own_box.run("print(1)")
    assert result.status == "infrastructure_error"
    assert "/does/not/exist" in result.reason
    loaded = own_box.calls("", "", []).loaded
    assert loaded.status == "infrastructure_error"
    first, second = own_box.pair(Job(""), Job(""))
    assert first.status == second.status == "infrastructure_error"
    monkeypatch.undo()
    assert own_box.run("print(1)").stdout == b"1\n"


def test_an_interpreter_that_breaks_is_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken python >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(tiers, "_reports", {})
    with pytest.raises(SandboxUnavailable, match="broken python"):
        Sandbox()


def test_a_module_that_cannot_be_preloaded_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "breaks_at_once.py").write_text("raise RuntimeError('not today')")
    (tmp_path / "starts_threads.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tiers, "_reports", {})
    with pytest.raises(SandboxUnavailable, match="not today"):
        Sandbox(preload=["breaks_at_once"])
    with pytest.raises(SandboxUnavailable, match="starts threads"):
        Sandbox(preload=["starts_threads"])


def test_after_a_fork_lanes_are_made_anew(tier_box: Sandbox, descendants: Descendants) -> None:
    tier_box.run("print(1)")
    before = descendants(nursery_of(tier_box))
    child = os.fork()
    if child == 0:
        ok = tier_box.run("print(2)").stdout == b"2\n"
        tier_box.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tier_box.run("print(3)").stdout == b"3\n"
    assert before <= descendants(nursery_of(tier_box))


def test_a_fork_while_all_threads_are_busy_works_too(tier_box: Sandbox) -> None:
    runs: list[Any] = []
    threads = [
        threading.Thread(target=lambda: runs.append(tier_box.run("import time; time.sleep(0.5)")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        os._exit(0 if tier_box.run("print(2)").stdout == b"2\n" else 1)
    assert os.waitpid(child, 0)[1] == 0
    for thread in threads:
        thread.join()
    assert [run.status for run in runs] == ["ok"] * 4


def test_a_lost_caller_costs_its_user_no_other_process(
    caller_of: Callable[..., Any],
    as_user: Callable[[int], dict[str, Any]],
    ordinary_user: int,
    tier: Isolation,
) -> None:
    bystander = subprocess.Popen(["sleep", "600"], **as_user(ordinary_user))
    try:
        caller = caller_of(tier, ordinary_user)
        busy = threading.Thread(target=_lose, args=(caller,))
        busy.start()
        time.sleep(0.5)
        caller.kill()
        busy.join()
        time.sleep(0.5)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def _lose(caller: Any) -> None:
    with contextlib.suppress(AssertionError):  # it dies over this
        caller.run("while True: pass", cpu_s=600, wall_s=600)
