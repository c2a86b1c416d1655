"""``rewardkit doctor``: what of rewardkit works on this machine, found out by trying."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from typing import Any

from rewardkit import __version__

__all__ = ["HELP", "add_arguments", "run"]

HELP = "try out where judged code can be isolated on this machine, and say what holds"

_TIERS = ("namespaces", "landlock")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether the findings are for a reader or for a program."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 0 if judged code can be isolated here, else 1."""
    found = _found()
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(_lines(found)))
    return 0 if found["isolation"] else 1


def _found() -> dict[str, Any]:
    from rewardkit.sandbox import usable_cpus

    tiers = {tier: _tried(tier) for tier in _TIERS}
    working = [tier for tier, outcome in tiers.items() if "report" in outcome]
    return {
        "rewardkit": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "usable_cpus": usable_cpus(),
        "isolation": working[0] if working else None,
        "tiers": tiers,
    }


def _tried(tier: Any) -> dict[str, Any]:
    """A sandbox of that tier, from its start to its first verdict."""
    from rewardkit.sandbox import Sandbox, SandboxUnavailable

    start = time.perf_counter()
    try:
        with Sandbox(tier, workers=1) as box:
            box.run("print(1)")
            seconds = time.perf_counter() - start
            return {"report": box.report().as_dict(), "seconds": round(seconds, 3)}
    except SandboxUnavailable as error:
        return {"refused": str(error)}


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"rewardkit {found['rewardkit']}, Python {found['python']} ({sys.executable})",
        f"{found['machine']}, {found['usable_cpus']} usable CPUs",
    ]
    for tier, outcome in found["tiers"].items():
        lines += ["", *_tier_lines(tier, outcome, chosen=tier == found["isolation"])]
    if found["isolation"] is None:
        lines += ["", "Judged code cannot be isolated here: nothing that needs it will run."]
    return lines


def _tier_lines(tier: str, outcome: dict[str, Any], *, chosen: bool) -> list[str]:
    if "refused" in outcome:
        return [f"isolation {tier}: does not work", *_indented(outcome["refused"])]
    report = outcome["report"]
    head = f"isolation {tier}: works{', and is chosen' if chosen else ''}"
    known = f"Landlock version {report['landlock']}" if report["landlock"] else "no Landlock"
    lines = [f"{head} (first verdict after {outcome['seconds']:.2f} s; {known})"]
    for promise, holds in report["holds"].items():
        by = report["means"].get(promise, "")
        lines.append(f"  {promise:<12} {'holds' if holds else 'DOES NOT HOLD':<6} {by}".rstrip())
    return [*lines, *_indented("\n".join(report["notes"]))]


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
