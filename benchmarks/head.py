"""Memory and time of head and loss: this trainer, whole logits, TRL's chunked head, Liger's.

All compute the same clipped loss (dapo) of the same tensors, forward and backward, in float32. Each
memory figure is of a process of its own and beyond inputs, weights and their gradients; times are
taken in turns in one process, as ratios to the naive side of the same round.

    python benchmarks/head.py [--quick] [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from _memory import MIB, process_peak, tracked_peak
from _record import record, spread
from head_sides import SIDES, Case, Data

BASE = Case(sequences=8, length=1024, vocabulary=32000, width=128, train=False)
COMPARED = [
    BASE,
    Case(sequences=8, length=1024, vocabulary=32000, width=128, train=True),
    Case(sequences=8, length=256, vocabulary=32000, width=1024, train=False),
    Case(sequences=4, length=256, vocabulary=128256, width=512, train=False),
]
GROWN = {
    "8 times the tokens": Case(64, 1024, 32000, 128, train=False),
    "4 times the vocabulary": Case(8, 1024, 128000, 128, train=False),
}
PACKAGES = ["rewardkit", "torch", "trl", "liger-kernel"]


def step(side: str, data: Data) -> None:
    """Forward and backward."""
    data.clear()
    SIDES[side](data).backward()


def measure(side: str, case: Case, device: str) -> dict[str, Any]:
    """Peak memory of one side, in MiB; called in a process of its own."""
    step(side, Data.make(Case(2, 8, 64, 8, case.train), device))  # what is loaded at first use
    data = Data.make(case, device)

    def call() -> None:
        step(side, data)

    grown = process_peak(call) if device == "cpu" else None
    data.clear()
    tracked = tracked_peak(call, data.tensors, device)
    own = sum(g.nbytes for g in data.gradients()) / MIB
    found = {"tensors": round(tracked - own, 2)}
    return found if grown is None else {**found, "process": round(grown - own, 1)}


def in_child(side: str, case: Case, device: str) -> dict[str, Any]:
    """The same, from outside."""
    command = [sys.executable, __file__, "--measure", side, json.dumps(asdict(case))]
    done = subprocess.run(
        [*command, "--device", device], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def seconds(side: str, data: Data, device: str) -> float:
    """Of processor on a CPU, where others may be at work too; of the clock on a GPU."""
    if device == "cpu":
        start = time.process_time()
        step(side, data)
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    step(side, data)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def timed(case: Case, rounds: int, device: str) -> dict[str, Any]:
    """Seconds of every side, ratios to the naive one by round, and how far gradients differ."""
    data = Data.make(case, device)
    step("naive", data)
    wanted = [g.clone() for g in data.gradients()]
    found: dict[str, Any] = {}
    for side in SIDES:
        step(side, data)
        pairs = zip(data.gradients(), wanted, strict=True)
        found[side] = {"gradient off by": max(float((a - b).norm() / b.norm()) for a, b in pairs)}
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            taken[side].append(seconds(side, data, device))
    for side, values in taken.items():
        ratios = [a / b for a, b in zip(values, taken["naive"], strict=True)]
        found[side] |= {"seconds": spread(values), "over naive": spread(ratios)}
    return found


def compare(case: Case, rounds: int, device: str) -> dict[str, Any]:
    """All there is to say of one size."""
    found = timed(case, rounds, device)
    for side in SIDES:
        found[side]["peak MiB"] = in_child(side, case, device)
        print(f"{case.name}: {side}: {found[side]}", flush=True)
    return found


def growth(device: str) -> dict[str, Any]:
    """The peak of ours where there are more tokens, or a larger vocabulary."""
    found = {"at first": in_child("ours", BASE, device)}
    found |= {name: in_child("ours", case, device) for name, case in GROWN.items()}
    print(f"ours, growth: {found}", flush=True)
    return found


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="the first size only, two rounds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, case = options.measure
        print(json.dumps(measure(side, Case(**json.loads(case)), options.device)))
        return
    cases, rounds = (COMPARED[:1], 2) if options.quick else (COMPARED, 5)
    result: dict[str, Any] = {
        "unit": "MiB beyond inputs, weights and their gradients; ratios to naive by round",
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "sizes": {case.name: compare(case, rounds, options.device) for case in cases},
        "growth of ours": growth(options.device),
    }
    name = "head" if options.device == "cpu" else "head_cuda"
    command = " ".join(["python benchmarks/head.py", *sys.argv[1:]])
    print(f"written to {record(name, command, PACKAGES, result)}")


if __name__ == "__main__":
    main()
