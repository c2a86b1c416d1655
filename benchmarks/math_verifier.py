"""The math verifier beside math-verify 0.9.0: speed, errors by kind, hostile inputs.

Both judge the same inputs in the same run; times are processor seconds, of our workers too. Every
part runs in a fork of its own, so that nothing one part cached helps the next.

    python benchmarks/math_verifier.py              # all parts, about half an hour
    python benchmarks/math_verifier.py --quick      # samples, about two minutes
    python benchmarks/math_verifier.py --part equivalence

Needs ``pip install "rewardkit[math,bench-math]"``. ``--part`` renews its part of the result only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import math_answers as answers
import math_hostile as hostile
import math_pairs as pairs
from _record import RESULTS, record, spread
from math_hostile_cases import cases
from math_peers import Grader, ours, ours_simplified, peer
from math_process import forked, tree_cpu
from math_table import table

APART = ("restated", "convention")
"""Kinds of the hand-labelled set that are told apart from its headline."""

GRADERS = {"ours": ours, "math-verify": peer}


def speed(todo: Sequence[pairs.Pair], slices: int = 8) -> dict[str, Any]:
    """Pairs per processor second in alternating slices; no grader sees a pair twice."""
    ours(r"\ln 8", r"\boxed{3\ln 2}")  # both warm: imports and our worker
    peer(r"\ln 8", r"\boxed{3\ln 2}")
    rates: dict[str, list[float]] = {name: [] for name in GRADERS}
    size = -(-len(todo) // slices)
    for start in range(0, len(todo), size):
        part = todo[start : start + size]
        for name, grader in GRADERS.items():
            before = tree_cpu()
            for pair in part:
                grader(pair.gold, pair.completion)
            rates[name].append(len(part) / (tree_cpu() - before))
    ratios = [a / b for a, b in zip(rates["ours"], rates["math-verify"], strict=True)]
    return {
        "n": len(todo),
        "pairs per processor second": {name: spread(r) for name, r in rates.items()},
        "ratio": spread(ratios),
    }


def errors(grader: Grader, todo: Sequence[pairs.Pair]) -> dict[str, Any]:
    """False negatives and positives by kind, the first wrong rows, and the times of one call."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong, cpu, wall = [], [], []
    for pair in todo:
        before, start = tree_cpu(), perf_counter()
        accepted = grader(pair.gold, pair.completion)
        wall.append(perf_counter() - start)
        cpu.append(tree_cpu() - before)
        counts[pair.kind, "right" if pair.right else "wrong"] += 1
        if accepted != pair.right:
            counts[pair.kind, "FN" if pair.right else "FP"] += 1
            wrong.append([pair.kind, "FN" if pair.right else "FP", pair.gold, pair.completion])
    kinds = dict.fromkeys(p.kind for p in todo)
    names = ("FN", "right", "FP", "wrong")
    return {
        "n": len(todo),
        **{n: sum(c for (kind, m), c in counts.items() if m == n) for n in names},
        "kinds": {k: {n: counts[k, n] for n in names} for k in kinds},
        "p99 processor ms": round(_quantile(cpu, 0.99) * 1000, 2),
        "p99 wall ms": round(_quantile(wall, 0.99) * 1000, 2),
        "worst wall ms": round(max(wall) * 1000, 1),
        "rows": wrong[:120],
    }


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def both(todo: Sequence[pairs.Pair]) -> dict[str, Any]:
    """The errors of both graders, each in a fork."""
    return {name: forked(errors, grader, todo) for name, grader in GRADERS.items()}


def sampled(todo: Sequence[pairs.Pair], quick: bool, step: int) -> list[pairs.Pair]:
    """Every ``step``-th pair in a quick run."""
    return list(todo[::step] if quick else todo)


def gsm8k(quick: bool) -> dict[str, Any]:
    """Speed on word problems."""
    right, wrong = (sampled(pairs.word_problems(r), quick, 8) for r in (True, False))
    return {
        "right": forked(speed, right),
        "wrong": forked(speed, wrong),
        "errors": both([*right, *wrong]),
    }


def math_type(quick: bool) -> dict[str, Any]:
    """Speed on solutions of the MATH type."""
    right, wrong = (sampled(pairs.problems(r), quick, 5) for r in (True, False))
    return {
        "right": forked(speed, right),
        "wrong": forked(speed, wrong),
        "errors": both([*right, *wrong]),
    }


def equivalence(quick: bool) -> dict[str, Any]:
    """The hand-labelled set; what is told apart is not in the headline."""
    todo = pairs.labelled("math_equivalence")
    return {
        "headline": both([p for p in todo if p.kind not in APART]),
        "convention": both([p for p in todo if p.kind == "convention"]),
    }


def heldout(quick: bool) -> dict[str, Any]:
    """The sets that were labelled apart, each of which the verifier met once before any mend."""
    return {name: both(pairs.labelled(name)) for name in pairs.HELD_OUT}


