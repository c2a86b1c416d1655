"""The sandbox beside what everybody uses: speed, cost, deadlines, false failures.

Variants take turns in slices of one run, and ratios are taken within each round, so that what else
the machine does falls on all of them. "Busy" means one process per CPU beside that does nothing but
use it: as in training, where the trainer does.

    python benchmarks/sandbox.py            # all parts, about twelve minutes
    python benchmarks/sandbox.py --quick    # samples, about a minute and a half, printed only
    python benchmarks/sandbox.py --part kill --part start
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _record import RESULTS, record, spread
from math_process import descendants
from sandbox_measure import alive, alternating, busy_processors, percentiles
from sandbox_rivals import TIERS, Part, rivals, tests_by_subprocess, tests_by_verifier
from sandbox_table import table

from rewardkit.sandbox import Isolation, Limits, Sandbox, SandboxUnavailable

WORKERS = 2


@contextlib.contextmanager
def sandbox(tier: Isolation, workers: int) -> Iterator[Sandbox | None]:
    """A sandbox of that tier; ``None`` where it does not work."""
    try:
        box = Sandbox(tier, workers=workers)
    except SandboxUnavailable:
        yield None
    else:
        with box:
            yield box


def speed(program: str, quick: bool) -> dict[str, Any]:
    """Executions of one small program, on a quiet machine and on a busy one."""
    seconds, rounds = (0.5, 2) if quick else (1.5, 7)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, is_busy in (("quiet", False), ("busy", True)):
            with busy_processors(is_busy), rivals(program, WORKERS, Path(folder)) as variants:
                found[name] = alternating(variants, "subprocess", WORKERS, seconds, rounds)
    return found


def calls(quick: bool) -> dict[str, Any]:
    """One candidate against twenty tests of a function."""
    seconds, rounds = (0.6, 2) if quick else (2.0, 5)
    found = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        variants = {"subprocess": tests_by_subprocess(Path(folder))}
        for tier in TIERS:
            box = stack.enter_context(sandbox(tier, WORKERS))
            if box is not None:
                variants[tier] = tests_by_verifier(box)
        for name, is_busy in (("quiet", False), ("busy", True)):
            with busy_processors(is_busy):
                found[name] = alternating(variants, "subprocess", WORKERS, seconds, rounds)
    return found


_START = """
import time
start = time.perf_counter()
from rewardkit import Sample
from rewardkit.sandbox import Sandbox
from rewardkit.verifiers import CodeVerifier
imported = time.perf_counter()
with Sandbox({tier!r}, workers=2) as box:
    made = time.perf_counter()
    verifier = CodeVerifier([[[1], 2]], entry="f", sandbox=box, extract="whole")
    assert verifier.verify(Sample(completion="def f(n): return n + 1")).credit == 1.0
    print(imported - start, made - imported, time.perf_counter() - made)
"""


def start(quick: bool) -> dict[str, Any]:
    """From nothing to the first verdict, in a fresh process."""
    found: dict[str, Any] = {}
    for tier in TIERS:
        times = []
        for _ in range(3 if quick else 15):
            code = _START.format(tier=tier)
            done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True)
            if done.returncode:
                break
            times.append([float(word) for word in done.stdout.split()])
        if times:
            parts = dict(
                zip(("import", "pool", "first verdict"), zip(*times, strict=True), strict=True)
            )
            found[tier] = {name: spread(values) for name, values in parts.items()}
            found[tier]["together"] = spread([sum(one) for one in times])
    return found


def memory(quick: bool) -> dict[str, Any]:
    """What a lane takes, pages that it shares counted by their share (MiB)."""
    found: dict[str, Any] = {}
    for tier in TIERS:
        for preload in ("stdlib", "numpy"):
            before = set(descendants(os.getpid()))
            with contextlib.suppress(SandboxUnavailable), Sandbox(tier, 4, preload=preload) as box:
                with ThreadPoolExecutor(4) as threads:
                    list(threads.map(lambda n, b=box: b.run(f"print({n})\n"), range(40)))
                    # All at once, so that every lane is there.
                    list(threads.map(lambda _, b=box: b.run(_SLOW), range(4)))
                family = set(descendants(os.getpid())) - before
                found[f"{tier}, {preload}"] = round(sum(map(_pss_mib, family)) / 4, 2)
    return found


_SLOW = "import time; time.sleep(0.3)"


def _pss_mib(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def overshoot(quick: bool) -> dict[str, Any]:
    """How much later than the limit a run comes back (ms)."""
    count = 40 if quick else 300
    kinds = {
        "clock": ("import time; time.sleep(60)", Limits(wall_s=0.1), "wall_limit"),
        "processor": ("while True: pass", Limits(cpu_s=0.1, wall_s=60), "cpu_limit"),
    }
    found: dict[str, Any] = {}
    for tier in TIERS:
        with sandbox(tier, 1) as box:
            for name, (source, limits, status) in kinds.items() if box is not None else ():
                late = []
                for _ in range(count):
                    begun = time.perf_counter()
                    result = box.run(source, limits=limits)  # type: ignore[union-attr]
                    assert result.status == status, result
                    took = time.perf_counter() - begun
                    if name == "clock":
                        over = took - 0.1
                    else:  # what it used too much, and how long the end took to be told
                        over = result.cpu_s - 0.1 + took - result.wall_s
                    late.append(1000 * over)
                found[f"{tier}, {name}"] = percentiles(late)
    return found


_CALLER = """
import sys, threading
from rewardkit.sandbox import Limits, Sandbox
box = Sandbox(sys.argv[1], workers=2)
source = "import os, time\\nfor _ in range(3):\\n    try: os.fork()\\n    except OSError: pass\\n"
for rest in ("while True: pass", "time.sleep(600)"):
    limits = Limits(cpu_s=600, wall_s=600)
    threading.Thread(target=box.run, args=(source + rest,), kwargs={"limits": limits}).start()
