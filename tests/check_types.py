"""``mypy --strict`` on an installed copy of the package, and on all that stands around it.

mypy cannot follow the mapping of folders to packages in an editable install: from the repository it
silently checks one file. So the package is checked as installed, from an empty folder, and the files
are counted. Tests and scripts are checked folder by folder, since their modules share names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def mypy(folder: Path, *what: str, also: tuple[Path, ...] = ()) -> str:
    """The report of one run; exits with it if there are errors."""
    path = os.pathsep.join(map(str, (folder / "site", *also)))
    options = [
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *what],
        cwd=folder / "empty",
        env={**os.environ, "MYPYPATH": path},
        capture_output=True,
        text=True,
    )
    print(done.stdout, done.stderr, sep="", end="")
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def main(folder: Path) -> None:
    """Check the package in ``folder/site``, then everything else."""
    report = mypy(folder, "-p", "rewardkit")
    have = sum(1 for _ in (folder / "site" / "rewardkit").rglob("*.py"))
    found = re.search(r"no issues found in (\d+) source files?", report)
    if found is None or int(found[1]) < have:
        sys.exit(f"mypy did not check all of {have} files: the package mapping was not followed")
    for room in ("tests", "examples", "benchmarks"):
        for place in sorted({file.parent for file in (ROOT / room).rglob("*.py")}):
            # Tests share modules that stand beside them or in a folder above.
            near = tuple(p for p in (place, *place.parents) if ROOT in p.parents)
            mypy(folder, *map(str, sorted(place.glob("*.py"))), also=near)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
