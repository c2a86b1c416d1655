"""Codeforces as open-r1 publishes it: official tests, and checkers where answers may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.formats.fields import from_json, pairs_of, text_case, text_of
from rewardkit.verifiers.code.suite import Suite

__all__ = ["read"]


def read(tests: Any, row: Mapping[str, Any]) -> Suite:
    """The suite of a row. Raises ``CasesError``."""
    mode = text_of(row, "input_mode", "stdio")
    if mode != "stdio":
        raise CasesError(f"input_mode must be stdio, got {mode!r}: files cannot be judged")
    if row.get("interaction_format"):
        raise CasesError("the task is interactive, which cannot be judged")
    pairs = pairs_of(from_json(tests, "official_tests"), ("input", "output"), "official_tests")
    if not pairs:
        raise CasesError("official_tests holds no tests")
    cases = tuple(text_case(*pair) for pair in pairs)
    checker = text_of(row, "generated_checker")
    return Suite("stdin", cases, compare="tokens", checker=_as_function(checker) if checker else "")


def _as_function(program: str) -> str:
    """The program ``checker.py input.txt correct_output.txt solution_output.txt``, which prints 1
    for an answer that is right, as ``check(given, expected, got)``.

    Its three files are held in memory: in the weaker tier of the sandbox there are no others.
    """
    return f"_PROGRAM = {program!r}\n{_FUNCTION}"


_FUNCTION = """
import builtins
import io
import sys

_open = builtins.open


def check(given, expected, got):
    names = ["input.txt", "correct_output.txt", "solution_output.txt"]
    files = dict(zip(names, (given, expected, got)))

    def opened(file, mode="r", *rest, **named):
        if file not in files:
            return _open(file, mode, *rest, **named)
        text = files[file]
        if "b" in mode:
            return io.BytesIO(text.encode("utf-8", "surrogateescape"))
        return io.StringIO(text)

    builtins.open = io.open = opened
    sys.argv = ["checker.py", *names]
    sys.stdout = io.StringIO()
    try:
        exec(compile(_PROGRAM, "checker.py", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if end.code not in (None, 0):
            return False
    return sys.stdout.getvalue().split()[-1:] in (["1"], ["1.0"])
"""
