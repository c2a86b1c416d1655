"""HumanEval: a prompt that ends in the head of a function, and ``check(candidate)``.

Chen et al., arXiv 2107.03374. HumanEval+ (arXiv 2305.01210) has the same columns.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.extract import extract_code
from rewardkit.verifiers.code.script import Script
from rewardkit.verifiers.code.suite import Suite

__all__ = ["read"]


def read(tests: Any, row: Mapping[str, Any]) -> Suite:
    """The suite of a row. Raises ``CasesError``."""
    if not isinstance(tests, str):
        raise CasesError(f"test must be text, got {type(tests).__name__}")
    entry = row["entry_point"]
    if not isinstance(entry, str):
        raise CasesError(f"entry_point must be text, got {type(entry).__name__}")
    return Suite(
        "assert",
        script=Script(tests),
        entry=entry,
        prelude=_code_of(row.get("prompt")),
        continues=True,
    )


def _code_of(prompt: object) -> str:
    """The code in the prompt: all of it, or its last fenced block where words stand around it."""
    if not isinstance(prompt, str):
        return ""
    for text in (prompt, extract_code(prompt, "fence", thinking=None).text or ""):
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return text
    return ""