def restated(quick: bool) -> dict[str, Any]:
    """How many of the questions restated as answers are accepted, by answer form."""
    todo = [p for p in pairs.labelled("math_equivalence") if p.kind == "restated"]
    by = {"value": ours, "simplified": ours_simplified, "math-verify": peer}
    return {name: forked(_accepted, grader, todo) for name, grader in by.items()}


def _accepted(grader: Grader, todo: Sequence[pairs.Pair]) -> list[str]:
    return [p.completion for p in todo if grader(p.gold, p.completion)]


def rewrites(quick: bool) -> dict[str, Any]:
    """One value mechanically rewritten."""
    return both(sampled(answers.rewrites(), quick, 5))


def changed(quick: bool) -> dict[str, Any]:
    """One digit or one sign changed."""
    return both(sampled(answers.changed(), quick, 10))


def reflexive(quick: bool) -> dict[str, Any]:
    """An answer against itself."""
    return both(sampled(answers.reflexive(), quick, 4))


def hostiles(quick: bool) -> dict[str, Any]:
    """Hostile inputs: ours from threads, the peer in the main thread and a few outside it."""
    todo = cases()
    few = [c for c in todo if c.name in ("tower of nines", "power, 30 million", "two towers")]
    return {
        "ours": hostile.summary(hostile.ours_in_threads(todo)),
        "math-verify": hostile.summary(hostile.peer_in_forks(peer, todo[::10] if quick else todo)),
        "math-verify in a thread": hostile.summary(
            hostile.peer_in_threads(few[:1] if quick else few)
        ),
    }


_IMPORTS = {
    "ours": "from rewardkit.verifiers import MathVerifier; MathVerifier()",
    "math-verify": "from math_verify import parse, verify",
    "sympy alone": "import sympy",
    "pydantic alone": "from pydantic import BaseModel; type('M', (BaseModel,), {})",
    "ours, first verdict": (
        "from rewardkit import Sample; from rewardkit.verifiers import MathVerifier; "
        "MathVerifier().verify(Sample(completion=r'\\boxed{3\\ln 2}', answer=r'2\\ln 3'))"
    ),
    "math-verify, first verdict": (
        "from math_verify import parse, verify; "
        "verify(parse(r'\\boxed{2\\ln 3}'), parse(r'\\boxed{3\\ln 2}'))"
    ),
}


def imports(quick: bool) -> dict[str, Any]:
    """Processor seconds of a cold import, without those of the bare interpreter.

    Every module is compiled beforehand, as pip does when it installs a package: one that is
    installed in place, by ``pip install -e``, may else be compiled anew in every process.
    """
    seconds: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    with tempfile.TemporaryDirectory() as folder:
        compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        compiled["PYTHONPYCACHEPREFIX"] = folder
        for _ in range(4 if quick else 10):
            for name, statement in _IMPORTS.items():
                code = f"from time import process_time as t; b = t(); {statement}; print(t() - b)"
                out = subprocess.run(
                    [sys.executable, "-P", "-c", code],
                    capture_output=True, check=True, env=compiled,
                )  # fmt: skip
                seconds[name].append(float(out.stdout))
    seconds = {name: found[1:] for name, found in seconds.items()}  # the first round compiled
    return {
        **{name: spread(found) for name, found in seconds.items()},
        "ratio": _ratios(seconds, ""),
        "ratio with the first verdict": _ratios(seconds, ", first verdict"),
    }


def _ratios(seconds: dict[str, list[float]], what: str) -> dict[str, float]:
    both = zip(seconds[f"ours{what}"], seconds[f"math-verify{what}"], strict=True)
    return spread([a / b for a, b in both])


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "gsm8k": gsm8k,
    "math": math_type,
    "import": imports,
    "equivalence": equivalence,
    "heldout": heldout,
    "restated": restated,
    "rewrites": rewrites,
    "changed": changed,
    "reflexive": reflexive,
    "hostile": hostiles,
}


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="samples, printed only")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # math-verify logs every timeout
    for grader in GRADERS.values():
        grader("1", r"\boxed{1}")  # imported once, for all forks
    result = _earlier() if arguments.part and not arguments.quick else {}
    for part in arguments.part or PARTS:
        started = perf_counter()
        result[part] = PARTS[part](arguments.quick)
        print(f"{part}: measured in {perf_counter() - started:.0f} s", flush=True)
    print(table(result))
    if not arguments.quick:
        command = " ".join(["python", "benchmarks/math_verifier.py", *sys.argv[1:]])
        packages = ["rewardkit", "math-verify", "latex2sympy2_extended", "sympy"]
        print(f"written to {record('math', command, packages, result)}")


def _earlier() -> dict[str, Any]:
    path = RESULTS / "math.json"
    return dict(json.loads(path.read_text())["result"]) if path.exists() else {}


if __name__ == "__main__":
    main()
