"""What this trainer and TRL take on one GPU: peak memory and seconds of a step, side by side.

Models have the shapes of known ones and random weights, so nothing is downloaded. Every measurement
is a process of its own: peaks are clean, and where one side runs out of memory that is its result.

- ``train``: one step on the same two completions of the same 8B model by both, at 2K, 8K and 20K
  tokens; losses and gradients are compared, since only equal work compares.
- ``24 GiB``: the whole 8B step capped there: rollouts and learning at 20,480 tokens of context (the
  last of them written, the others a prompt, as writing all would take longer than is given here),
  and learning from eight different completions of 20,480 tokens.
- ``small cards``: whole steps of 1.5B in 5 GiB and of 14B in 15 GiB, weights in NF4.

    python benchmarks/gpu.py [--part train] [--limit-s 540] [--device cpu --tiny]

It needs torch, transformers and peft; for the other side trl (and what it imports: accelerate,
datasets), for NF4 bitsandbytes. What is not there is a result too. ``--device cpu --tiny`` goes all
the ways at sizes that mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from _record import RESULTS, record
from gpu_sides import LEAN, Case, measure

from rewardkit.trainers import GRPOConfig

PARTS = ("train", "24 GiB", "small cards")
LENGTHS = (2048, 8192, 20480)
WRITTEN = 256
PACKAGES = ["rewardkit", "torch", "transformers", "peft", "trl", "bitsandbytes"]
ALLOCATOR = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
"""Of both sides: a peak should be what is needed, not how it fell into pieces."""
CHILD_S = 240
"""Seconds that one measurement may take at most."""


def cases() -> Iterator[Case]:
    """All measurements, the most telling ones of each part first."""
    big, prompt = "Llama-3.1-8B", 256
    for length in LENGTHS:
        for side in ("ours", "TRL"):
            yield Case("train", side, "train", big, prompt, length - prompt, rows=2)
    longest = LENGTHS[-1]
    capped: dict[str, Any] = {"four_bit": True, "cap_gib": 24.0, "steps": 1}
    yield Case("24 GiB", "ours", "whole", big, longest - WRITTEN, WRITTEN, rows=8, **capped)
    yield Case("24 GiB", "ours", "train", big, prompt, longest - prompt, rows=8, **capped)
    for shape, cap in (("Qwen2.5-1.5B", 5.0), ("Qwen2.5-14B", 15.0)):
        yield Case(
            "small cards", "ours", "whole", shape, prompt, WRITTEN, rows=8, four_bit=True,
            cap_gib=cap, steps=1,
        )  # fmt: skip


def shrunk(case: Case) -> Case:
    """The same way at sizes for a test."""
    completion = max(case.completion // 512, 4)
    prompt = max(case.prompt // 512, 4)
    return replace(case, prompt=prompt, completion=completion, device="cpu", tiny=True)


def name_of(case: Case) -> str:
    """What it is called in the results."""
    rows = f"{case.rows} x {case.prompt + case.completion} tokens"
    return f"{case.kind}, {case.shape}{' NF4' if case.four_bit else ''}, {rows}, {case.side}"


def in_child(case: Case, gradients: Path, limit_s: float) -> dict[str, Any]:
    """One measurement, from outside: whatever becomes of it is a result."""
    if limit_s < 1:
        return {"status": "not run: no time left"}
    # PYTHONSAFEPATH would hide this folder, from which the sides are imported.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment = {**own, **ALLOCATOR}
    command = [sys.executable, __file__, "--child", json.dumps(asdict(case)), str(gradients)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"status": f"stopped after {limit_s:.0f} s"}
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines() or ["no message"]
        missing = "ModuleNotFoundError" in said[-1]
        status = "not run" if missing else f"failed with code {done.returncode}"
        return {"status": f"{status}: {said[-1][:300]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def difference(ours: Path, theirs: Path) -> float | None:
    """Norm of the difference of the gradients of all adapters, over the norm of one of them."""
    if not (ours.exists() and theirs.exists()):
        return None
    a, b = (torch.load(path, weights_only=True) for path in (ours, theirs))
    return float((a - b).norm() / b.norm())


def compared(sides: Mapping[str, Mapping[str, Any]], off: float | None) -> dict[str, Any]:
    """Both sides of one size: is it the same work, and what does it take?"""
    found: dict[str, Any] = {"gradients off by": off}
    if all(side.get("status") == "done" for side in sides.values()):
        ours, theirs = sides["ours"], sides["TRL"]
        found["losses"] = [ours["loss"], theirs["loss"]]
        found["TRL over ours"] = {
            key: round(theirs[key] / ours[key], 3)
            for key in ("seconds", "peak_allocated_gib", "peak_reserved_gib")
            if key in ours
        }
    return found


def run(options: argparse.Namespace) -> None:
    """All parts that were asked for, recorded after each measurement."""
    began = time.monotonic()
    lean = [key for key in LEAN if key in GRPOConfig.model_fields]
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu, sizes cut down"
    result: dict[str, Any] = {
        "device": device,
        "memory settings": lean,
        "allocator": ALLOCATOR,
        "cases": {},
        "compared": {},
    }
    parts = options.part or PARTS
    with tempfile.TemporaryDirectory() as scratch:
        for number, case in enumerate(c for c in cases() if c.part in parts):
            case = shrunk(case) if options.tiny else replace(case, device=options.device)
            left = options.limit_s - (time.monotonic() - began)
            files = [Path(scratch) / f"{k}.pt" for k in (number, number - 1)]
            found = in_child(case, files[0], min(left, CHILD_S))
            result["cases"][name_of(case)] = asdict(case) | {"result": found}
            print(f"{name_of(case)}: {json.dumps(found)}", flush=True)
            if case.part == "train" and case.side == "TRL":
                ours = result["cases"][name_of(replace(case, side="ours"))]["result"]
                both = compared({"ours": ours, "TRL": found}, difference(files[1], files[0]))
                result["compared"][name_of(case).rpartition(", ")[0]] = both
                print(f"  compared: {json.dumps(both)}", flush=True)
            result["seconds"] = round(time.monotonic() - began, 1)
            command = " ".join(["python benchmarks/gpu.py", *sys.argv[1:]])
            path = record("gpu", command, PACKAGES, result, options.out)
    print(f"written to {path}")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="this part only")
    parser.add_argument("--limit-s", type=float, default=540, help="seconds for all of it")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="dry run at tiny sizes, on the CPU")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of gpu.json")
    parser.add_argument("--child", nargs=2, metavar=("CASE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        case, path = options.child
        print(json.dumps(measure(Case(**json.loads(case)), Path(path))))
        return
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --tiny is a dry run")
    if (options.device == "cpu") != options.tiny:
        parser.error("--device cpu and --tiny go together: on a CPU the sizes would take days")
    run(options)


if __name__ == "__main__":
    main()
