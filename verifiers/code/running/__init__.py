"""Running tests in the sandbox, and judging outside of it what came back.

Expected values stay on this side. Of what comes back nothing is believed but that it is data.

- ``results``: what became of a test.
- ``rounds``: how many tests are run before it is asked whether to go on.
- ``calls``, ``programs``, ``scripts``: one file per kind of tests.
- ``checker``: a judgement by code of the user's own.
"""

from __future__ import annotations

from rewardkit.verifiers.code.running.calls import run_calls
from rewardkit.verifiers.code.running.programs import run_programs
from rewardkit.verifiers.code.running.results import CaseResult, CaseStatus, Job
from rewardkit.verifiers.code.running.scripts import run_script

__all__ = ["CaseResult", "CaseStatus", "Job", "run_suite"]


def run_suite(job: Job) -> list[CaseResult]:
    """One result per test, in their order.

    Raises:
        CasesError: tests that cannot be run, which shows only now.
        SandboxError: the sandbox was closed.
    """
    run = {"call": run_calls, "stdin": run_programs, "assert": run_script}[job.suite.kind]
    return run(job)
