"""The attacks of ``rewardkit audit`` and the equivalence sets against our verifiers and peers'.

    python benchmarks/scoreboard.py --install     # once: the peers, into .venv/peers
    python benchmarks/scoreboard.py               # all; ``--peers trl_accuracy`` measures one anew

Every grader is called as its project calls it, with the same completions: attacks on a few rows in
the form that the grader reads, and completions that are labelled right and wrong. The labelled sets
are this project's own (``data/math_*.jsonl``), so they know what we thought of; the attacks are
ours too. Policy attacks are left out. A grader that cannot be run is listed as such.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "A box holds 37 bags of 41 beads each. How many beads are there?", "answer": "1517"},
]
SETS = ("math_equivalence", "math_heldout", "math_heldout2")
LIMIT_S = 5.0
FAMILIES = ("void", "forms", "dumps", "restated", "claims", "numbers", "unicode", "judges",
            "farming", "hostile")  # fmt: skip


def measure(name: str) -> dict[str, Any]:
    """Everything of one grader, in this process and workers of it."""
    from rewardkit import Rubric, Sample
    from rewardkit.testing.audit import audit
    from rewardkit.testing.audit.earning import earn

    subject = f"{HERE / 'scoreboard_peers.py'}:{name}"
    report = audit(subject, ROWS, families=FAMILIES, limit_s=LIMIT_S, allow_code=True)
    tried = [finding for finding in report.findings if not finding.attack.policy]
    through = [finding for finding in tried if finding.kind]
    spec = {"parts": {"r": {"function": subject}}}
    rubric = Rubric.from_spec(spec, allow_code=True)
    counts: Counter[str] = Counter()
    for row in _labelled():
        sample = Sample(completion=row["completion"], answer=row["gold"])
        found = earn(rubric, [sample], LIMIT_S)[0]
        if found.total is None:
            counts["no verdict"] += 1
        elif row["expected"]:
            counts["right"] += 1
            counts["right refused"] += found.total < 0.5
        else:
            counts["wrong"] += 1
            counts["wrong accepted"] += found.total >= 0.5
    families = {f: sum(x.attack.family == f for x in through) for f in FAMILIES}
    return {
        "form": report.form.name,
        "right": report.right,
        "wrong": report.wrong,
        "attacks": len(tried),
        "through": len(through),
        "families": families,
        "kinds": dict(Counter(str(x.kind) for x in through)),
        "names": {x.attack.name: x.kind for x in through},
        "equivalence": dict(counts),
    }


def _labelled() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in SETS:
        text = (HERE / "data" / f"{name}.jsonl").read_text(encoding="utf-8")
        rows += [json.loads(line) for line in text.splitlines() if line.strip()]
    return [row for row in rows if isinstance(row["expected"], bool)]


def install() -> None:
    """The peers, pinned, each into a folder of its own, without their dependencies."""
    from scoreboard_peers import FOLDER, REQUIREMENTS

    for name, requirements in REQUIREMENTS.items():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        subprocess.run([*command, "--target", str(FOLDER / name), *requirements], check=True)


def in_a_process(name: str) -> dict[str, Any]:
    """The figures of one grader, or why there are none."""
    command = [sys.executable, str(HERE / "scoreboard.py"), "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        return {"cannot be run": done.stderr.strip().splitlines()[-1:]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Install, measure one, or measure all and write the table."""
    sys.path.insert(0, str(HERE))
    from scoreboard_peers import PEERS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--one", choices=PEERS)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    options = parser.parse_args(argv)
    if options.install:
        return install()
    if options.one:
        print(json.dumps(measure(options.one)))
        return None
    found = {}
    for name in options.peers:
        found[name] = in_a_process(name)
        print(_line(name, found[name]), flush=True)
    keep(found)
    return None


def keep(found: dict[str, Any]) -> None:
    """Write what was measured, beside what earlier runs measured of other graders."""
    from _record import RESULTS, record
    from scoreboard_peers import REQUIREMENTS

    path = RESULTS / "scoreboard.json"
    before = json.loads(path.read_text())["result"]["graders"] if path.exists() else {}
    pins = [pin for pins in REQUIREMENTS.values() for pin in pins]
    result = {"rows": ROWS, "sets": SETS, "peers": pins, "graders": {**before, **found}}
    record("scoreboard", "python benchmarks/scoreboard.py", ("rewardkit", "trl"), result)


def _line(name: str, found: dict[str, Any]) -> str:
    if "through" not in found:
        return f"{name:<24} {found}"
    counts = found["equivalence"]
    return (
        f"{name:<24} attacks through {found['through']:>3} of {found['attacks']}  "
        f"right refused {counts.get('right refused', 0)} of {counts.get('right', 0)}  "
        f"wrong accepted {counts.get('wrong accepted', 0)} of {counts.get('wrong', 0)}  "
        f"no verdict {counts.get('no verdict', 0)}  {found['kinds']}"
    )


if __name__ == "__main__":
    main()
