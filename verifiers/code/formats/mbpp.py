"""MBPP: a list of asserts. Austin et al., arXiv 2108.07732; the sanitized version too."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.formats.fields import from_json, text_of
from rewardkit.verifiers.code.script import Script
from rewardkit.verifiers.code.suite import Suite

__all__ = ["read"]


def read(tests: Any, row: Mapping[str, Any]) -> Suite:
    """The suite of a row. Raises ``CasesError``."""
    asserts = _lines(tests, "test_list")
    if not asserts:
        raise CasesError("test_list is empty")
    imports = _lines(row.get("test_imports") or [], "test_imports")
    # The set-up uses what the judged code defines (a tree of its nodes): it is part of the tests.
    script = "\n".join([text_of(row, "test_setup_code"), *asserts])
    return Suite(
        "assert",
        script=Script(script),
        own=_defined(text_of(row, "code")),
        prelude="\n".join(imports),
    )


def _lines(value: Any, name: str) -> list[str]:
    value = from_json(value, name)
    lines = list(value) if isinstance(value, list | tuple) else None
    if lines is None or not all(isinstance(line, str) for line in lines):
        raise CasesError(f"{name} must be a list of texts, got {type(value).__name__}")
    return lines


def _defined(reference: str) -> tuple[str, ...]:
    """Names that the reference solution defines. Some are those of built-in functions: which one a
    test means, only this tells."""
    try:
        tree = ast.parse(reference)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return tuple(node.name for node in tree.body if isinstance(node, kinds))
