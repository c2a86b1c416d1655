"""Thousands of runs of all kinds: every verdict right, and nothing of them left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable

WARM = 60
AT_ONCE = 500
"""Runs before the first look: caches fill, arenas grow, spare lanes start."""


@dataclass(frozen=True)
class Kind:
    """One sort of run, and what must come of it. ``every``: one in so many runs is of this sort."""

    every: int
    status: str
    source: str
    says: str | None = "{i}\n"
    forks: bool = False
    limits: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "loop": Kind(499, "cpu_limit", "while True: pass", "", limits={"cpu_s": 0.1}),
    "sleep": Kind(397, "wall_limit", "import time; time.sleep(60)", "", limits={"wall_s": 0.1}),
    "flood": Kind(199, "output", "while True: print('x' * 4000)", None, limits={"output_kb": 64}),
    "memory": Kind(151, "memory", "x = bytearray(1 << 33)", ""),
    "daemons": Kind(
        50,
        "ok",
        "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0: time.sleep(60)\n        os._exit(0)\n"
        "for _ in range(5): os.wait()\nprint({i})",
        forks=True,
    ),
    "files": Kind(
        53,
        "ok",
        "import os, tempfile\nfor n in range(20): open(f'f{{n}}', 'w').write('x' * 9000)\n"
        "os.makedirs('a/b/c'); os.symlink('/', 'root'); print({i})",
        forks=True,
    ),
    "threads": Kind(
        47,
        "ok",
        "import threading, time\nprint({i}, flush=True)\n"
        "for _ in range(3): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ),
    "raises": Kind(37, "runtime_error", "print({i}); 1 / 0"),
    "exits": Kind(41, "runtime_error", "import os; os.write(1, b'{i}\\n'); os._exit(254)"),
    "dies": Kind(43, "signal", "import os; os.write(1, b'{i}\\n'); os.abort()"),
    "broken": Kind(61, "compile_error", "def f(:", ""),
    "reads": Kind(3, "ok", "print(int(input()))"),
    "prints": Kind(1, "ok", "print({i})"),
}


def kind_of(number: int, tier: Isolation) -> str:
    """Which sort of run one is: mixed, and the same at every time."""
    for name, kind in KINDS.items():
        if number % kind.every == kind.every - 1 and (tier == "namespaces" or not kind.forks):
            return name
    return "prints"


def run_one(box: Sandbox, tier: Isolation, number: int) -> str:
    """Run it; what is wrong with the result, if anything."""
    name = kind_of(number, tier)
    kind = KINDS[name]
    limits = Limits(**{"memory_mb": 256, **kind.limits})
    result = box.run(kind.source.format(i=number), stdin=f"{number}\n".encode(), limits=limits)
    said = kind.says is None or result.stdout.decode() == kind.says.format(i=number)
    return "" if said and result.status == kind.status else f"{name} {number}: {result}"


class State:
    """All that a run could leave: processes, descriptors, mounts, entries, memory."""

    def __init__(self, folder: Path, descendants: Callable[[int], set[int]]) -> None:
        lanes = descendants(os.getpid())
        self.counts = {
            "processes": len(lanes),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "mounts": _mounts(os.getpid()),
            "their mounts": sum(map(_mounts, lanes)),
            "entries": len(list(folder.rglob("*"))),
            "shared memory": len(_ours("/dev/shm")),
        }
        self.lanes = {pid: _kib(pid) for pid in lanes}
        self.own_kib = _kib(os.getpid())

    def __repr__(self) -> str:
        return f"{self.counts} lanes {self.lanes} KiB, own {self.own_kib} KiB"


def _ours(folder: str) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith("rewardkit-")]


def _mounts(pid: int) -> int:
    """Without those that other tests make at the same time, in folders of that name."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return 0
    return sum("rewardkit-world-" not in line for line in lines)


def _kib(pid: int) -> int:
    """What it holds that is nobody else's, without what the kernel may take back."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))


def endure(
    tier: Isolation, runs: int, folder: Path, descendants: Callable[[int], set[int]]
) -> tuple[list[str], State, State]:
    """Mixed runs in two lanes from four threads; what was wrong, and the states around them."""
    try:
        box = Sandbox(tier, workers=2)
    except SandboxUnavailable as error:
        pytest.skip(f"{tier}: {error}")
    with box, ThreadPoolExecutor(4) as threads:
        wrong = [*threads.map(lambda n: run_one(box, tier, n), range(WARM))]
        before = State(folder, descendants)
        for start in range(WARM, WARM + runs, AT_ONCE):  # what waits for its turn is memory, too
            some = range(start, min(start + AT_ONCE, WARM + runs))
            wrong += [what for what in threads.map(lambda n: run_one(box, tier, n), some) if what]
        after = State(folder, descendants)
    return [what for what in wrong if what], before, after


@pytest.fixture
def folder(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place for temporary files."""
    monkeypatch.setenv("TMPDIR", str(open_folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return open_folder


def test_the_mix_has_every_kind_of_run() -> None:
    found = Counter(kind_of(number, "namespaces") for number in range(10_000))
    assert set(found) == set(KINDS)
    assert found["daemons"] >= 150
    assert found["loop"] >= 20


def test_three_hundred_mixed_runs_leave_nothing(
    tier: Isolation, folder: Path, descendants: Callable[[int], set[int]]
) -> None:
    wrong, before, after = endure(tier, 300, folder, descendants)
    assert not wrong
    assert after.counts == before.counts


@pytest.mark.slow
def test_ten_thousand_mixed_runs_leave_nothing(
    tier: Isolation, folder: Path, descendants: Callable[[int], set[int]]
) -> None:
    wrong, before, after = endure(tier, 10_000, folder, descendants)
    print(f"{tier}: before {before}\n{tier}: after {after}")
    assert not wrong
    assert after.counts == before.counts
    assert sum(after.lanes.values()) <= sum(before.lanes.values()) + 2 * 1024  # two lanes
    assert after.own_kib <= before.own_kib + 5 * 1024
