"""The verifier around the judging: where tests and sandbox come from, and what becomes of it when it
is copied, shared, batched or written down."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from judged_code import SQUARES

from rewardkit import Rubric, Sample
from rewardkit.sample import Column
from rewardkit.sandbox import (
    CallResult,
    Calls,
    ExecutionResult,
    Job,
    Limits,
    Sandbox,
    SandboxUnavailable,
)
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code import Close
from rewardkit.verifiers.code import verifier as verifier_module


def test_tests_and_entry_may_come_from_the_row(box: Sandbox) -> None:
    verifier = CodeVerifier(Column("tests"), entry=Column("fn"), sandbox=box)
    code = "def g(n): return -n"
    for tests in ([[[1], -1], [[2], -2]], "[[[1], -1], [[2], -2]]", (((1,), -1),)):
        sample = Sample(completion=code, columns={"tests": tests, "fn": "g"})
        assert verifier.verify(sample).status == "correct"
    wrong = Sample(completion=code, columns={"tests": [[[1], 1]], "fn": "g"})
    assert verifier.verify(wrong).credit == 0.0


def test_batches_threads_and_async_code_agree(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", sandbox=box)
    codes = [f"def f(n): return n * n if n < {k} else None" for k in (5, 0, 2, 5, 3)]
    samples = [Sample(completion=code) for code in codes]
    expected = [1.0, 0.0, 0.4, 1.0, 0.6]
    assert [v.credit for v in verifier.verify_many(samples)] == expected
    assert [v.credit for v in asyncio.run(verifier.averify_many(samples))] == expected
    with ThreadPoolExecutor(4) as pool:
        assert [v.credit for v in pool.map(verifier.verify, samples)] == expected


class Failing(Sandbox):
    """A sandbox that never gets a program started."""

    workers = 2

    def __init__(self) -> None: ...

    def __repr__(self) -> str:
        return "Failing()"

    def calls(self, *args: Any, **named: Any) -> Calls:
        return Calls(CallResult("infrastructure_error", reason="no processes left"), ())

    def map(self, jobs: Iterable[Job]) -> list[ExecutionResult]:
        return [FAILED for _ in jobs]

    def pair(self, first: Job, second: Job) -> tuple[ExecutionResult, ExecutionResult]:
        return FAILED, FAILED

    def close(self) -> None: ...


FAILED = ExecutionResult("infrastructure_error", reason="no processes left")


@pytest.mark.parametrize(
    ("tests", "kind", "entry"),
    [([[[2], 4]], "call", "f"), ([["2", "4"]], "stdin", None), ("assert f(2) == 4", "assert", "f")],
)
def test_a_sandbox_that_cannot_start_is_no_verdict_on_the_code(
    tests: Any, kind: Any, entry: str | None
) -> None:
    verifier = CodeVerifier(tests, kind=kind, entry=entry, sandbox=Failing())
    verdict = verifier.verify(Sample(completion="def f(n): return 4"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")
    assert "no processes left" in verdict.reason


def test_a_checker_that_cannot_start_is_no_verdict_either(box: Sandbox) -> None:
    class Once(Failing):
        def calls(self, driver: str, source: str, *args: Any, **named: Any) -> Calls:
            if "checks" in source:
                return super().calls()
            return box.calls(driver, source, *args, **named)

    checker = "def check(given, expected, got): return 'checks'"
    verifier = CodeVerifier([[[2], 4]], entry="f", checker=checker, sandbox=Once())
    verdict = verifier.verify(Sample(completion="def f(n): return 4"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")


def test_where_no_sandbox_works_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*args: object, **kwargs: object) -> Sandbox:
        raise SandboxUnavailable("no namespaces here")

    monkeypatch.setattr(verifier_module, "shared_sandbox", unavailable)
    verifier = CodeVerifier(SQUARES, entry="f")
    with pytest.raises(SandboxUnavailable, match="no namespaces here"):
        verifier.verify(Sample(completion="def f(n): return n * n"))


def test_verifiers_without_a_sandbox_share_the_one_of_the_process(
    monkeypatch: pytest.MonkeyPatch, box: Sandbox
) -> None:
    asked: list[Sandbox] = []

    def shared() -> Sandbox:
        asked.append(box)
        return box

    monkeypatch.setattr(verifier_module, "shared_sandbox", shared)
    for _ in range(2):
        verdict = CodeVerifier(SQUARES, entry="f").verify(Sample(completion="f = lambda n: n * n"))
        assert verdict.status == "correct"
    assert asked == [box, box]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_it_judges_in_a_forked_child(box: Sandbox) -> None:
    # In a process of its own: this one has threads.
    program = """
import os, sys
from rewardkit import Sample
from rewardkit.verifiers import CodeVerifier
judge = CodeVerifier([[[2], 4]], entry="f")
def right():
    return judge.verify(Sample(completion="def f(n): return n*n")).status == "correct"
assert right()
pid = os.fork()
if pid == 0:
    os._exit(0 if right() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or not right())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=120)
    assert done.returncode == 0


def test_a_verifier_pickles_copies_and_compares_without_its_sandbox(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", sandbox=box)
    plain = CodeVerifier(SQUARES, entry="f")
    for other in (pickle.loads(pickle.dumps(verifier)), copy.deepcopy(verifier), plain):
        assert other == verifier
        assert repr(other) == repr(verifier)
    assert "Sandbox" not in repr(verifier)
    assert verifier != CodeVerifier(SQUARES, entry="g")
    again = pickle.loads(pickle.dumps(verifier))
    assert again.verify(Sample(completion="def f(n): return n * n")).status == "correct"


def test_a_rubric_of_it_survives_its_spec_under_the_registered_name(box: Sandbox) -> None:
    verifier = CodeVerifier(
        [[[(1, 2)], {"a": 1}]], entry="f", compare=Close(rel=1e-3), extract="python",
        limits=Limits(cpu_s=1), stop_at_first_failure=True, sandbox=box,
    )  # fmt: skip
    rows = CodeVerifier(Column("tests"), kind="stdin", compare="tokens")
    rubric = Rubric(code=verifier.reward(2.0, -1.0, partial=True), program=rows.reward(1.0))
    spec = rubric.to_spec()
    assert spec["parts"]["code"]["verifier"] == "code"
    assert "sandbox" not in spec["parts"]["code"]["args"]
    again = Rubric.from_spec(spec)
    assert again.to_spec() == spec
    assert again.parts["code"].verifier == verifier  # type: ignore[attr-defined]
    assert again.parts["program"].verifier == rows  # type: ignore[attr-defined]
    assert again.columns == {"tests"}


def test_partial_credit_becomes_partial_reward(box: Sandbox) -> None:
    reward = CodeVerifier(SQUARES, entry="f", sandbox=box).reward(1.0, 0.0, partial=True)
    score = Rubric(code=reward).score(completion="def f(n): return 4")
    assert score.total == 0.2