threading.Event().wait(0.5)
print("busy", flush=True)
"""


def kill(quick: bool) -> dict[str, Any]:
    """Seconds from the death of the caller by SIGKILL until nothing of it is alive."""
    found: dict[str, Any] = {}
    for tier in TIERS:
        times = []
        for _ in range(3 if quick else 20):
            command = [sys.executable, "-P", "-c", _CALLER, tier]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as caller:
                assert caller.stdout is not None
                said = caller.stdout.readline()
                family = set(descendants(caller.pid))
                begun = time.perf_counter()
                caller.kill()
            if not said:
                break
            while alive(family):
                time.sleep(0.001)
            times.append(time.perf_counter() - begun)
        if times:
            found[tier] = spread(times)
    return found


def false_failures(quick: bool) -> dict[str, Any]:
    """Honest jobs of 0.3 processor seconds, with twice that as their limit, in eight lanes."""
    jobs = 40 if quick else 400
    source = "import time\nwhile time.process_time() < 0.3: pass"
    found: dict[str, Any] = {}
    with busy_processors(True):
        for tier in TIERS:
            with sandbox(tier, 8) as box, ThreadPoolExecutor(8) as threads:
                if box is None:
                    continue
                for name, limits, count in (
                    ("processor limit", Limits(cpu_s=0.6), jobs),
                    ("clock limit", Limits(cpu_s=60, wall_s=0.6), 40),
                ):
                    runs = threads.map(
                        lambda _, b=box, li=limits: b.run(source, limits=li), range(count)
                    )
                    statuses = Counter(run.status for run in runs)
                    failed = count - statuses["ok"]
                    found[f"{tier}, {name}"] = {"failed": failed, "of": count, **statuses}
    return found


PARTS: dict[str, Part] = {
    "stdlib": lambda quick: speed("stdlib", quick),
    "numpy": lambda quick: speed("numpy", quick),
    "calls": calls,
    "start": start,
    "memory": memory,
    "overshoot": overshoot,
    "kill": kill,
    "false failures": false_failures,
}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="samples, printed only")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    arguments = parser.parse_args()
    result = _earlier() if arguments.part and not arguments.quick else {}
    for part in arguments.part or PARTS:
        begun = time.perf_counter()
        # What else the machine did: a "quiet" figure is one only where this is small.
        loads = result.setdefault("load average before each part", {})
        loads[part] = round(os.getloadavg()[0], 2)
        result[part] = PARTS[part](arguments.quick)
        print(f"{part}: measured in {time.perf_counter() - begun:.0f} s", flush=True)
    print(table(result))
    if not arguments.quick:
        command = " ".join(["python", "benchmarks/sandbox.py", *sys.argv[1:]])
        print(f"written to {record('sandbox', command, ['rewardkit', 'numpy'], result)}")


def _earlier() -> dict[str, Any]:
    path = RESULTS / "sandbox.json"
    return dict(json.loads(path.read_text())["result"]) if path.exists() else {}


if __name__ == "__main__":
    main()
