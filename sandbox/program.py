"""What is run: programs, jobs, and the one verb that every backend has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rewardkit.sandbox.limits import Limits
from rewardkit.sandbox.result import ExecutionResult

__all__ = ["CHANNEL", "Executor", "Job", "Language", "Program"]

Language = Literal["python"]

CHANNEL = 3
"""The descriptor on which the two programs of :meth:`~rewardkit.sandbox.Sandbox.pair` talk."""


@dataclass(frozen=True, slots=True)
class Program:
    """A text and the language it is in.

    Args:
        source: the whole program; hostile, so never a mistake of the caller.
        language: ``"python"``, the only one so far.
    """

    source: str
    language: Language = "python"


@dataclass(frozen=True, slots=True)
class Job:
    """One execution: a Python source and all that it is given.

    Args:
        source: Python source; runs as ``__main__``.
        stdin: what it reads there.
        files: further files in its working directory, by relative path.
        limits: what it may use.
        seed: seeds ``random`` (and ``numpy.random``, where numpy is preloaded) before it starts.
    """

    source: str
    stdin: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    seed: int = 0


class Executor(Protocol):
    """Whatever can run a program to its end: the sandbox here, or one on another machine.

    Judging is built on this verb alone wherever it can be, so that a backend need know nothing of
    tests and verdicts.
    """

    def execute(
        self, program: Program, stdin: bytes, files: Mapping[str, bytes], limits: Limits
    ) -> ExecutionResult:
        """Run it to its end or its first limit; whatever it does becomes a status."""
        ...
