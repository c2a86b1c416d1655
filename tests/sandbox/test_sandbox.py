"""Programs, honest, failing and hostile: each comes to the status that is its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewardkit.sandbox import Isolation, Limits, Sandbox

TIERS: tuple[Isolation, ...] = ("namespaces", "landlock")


@dataclass(frozen=True)
class Case:
    """A program and what must come of it; see ``programs.yaml``."""

    name: str
    source: str
    status: str = "ok"
    stdout: str | None = None
    stdin: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    tiers: tuple[str, ...] = TIERS


_TABLE = yaml.safe_load((Path(__file__).parent / "programs.yaml").read_text())
LARGE = Case(
    "large_stdin",
    "import sys; print(len(sys.stdin.read()))",
    stdin="x" * 8_000_000,
    stdout="8000000\n",
)
ALL = [*(Case(**row) for rows in _TABLE.values() for row in rows), LARGE]
HERE = [(case, tier) for case in ALL for tier in TIERS if tier in case.tiers]


def check(case: Case, status: str, stdout: bytes, about: object) -> None:
    """It came to what it must come to."""
    assert status == case.status, about
    if case.stdout is not None:
        assert stdout.decode() == case.stdout, about


@pytest.mark.parametrize(("case", "where"), HERE, ids=[f"{c.name}-{t}" for c, t in HERE])
def test_programs_come_to_their_status(
    sandbox_of: Callable[[Isolation], Sandbox], case: Case, where: Isolation
) -> None:
    limits = Limits(**case.limits)
    result = sandbox_of(where).run(case.source, stdin=case.stdin.encode(), limits=limits)
    check(case, result.status, result.stdout, result)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["root", "user"])
def test_they_do_so_whoever_the_caller_is(
    caller_of: Callable[..., Any], tier: Isolation, ordinary_user: int, name: str
) -> None:
    if name == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    caller = caller_of(tier, 0 if name == "root" else ordinary_user)
    for case in (case for case in ALL if tier in case.tiers):
        run = caller.run(case.source, stdin=case.stdin, **case.limits)
        check(case, run.status, run.stdout, (case.name, run))
    assert all(caller.report["holds"].values())
