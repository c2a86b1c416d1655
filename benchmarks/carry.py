"""Does the demo really learn? Three seeds, both backends, and the control with random rewards.

python benchmarks/carry.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _record import record

DEMO = Path(__file__).parent.parent / "examples" / "carry" / "demo.py"


def run(seed: int, *options: str) -> dict[str, Any]:
    """One run of the demo in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        command = [sys.executable, str(DEMO), "--seed", str(seed), "--json", str(out), *options]
        command += ["--output-dir", str(Path(folder) / "run")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        measured: dict[str, Any] = json.loads(out.read_text())
        return measured


def main() -> None:
    """Run all, print and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    runs = {f"built-in, seed {seed}": run(seed) for seed in seeds}
    runs["TRL, seed 0"] = run(0, "--backend", "trl")
    runs["control: random rewards, seed 0"] = run(0, "--control")
    for name, measured in runs.items():
        shares = f"greedy {measured['greedy']}, sampled {measured['sampled']}"
        print(f"{name}: {shares}, {measured['seconds']}")
    packages = ["rewardkit", "torch", "transformers", "trl"]
    path = record("carry", "python benchmarks/carry.py", packages, runs)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
