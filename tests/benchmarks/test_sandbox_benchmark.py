"""The sandbox's benchmark runs, and its rivals print what they must."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_its_quick_parts_measure_what_they_say(root: Path) -> None:
    parts = [word for part in ("start", "memory", "kill") for word in ("--part", part)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "benchmarks/sandbox.py", "--quick", *parts],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "caller killed: " in done.stdout
    assert "first verdict" in done.stdout
