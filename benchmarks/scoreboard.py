"""The attacks of ``rewardkit audit`` and the labelled sets against our verifiers and peers'.

    python benchmarks/scoreboard.py --install     # once: the peers, into .venv/peers
    python benchmarks/scoreboard.py               # all; ``--peers trl_accuracy`` measures one anew

Every grader is called as its project calls it, with the same completions: attacks on a few rows in
the form that the grader reads, and completions that are labelled right and wrong. The labelled sets
are this project's own (``data/math_*.jsonl``), so they know what we thought of; the attacks are
ours too. Policy attacks are left out. Graders of code get the attacks on code alone.

A grader that cannot be run, or does not come to an end, is listed as such. The figures go to
``results/scoreboard.json``, and the tables of ``docs/audit.md`` are written anew from there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "audit.md"
MOST_S = 3600.0
"""Seconds by the clock that one grader may take for everything."""


def install() -> None:
    """The peers, pinned, each into a folder of its own, without their dependencies."""
    from scoreboard_peers import FOLDER, REQUIREMENTS

    failed = []
    for name, requirements in REQUIREMENTS.items():
        # What an earlier pin left behind would still be found.
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        done = subprocess.run([*command, "--target", str(FOLDER / name), *requirements])
        print(f"{name:<16} {'failed' if done.returncode else ' '.join(requirements)}", flush=True)
        failed += [name] if done.returncode else []
    if failed:
        sys.exit(f"not installed, and so listed as not run: {', '.join(failed)}")


def in_a_process(name: str, most_s: float = MOST_S) -> dict[str, Any]:
    """The figures of one grader, or why there are none."""
    command = [sys.executable, str(HERE / "scoreboard.py"), "--one", name]
    # A session of its own, so that what the grader started ends with it.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=most_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return {"cannot be run": f"no figures after {most_s:g} s"}
    if process.returncode:
        return {"cannot be run": "; ".join(err.strip().splitlines()[-1:]) or "it died"}
    try:
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        return {"cannot be run": f"it printed no figures: {out[-200:]!r}"}
    return found


def keep(found: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write what was measured, beside what earlier runs measured of other graders.

    Returns all of it, in the order of :data:`~scoreboard_peers.PEERS`.
    """
    from _record import record
    from scoreboard_measure import CODE_ROWS, LIMIT_S, ROWS, SETS
    from scoreboard_peers import PEERS, PINS

    path = folder / "scoreboard.json"
    before = json.loads(path.read_text())["result"]["graders"] if path.exists() else {}
    graders = {name: {**before, **found}[name] for name in PEERS if name in {**before, **found}}
    result = {
        "rows": ROWS,
        "code rows": CODE_ROWS,
        "sets": SETS,
        "limit_s": LIMIT_S,
        "peers": PINS,
        "graders": graders,
    }
    record("scoreboard", "python benchmarks/scoreboard.py", ("rewardkit",), result, folder)
    return graders


def main(argv: Sequence[str] | None = None) -> None:
    """Install, measure one, or measure all and write the tables."""
    sys.path.insert(0, str(HERE))
    from _record import RESULTS
    from scoreboard_measure import measure
    from scoreboard_peers import PEERS
    from scoreboard_table import line, renewed

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--one", choices=PEERS, help="print the figures of one grader, as JSON")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args(argv)
    if options.install:
        return install()
    if options.one:
        print(json.dumps(measure(options.one)))
        return None
    graders: dict[str, Any] = {}
    for name in options.peers:
        found = in_a_process(name)
        print(line(name, found), flush=True)
        graders = keep({name: found}, options.results)
    options.docs.write_text(renewed(options.docs.read_text("utf-8"), graders), "utf-8")
    return None


if __name__ == "__main__":
    main()
