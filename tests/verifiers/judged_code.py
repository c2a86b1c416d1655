"""What tests of judging code share; ``judge`` itself is in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.verdict import Verdict

SQUARES = [[[n], n * n] for n in range(5)]
Judge = Callable[..., Verdict]


def statuses(verdict: Verdict) -> list[str]:
    """How each test ended."""
    return list(verdict.evidence.details["statuses"])
