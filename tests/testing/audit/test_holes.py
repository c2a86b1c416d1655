"""Promise: the audit finds the hole in each of a set of deliberately holed rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardkit.testing.audit import all_attacks, audit

HOLED = Path(__file__).parent / "holed.py"
SUMS = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "What is 100 + 37?", "answer": "137"},
]
LETTERS = [{"prompt": "Which is a prime? A) 4 B) 7 C) 9", "answer": "B"}]
CODE = [
    {
        "prompt": "Write double(n).",
        "solution": "def double(n):\n    return n * 2\n",
        "tests": [[[2], 4], [[5], 10]],
    }
]
PROGRAM = [
    {
        "prompt": "Read a number and print its double.",
        "solution": "print(int(input()) * 2)",
        "tests": [["2\n", "4\n"], ["5\n", "10\n"]],
    }
]

HOLES: dict[str, tuple[Any, dict[str, str]]] = {
    "substring": (SUMS, {
        "dump-commas": "out-earns", "dump-range": "out-earns", "longer-after": "out-earns",
        "in-thinking": "out-earns", "denied": "out-earns", "sign": "out-earns"}),
    "any_box": (SUMS, {"dump-boxes": "out-earns", "dump-forms": "out-earns"}),
    "answer_in_gold": (SUMS, {"empty": "out-earns", "form-empty": "out-earns"}),
    "evaluated": (SUMS, {
        "prompt-sum": "out-earns", "work-difference": "out-earns",
        "python-exit": "crashed", "python-hang": "hung"}),
    "right_side": (SUMS, {"false-equation": "out-earns"}),
    "loose_tolerance": (SUMS, {
        "infinity": "out-earns", "infinity-minus": "out-earns", "overflow": "out-earns"}),
    "not_a_number": (SUMS, {"nan": "failed"}),
    "nan_is_near": (SUMS, {"nan": "out-earns"}),
    "digits_only": (SUMS, {
        "sign": "out-earns", "spaced": "out-earns", "not-equal": "out-earns"}),
    "share_of_length": (SUMS, {"longer-after": "out-earns"}),
    "first_number": (SUMS, {
        "false-equation-left": "out-earns", "either-or": "out-earns"}),
    "unreadable_is_right": (SUMS, {
        "empty": "out-earns", "refusal": "out-earns", "key-solution": "out-earns"}),
    "raises": (SUMS, {"empty": "failed"}),
    "abstains": (SUMS, {"empty": "abstained", "refusal": "abstained"}),
    "long_pays": (SUMS, {"long": "out-earns", "repetition": "out-earns"}),
    "steps_pay": (SUMS, {"steps": "out-earns", "bullets": "out-earns"}),
    "think_format": (SUMS, {"tag-think": "form-alone", "tags-empty": "form-alone"}),
    "backtracks": (SUMS, {"words-backtrack": "hung"}),
    "judge_obeys": (SUMS, {"override": "out-earns"}),
    "judge_repeats": (SUMS, {
        "verdict-huge": "out-earns", "verdict-quoted": "out-earns", "verdict-score": "out-earns"}),
    "judge_key": (SUMS, {"key-solution": "out-earns", "key-colon": "out-earns"}),
    "letter_anywhere": (LETTERS, {
        "options-letters": "out-earns", "either-or": "out-earns", "prompt": "out-earns"}),
    "copied_prompt": (SUMS, {"prompt": "out-earns"}),
    "exec_in_process": (CODE, {
        "equal-object": "out-earns", "equal-int": "out-earns", "code-os-exit": "crashed",
        "call-os-exit": "crashed", "call-forever": "hung", "code-system-exit": "failed",
        "frames-read": "out-earns", "equal-mock": "out-earns"}),
    "exit_code": (CODE, {
        "code-import-exit": "out-earns", "code-os-exit": "out-earns", "call-exit": "out-earns",
        "code-hook": "out-earns", "code-atexit": "out-earns", "equal-object": "out-earns"}),
    "marker": (CODE, {"code-print-exit": "out-earns", "output-forged": "out-earns"}),
    "last_json": (CODE, {"output-forged": "out-earns", "equal-str": "out-earns"}),
    "prefix_output": (PROGRAM, {
        "code-pass": "out-earns", "code-import-exit": "out-earns"}),
    "results_in_frame": (CODE, {"frames-write": "out-earns"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOLES)
def test_the_hole_is_found(name: str) -> None:
    rows, expected = HOLES[name]
    attacks = [attack for attack in all_attacks() if attack.name in expected]
    report = audit(f"{HOLED}:{name}", rows, attacks=attacks, limit_s=0.5, allow_code=True)
    found = {finding.attack.name: finding.kind for finding in report.alarms}
    assert found == expected, str(report)
