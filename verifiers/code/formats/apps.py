"""APPS, and those with its ``input_output``: TACO, PRIME. Hendrycks et al., arXiv 2105.09938."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rewardkit.verifiers.code.cases import Case
from rewardkit.verifiers.code.compare import Close
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.formats.fields import (
    COMMON_IMPORTS,
    call_case,
    from_json,
    pairs_of,
    text_case,
)
from rewardkit.verifiers.code.suite import Suite

__all__ = ["read"]


def read(tests: Any, row: Mapping[str, Any]) -> Suite:
    """The suite of a row. Raises ``CasesError``."""
    return _from_text(tests) if isinstance(tests, str) else _suite(tests)


@lru_cache(maxsize=16)
def _from_text(text: str) -> Suite:
    """All completions for one prompt share the work."""
    return _suite(from_json(text, "input_output"))


def _suite(value: Any) -> Suite:
    pairs = pairs_of(value, ("inputs", "outputs"), "input_output")
    if not pairs:
        raise CasesError("input_output holds no tests")
    name = value.get("fn_name") if isinstance(value, Mapping) else None
    if name is None:
        cases = tuple(text_case(*pair) for pair in pairs)
        return Suite("stdin", cases, compare=Close(rel=1e-5, abs=1e-8), prelude=COMMON_IMPORTS)
    cases = tuple(_call(*pair) for pair in pairs)
    return Suite("call", cases, entry=name, prelude=COMMON_IMPORTS)


def _call(given: Any, expected: Any) -> Case:
    """Some outputs are the value, some a list that holds it."""
    if not isinstance(given, list):
        raise CasesError(f"the inputs of a function must be lists, got {type(given).__name__}")
    wrapped = isinstance(expected, list) and len(expected) == 1
    return call_case(given, expected, expected if wrapped else ())
