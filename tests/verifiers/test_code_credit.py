"""What passing some of the tests earns is exact; a checker decides where answers may differ; and
code that hangs in every test is not waited for in every test."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_code import SQUARES, Judge, statuses

from rewardkit import Sample
from rewardkit.errors import UsageError
from rewardkit.sample import Column
from rewardkit.sandbox import Limits, Sandbox
from rewardkit.verdict import Verdict
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code.credit import verdict_of
from rewardkit.verifiers.code.running import CaseResult
from rewardkit.verifiers.extraction import Extraction

ARGUMENTS = {"extract": "whole"}
FOUND = Extraction("x", (0, 1), "whole")
passes = st.lists(st.booleans(), min_size=1, max_size=30)


def results(passed: list[bool]) -> list[CaseResult]:
    return [CaseResult("passed") if ok else CaseResult("wrong", "no") for ok in passed]


@given(passes)
def test_the_fraction_is_exact_and_only_all_is_correct(passed: list[bool]) -> None:
    verdict = verdict_of(results(passed), FOUND, "fraction")
    assert verdict.credit == sum(passed) / len(passed)
    assert (verdict.status == "correct") == all(passed)
    assert verdict_of(results(passed), FOUND, "all").credit == (1.0 if all(passed) else 0.0)


@given(st.data(), passes)
def test_weighted_credit_is_the_share_of_weight(data: st.DataObject, passed: list[bool]) -> None:
    numbers = st.floats(1e-9, 1e9) | st.integers(1, 10).map(float)
    weights = tuple(data.draw(st.lists(numbers, min_size=len(passed), max_size=len(passed))))
    verdict = verdict_of(results(passed), FOUND, "fraction", weights)
    exact = sum(w for w, ok in zip(weights, passed, strict=True) if ok) / sum(weights)
    assert verdict.credit == pytest.approx(exact, rel=1e-12)
    assert (verdict.credit == 1.0) == all(passed)


def test_a_missing_weight_too_small_to_show_is_still_missing() -> None:
    verdict = verdict_of(results([True, False]), FOUND, "fraction", (1.0, 1e-300))
    assert verdict.status == "incorrect"
    assert 0.999 < (verdict.credit or 0) < 1.0


def test_weights_and_all_or_nothing_are_named_options(judge: Judge) -> None:
    code = "def f(n): return n * n if n < 3 else 0"
    assert judge(code).credit == 0.6
    assert judge(code, weights=[1, 1, 1, 5, 2]).credit == 0.3
    verdict = judge(code, credit="all")
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0)
    assert statuses(verdict) == ["passed", "passed", "passed", "wrong", "not_run"]
    assert judge("def f(n): return n * n", credit="all", weights=[1, 2, 3, 4, 5]).credit == 1.0


def test_weights_may_come_from_the_row(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", weights=Column("w"), sandbox=box)
    assert verifier.columns == {"w"}

    def verdict(weights: Any) -> Verdict:
        sample = Sample(completion="def f(n): return 0", columns={"w": weights})
        return verifier.verify(sample)

    assert verdict([6, 1, 1, 1, 1]).credit == 0.6
    for broken in (None, [1, 2], [1, 1, 1, 1, 0], [1, 1, 1, 1, "1"], [1, 1, 1, 1, float("nan")]):
        assert (verdict(broken).status, verdict(broken).fault) == ("unscorable", "dataset")


@pytest.mark.parametrize(
    "arguments",
    [
        {"weights": [1, 2]},
        {"weights": [1, 1, 1, 1, -1]},
        {"weights": "11111"},
        {"weights": [True] * 5},
        {"credit": "half"},
        {"first": 0},
        {"first": 2, "weights": [1] * 5},
        {"budget_s": 0},
        {"checker": "def chek(given, expected, got): return True"},
        {"checker": "def check(given"},
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CodeVerifier(SQUARES, entry="f", **arguments)


def test_only_the_first_tests_count(judge: Judge) -> None:
    verdict = judge("def f(n): return n * n if n < 2 else 0", first=4)
    assert (verdict.credit, len(statuses(verdict))) == (0.5, 4)
    assert judge("def f(n): return n", first=2).status == "correct"
    assert judge("def f(n): return n", first=99).credit == 0.4


HANGS = {
    "spins": ("cpu_limit", "while True: pass"),
    "sleeps": ("wall_limit", "__import__('time').sleep(1000)"),
}


@pytest.mark.parametrize("name", HANGS)
@pytest.mark.parametrize("kind", ["call", "stdin"])
def test_a_hang_in_every_test_costs_a_few_tests(judge: Judge, name: str, kind: str) -> None:
    status, misdeed = HANGS[name]
    limits = Limits(cpu_s=0.3, wall_s=30 if name == "spins" else 0.5)
    if kind == "call":
        code, tests = f"def f(n):\n    {misdeed}", [[[n], n] for n in range(100)]
    else:
        code, tests = misdeed, [[str(n), str(n)] for n in range(100)]
    start = time.perf_counter()
    verdict = judge(code, tests, kind=kind, limits=limits)
    assert statuses(verdict) == [status] * 3 + ["not_run"] * 97
    assert verdict.credit == 0.0
    assert time.perf_counter() - start < 60


def test_the_budget_is_for_tests_that_fail(judge: Judge) -> None:
    limits = Limits(cpu_s=1)
    busy = "import time\ndef f(n):\n    end = time.process_time() + 0.1\n" \
        "    while time.process_time() < end: pass\n    return n * n if n != {} else 0"  # fmt: skip
    tests = [[[n], n * n] for n in range(6)]
    slow = judge(busy.format(-1), tests, limits=limits, budget_s=0.15)
    assert slow.status == "correct"
    assert sum(slow.evidence.details["cpu_seconds"]) > 0.5
    once = judge(busy.format(2), tests, limits=limits, budget_s=0.15)
    assert statuses(once) == ["passed", "passed", "wrong", "passed", "passed", "passed"]
    spent = judge(busy.format(2), tests, limits=limits, budget_s=0.05)
    assert statuses(spent) == ["passed", "passed", "wrong"] + ["not_run"] * 3
    assert spent.credit == 2 / 6


ANY_SUM = """
def check(given, expected, got):
    a, b = got
    return a + b == given[0] and a > 0 and b > 0
