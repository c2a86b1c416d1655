"""The benchmark of the train step runs, and compares only what is equal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_both_sides_come_to_the_same_gradients(root: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "benchmarks/train_step.py", "--quick"],
        cwd=root, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "TRL's time over ours" in done.stdout
