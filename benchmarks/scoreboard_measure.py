"""One grader under the attacks and, where it reads answers, on the labelled sets."""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import scoreboard_peers as peers
from math_pairs import Pair
from math_pairs import labelled as pairs_of

from rewardkit import Rubric, Sample
from rewardkit.testing.audit import audit
from rewardkit.testing.audit.earning import Earned, earn
from rewardkit.testing.audit.forms import Form
from rewardkit.testing.noise import wilson
from rewardkit.verifiers import CodeVerifier

HERE = Path(__file__).parent
SETS = ("math_equivalence", "math_heldout", "math_heldout2", "math_heldout3")
ROWS: list[dict[str, Any]] = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "A box holds 37 bags of 41 beads each. How many beads are there?", "answer": "1517"},
]
CODE_ROWS: list[dict[str, Any]] = [
    {
        "prompt": "Write sum_of_both(a, b), the sum of two integers.",
        "solution": "def sum_of_both(a, b):\n    return a + b",
        "entry": "sum_of_both",
        "tests": [[[1, 2], 3], [[20, 22], 42]],
    },
    {
        "prompt": "Write shout(text), the text in upper case with an exclamation mark.",
        "solution": "def shout(text):\n    return text.upper() + '!'",
        "entry": "shout",
        "tests": [[["ab"], "AB!"], [["x y"], "X Y!"]],
    },
]
FAMILIES = ("void", "forms", "dumps", "restated", "claims", "numbers", "unicode", "judges",
            "farming", "hostile")  # fmt: skip
LIMIT_S = 30.0
"""Seconds of processor time after which a grader hangs: more than the limits that any of them sets
itself for one answer, so that one which stops itself is not called hung."""


CODE_AS_ANSWER = (
    "open('{path}', 'w')",
    "[open('{path}', 'w')]",
    "\\pi if open('{path}', 'w') else 1",
    "__import__('pathlib').Path('{path}').touch()",
)
"""Answers that leave a file behind where a grader evaluates them as Python."""


def measure(name: str) -> dict[str, Any]:
    """Everything of one grader, in this process and workers of it."""
    code = name in peers.CODE
    subject: Any = f"{HERE / 'scoreboard_peers.py'}:{name}"
    if name == "ours_code":  # it has limits of its own, and a sandbox that no worker need hold
        subject = CodeVerifier(peers.TESTS, kind="call", entry=peers.ENTRY)
    report = audit(
        subject,
        CODE_ROWS if code else ROWS,
        families=("code",) if code else FAMILIES,
        templates=peers.TEMPLATES.get(name, ()),
        limit_s=LIMIT_S,
        allow_code=True,
    )
    tried = [finding for finding in report.findings if not finding.attack.policy]
    through = [finding for finding in tried if finding.kind]
    found = {
        "form": report.form.name,
        "right": report.right,
        "wrong": report.wrong,
        "attacks": len(tried),
        "through": len(through),
        "families": dict(Counter(x.attack.family for x in through)),
        "kinds": dict(Counter(str(x.kind) for x in through)),
        "names": {x.attack.name: x.kind for x in through},
    }
    if not code:
        found["runs the answer"] = runs_answers(subject, report.form)
    if not code and name not in peers.OWN_FORM:
        found["labelled"] = labelled(subject, peers.BEFORE.get(name, ""))
    return found


def runs_answers(subject: str, form: Form) -> bool:
    """Whether a grader executes Python that an answer holds: what is paid does not show it."""
    # Not of tempfile's making: an underscore in a path is an index to those who read LaTeX.
    path = Path(tempfile.gettempdir()) / f"scoreboard{secrets.token_hex(8)}"
    answers = [text.replace("{path}", str(path)) for text in CODE_AS_ANSWER]
    earn(_rubric(subject), [Sample(completion=form.fill(a), answer="42") for a in answers], LIMIT_S)
    ran = path.exists()
    path.unlink(missing_ok=True)
    return ran


def labelled(subject: str, before: str = "") -> dict[str, Any]:
    """What becomes of the rows of all sets; ``before`` stands in front of every completion.

    The same of those in a box is under ``boxed``: many graders read nothing else. The shares are of
    all rows, with those that got no verdict, and their 95% Wilson intervals.
    """
    pairs = [pair for name in SETS for pair in pairs_of(name)]
    samples = [Sample(completion=before + pair.completion, answer=pair.gold) for pair in pairs]
    judged = list(zip(pairs, earn(_rubric(subject), samples, LIMIT_S), strict=True))
    boxed = [(pair, earned) for pair, earned in judged if "\\boxed{" in pair.completion]
    return {**_counted(judged), "boxed": _counted(boxed)}


def _counted(judged: list[tuple[Pair, Earned]]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for pair, earned in judged:
        label = "right" if pair.right else "wrong"
        counts[label] += 1
        if earned.total is None:
            counts[f"{label}, {earned.trouble}"] += 1
        elif pair.right and earned.total < 0.5:
            counts["right refused"] += 1
        elif not pair.right and earned.total >= 0.5:
            counts["wrong accepted"] += 1
    shares = {
        what: [round(end, 4) for end in wilson(counts[what], counts[label])]
        for what, label in (("right refused", "right"), ("wrong accepted", "wrong"))
    }
    return {**counts, "interval": shares}


def _rubric(subject: str) -> Rubric:
    return Rubric.from_spec({"parts": {"r": {"function": subject}}}, allow_code=True)
