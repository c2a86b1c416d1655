"""Runs ``mypy --strict`` on an installed copy of the package and counts the files it checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folder: Path) -> int:
    """Type-check ``folder/site`` from the empty ``folder/empty``; the exit code of the check."""
    site = folder / "site"
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    result = subprocess.run(
        [*command, "-p", "rewardkit"],
        cwd=folder / "empty",
        env={**os.environ, "MYPYPATH": str(site.resolve())},
        capture_output=True,
        text=True,
    )
    print(result.stdout, result.stderr, sep="", end="")
    if result.returncode:
        return result.returncode
    have = sum(1 for _ in (site / "rewardkit").rglob("*.py"))
    found = re.search(r"no issues found in (\d+) source files?", result.stdout)
    checked = int(found[1]) if found else 0
    if checked < have:
        print(f"mypy checked {checked} files of {have}: the package mapping was not followed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
