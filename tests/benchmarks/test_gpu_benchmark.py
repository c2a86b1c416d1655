"""The GPU benchmark goes all its ways at tiny sizes on a CPU, and its comparison compares."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

pytest.importorskip("trl")


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("gpu")
    sys.path.remove(str(BENCHMARKS))


def case_of(gpu: Any, part: str, side: str, kind: str) -> Any:
    """The first that is so, cut down."""
    found = next(c for c in gpu.cases() if (c.part, c.side, c.kind) == (part, side, kind))
    return gpu.shrunk(found)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_both_sides_do_the_same_work_and_other_work_is_told_apart(gpu: Any, tmp_path: Path) -> None:
    sides, files = {}, {}
    for side in ("ours", "TRL"):
        files[side] = tmp_path / f"{side}.pt"
        sides[side] = gpu.measure(case_of(gpu, "train", side, "train"), files[side])
        assert sides[side]["status"] == "done"
    off = gpu.difference(files["ours"], files["TRL"])
    both = gpu.compared(sides, off)
    assert off < 1e-4
    assert both["losses"][0] == pytest.approx(both["losses"][1], abs=1e-5)
    assert sides["ours"]["grad_norm"] == pytest.approx(sides["TRL"]["grad_norm"], rel=1e-4)
    other = replace(case_of(gpu, "train", "ours", "train"), completion=11)
    gpu.measure(other, tmp_path / "other.pt")
    assert gpu.difference(tmp_path / "other.pt", files["TRL"]) > 0.1


def test_a_whole_step_writes_and_learns(gpu: Any, tmp_path: Path) -> None:
    case = replace(case_of(gpu, "24 GiB", "ours", "whole"), four_bit=False)
    found = gpu.measure(case, tmp_path / "x.pt")
    assert found["status"] == "done"
    assert found["grad_norm"] > 0
    assert case.prompt < found["tokens_per_row"] <= case.prompt + case.completion


def test_what_fails_or_takes_too_long_is_a_result(gpu: Any, tmp_path: Path) -> None:
    case = case_of(gpu, "train", "ours", "train")
    assert gpu.in_child(case, tmp_path / "x.pt", 0.5) == {"status": "not run: no time left"}
    assert gpu.in_child(case, tmp_path / "x.pt", 1.0) == {"status": "stopped after 1 s"}
    failed = gpu.in_child(replace(case, shape="none such"), tmp_path / "x.pt", 120)
    assert failed == {"status": "failed with code 1: KeyError: 'none such'"}


def test_the_lengths_that_are_promised_are_all_there(gpu: Any) -> None:
    made = list(gpu.cases())
    assert len({gpu.name_of(case) for case in made}) == len(made)
    lengths = {(c.side, c.prompt + c.completion) for c in made if c.part == "train"}
    assert lengths == {(s, n) for s in ("ours", "TRL") for n in (2048, 8192, 20480)}
    capped = [c for c in made if c.part == "24 GiB"]
    assert {c.prompt + c.completion for c in capped} == {20480}
    assert {(c.kind, c.rows, c.cap_gib) for c in capped} == {("whole", 8, 24), ("train", 8, 24)}
    small = {(c.shape, c.cap_gib, c.four_bit) for c in made if c.part == "small cards"}
    assert small == {("Qwen2.5-1.5B", 5, True), ("Qwen2.5-14B", 15, True)}


@pytest.mark.slow
def test_the_command_runs_every_case_and_records_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = ["benchmarks/gpu.py", "--device", "cpu", "--tiny", "--limit-s", "3000"]
    subprocess.run(
        [sys.executable, *command, "--out", str(tmp_path)],
        cwd=BENCHMARKS.parent, env=environment, check=True,
    )  # fmt: skip
    found = json.loads((tmp_path / "gpu.json").read_text())["result"]
    statuses = {name: case["result"]["status"] for name, case in found["cases"].items()}
    for name, status in statuses.items():
        missing = "NF4" in name and status.startswith("not run: ModuleNotFoundError")
        assert status == "done" or missing, (name, status)
    assert len(found["compared"]) == 3
    assert all(both["gradients off by"] < 1e-4 for both in found["compared"].values())
