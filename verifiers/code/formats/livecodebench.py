"""LiveCodeBench: programs and functions, with tests in the open and compressed ones.

Jain et al., arXiv 2403.07974. The compressed tests are a pickle; here it is read, never executed.
"""

from __future__ import annotations

import base64
import json
import pickletools
import zlib
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
    text_case,
    text_of,
)
from rewardkit.verifiers.code.suite import Suite

__all__ = ["read"]

MAX_BYTES = 1 << 29
"""Most bytes that compressed tests may unfold to."""

_TEXTS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE")
_HARMLESS = ("PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP")


def read(tests: Any, row: Mapping[str, Any]) -> Suite:
    """The suite of a row. Raises ``CasesError``."""
    public = row.get("public_test_cases")
    metadata = from_json(row.get("metadata") or {}, "metadata")
    name = metadata.get("func_name") if isinstance(metadata, Mapping) else None
    if isinstance(tests, str) and isinstance(public, str | None):
        return _from_text(tests, public, name)
    return _suite(_items(tests) + _items(public), name)


@lru_cache(maxsize=4)
def _from_text(tests: str, public: str | None, name: str | None) -> Suite:
    """All completions for one prompt share the work, which may be a hundred megabytes."""
    return _suite(_items(public) + _items(tests), name)


def _items(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        value = _unfolded(value)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise CasesError("test cases must be a list of objects")
    return value


def _unfolded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        packed = zlib.decompressobj()
        data = packed.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    except (ValueError, zlib.error) as error:
        raise CasesError(f"test cases are neither JSON nor compressed: {error}") from None
    if packed.unconsumed_tail or not packed.eof:
        raise CasesError(f"compressed test cases are cut short, or more than {MAX_BYTES} bytes")
    return from_json(_pickled_text(data), "the compressed test cases")


def _pickled_text(data: bytes) -> str:
    """The one text in a pickle. Unpickling runs code, and even with every class forbidden a few
    bytes can ask for all memory; reading its instructions does neither."""
    found = None
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name in _TEXTS and found is None:
                found = argument
            elif code.name not in _HARMLESS:
                raise CasesError(f"compressed test cases hold more than a text: {code.name}")
    except (ValueError, IndexError, OverflowError) as error:
        raise CasesError(f"compressed test cases are no pickle: {error}") from None
    if not isinstance(found, str):
        raise CasesError("compressed test cases hold no text")
    return found


def _suite(items: list[Any], name: str | None) -> Suite:
    if not items:
        raise CasesError("there are no test cases")
    kinds = {text_of(item, "testtype", "stdin") for item in items}
    if kinds == {"stdin"}:
        cases = tuple(text_case(item.get("input"), item.get("output")) for item in items)
        # Word by word, with 1.0 for 1: as the benchmark compares them.
        return Suite("stdin", cases, compare=Close(rel=0.0), prelude=COMMON_IMPORTS)
    if kinds != {"functional"}:
        raise CasesError(f"testtype must be stdin or functional throughout, got {sorted(kinds)}")
    if not isinstance(name, str):
        raise CasesError("metadata names no function (func_name)")
    cases = tuple(_call(item) for item in items)
    return Suite("call", cases, entry=name, prelude=COMMON_IMPORTS)


def _call(item: Mapping[str, Any]) -> Case:
    """Arguments stand on lines of their own, each as JSON."""
    lines = [line for line in text_of(item, "input").split("\n") if line.strip()]
    given = [from_json(line, "an argument") for line in lines]
    return call_case(given, from_json(text_of(item, "output"), "an output"))