"""


def test_a_checker_decides_where_several_answers_are_right(judge: Judge) -> None:
    tests = [[[n], [1, n - 1]] for n in range(2, 6)]
    assert judge("def f(n): return (n - 1, 1)", tests, checker=ANY_SUM).status == "correct"
    verdict = judge("def f(n): return [n - 2, 2]", tests, checker=ANY_SUM)
    assert statuses(verdict) == ["wrong", "passed", "passed", "passed"]
    assert "the checker refused [0, 2]" in verdict.reason
    words = (
        "def check(given, expected, got): return sorted(got.split()) == sorted(expected.split())"
    )
    program = "print(*reversed(input().split()))"
    right = judge(program, [["1 2", "1 2"], ["3 1", "3 1"]], kind="stdin", checker=words)
    assert right.status == "correct"


HOSTILE_RESULTS = {
    "nothing": "return None",
    "a lie": "return 'True'",
    "true": "return True",
    "too many": "return [1] * 10000",
    "nested": "x = []\n    for _ in range(90): x = [x]\n    return x",
    "colliding": "return {i * (2 ** 61 - 1): 0 for i in range(2000)}",
    "huge": "return [1 << 4000000, -(1 << 4000000)]",
    "no data": "return object()",
    "exits": "import os; os._exit(0)",
    "text for people": "return ['\\x1b[2J', 'PASSED']",
}


@pytest.mark.parametrize("name", HOSTILE_RESULTS)
def test_what_breaks_a_checker_is_wrong(judge: Judge, name: str) -> None:
    code = f"def f(n):\n    {HOSTILE_RESULTS[name]}"
    limits = Limits(cpu_s=1, wall_s=4)
    verdict = judge(code, [[[5], [1, 4]]], checker=ANY_SUM, limits=limits)
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0)
    assert verdict.reason.isprintable()


@pytest.mark.parametrize(
    "body",
    ["return 1", "return None", "return 'yes'", "return [True]", "print(True)", "1 / 0",
     "import sys; sys.exit(0)", "import os; os._exit(0)", "while True: pass", "return True if got else 0"],
)  # fmt: skip
def test_only_true_from_a_checker_passes(judge: Judge, body: str) -> None:
    checker = f"def check(given, expected, got):\n    {body}"
    limits = Limits(cpu_s=0.5, wall_s=2)
    verdict = judge("def f(n): return []", [[[5], []]], checker=checker, limits=limits)
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0)


def test_a_checker_that_does_not_load_is_the_datasets_fault(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", checker=Column("c"), sandbox=box)
    for checker in ("1 / 0\ndef check(g, e, got): return True", "def check(", None, 5, "x = 1"):
        sample = Sample(completion="def f(n): return n * n", columns={"c": checker})
        verdict = verifier.verify(sample)
        assert (verdict.status, verdict.fault) == ("unscorable", "dataset")


def test_code_that_ends_its_own_process_pays_for_it_alone(judge: Judge) -> None:
    """The process that loaded the code is the code's to end: it costs tests, and comes to an end."""
    code = "import os, threading, time\nmain = os.getpid()\ndef f(n):\n    if n == 2:\n        try: os.kill({}, 9)\n        except OSError: pass\n    return n * n"  # fmt: skip
    for victim in ("os.getppid()", "main", "-1", "1"):
        verdict = judge(code.format(victim))
        assert verdict.status in ("correct", "incorrect")
        assert (verdict.credit or 0) >= 0.6, verdict.evidence.details
    start = time.perf_counter()
    dies = "import os, threading\nthreading.Timer(0.05, os._exit, (0,)).start()\n"
    slow = dies + "def f(n):\n    import time; time.sleep(0.02)\n    return n * n"
    tests = [[[n], n * n] for n in range(12)]
    assert judge(slow, tests).status in ("correct", "incorrect")
    assert time.perf_counter() - start < 60
