"""Tests that are Python text: bare asserts, ``check(candidate)``, ``test_...`` functions and
``unittest`` classes, made ready to be run and counted.

The text is trusted as far as it is the dataset's; it still runs in a sandbox, in a process that
judged code never enters (see ``inside.tests``).
"""

from __future__ import annotations

import ast
import marshal
import symtable
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rewardkit.verifiers.code.asserts import Assert, count_asserts
from rewardkit.verifiers.code.errors import CasesError

__all__ = ["Plan", "Script", "plan_script"]

MAX_BYTES = 1 << 22
"""Longest script."""

# What tests use without importing it, since the code that they were written for does: it must not
# be asked of the judged code, which could answer as it likes.
_SPARES = {
    "np": "numpy", "deque": "collections:deque", "Counter": "collections:Counter",
    "defaultdict": "collections:defaultdict", "OrderedDict": "collections:OrderedDict",
    "Decimal": "decimal:Decimal", "Fraction": "fractions:Fraction", "deepcopy": "copy:deepcopy",
    "isclose": "math:isclose", "sqrt": "math:sqrt", "pi": "math:pi", "inf": "math:inf",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """Tests as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A script made ready.

    Attributes:
        sent: what the process of the tests is told, but for the prelude and the entry.
        asserts: every assert, in the order of the text.
    """

    sent: dict[str, Any] = field(hash=False)
    asserts: tuple[Assert, ...]


@lru_cache(maxsize=256)
def plan_script(script: Script, entry: str | None, own: tuple[str, ...], prelude: str) -> Plan:
    """Read a script; all completions for one prompt share the work.

    Args:
        script: the tests.
        entry: the function that ``check`` is given.
        own: names that are the judged code's even where Python has something of that name.
        prelude: code before the judged code; its other names are the tests' own.

    Raises:
        CasesError: it is no Python, too long, or holds nothing that could fail.
    """
    tree, lead = _parsed(script.text, "the tests are"), _parsed(prelude, "the prelude is")
    calls_check = any(_is_call(node, "check") for node in tree.body)
    functions = _tests(tree)
    has_check = _has_check(tree) and not calls_check
    if has_check and entry is None:
        raise CasesError("the tests define check(candidate), but no entry says what that is")
    asserts = count_asserts(tree, {"check", *functions})
    has_cases = any(isinstance(node, ast.ClassDef) for node in tree.body) and (
        "unittest" in script.text
    )
    if not asserts and not has_cases:
        raise CasesError("the tests hold neither an assert nor a unittest.TestCase")
    sent = {
        "code": marshal.dumps(compile(tree, "tests.py", "exec", dont_inherit=True)),
        "asserts": len(asserts),
        "imports": _imports(tree),
        "check": has_check,
        "functions": functions,
        "unittest": has_cases,
        **_names(script.text, tree, lead, own),
    }
    return Plan(sent, tuple(asserts))


def _parsed(text: str, what: str) -> ast.Module:
    if len(text) > MAX_BYTES:
        raise CasesError(f"{what} longer than {MAX_BYTES} characters")
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CasesError(f"{what} no Python: {error}") from None


def _is_call(node: ast.stmt, name: str) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name


def _tests(tree: ast.Module) -> list[str]:
    """Functions that pytest would collect. Raises ``CasesError`` for one that needs a fixture."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = node.args
        needed = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
        if node.name.startswith("test_"):
            if needed:
                raise CasesError(
                    f"{node.name} needs arguments: there are no fixtures or parameters"
                )
            found.append(node.name)
    return found


def _has_check(tree: ast.Module) -> bool:
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "check"]
    return any(len(node.args.args) == 1 for node in found)


def _imports(tree: ast.Module) -> dict[str, list[str]]:
    """Modules that the tests need, and what they need of them: so that its absence is known before
    judged code can have caused anything."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, [])
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [alias.name for alias in node.names if alias.name != "*"]
            found.setdefault(node.module, []).extend(names)
    found.pop("solution", None)  # the judged code, which comes later
    return found


def _names(text: str, tree: ast.Module, lead: ast.Module, own: tuple[str, ...]) -> dict[str, Any]:
    """Names that the tests use and do not define: which are the judged code's, which Python's."""
    free = _free(text) - _defined(lead) - set(own)
    looked_into = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    modules = free & looked_into & sys.stdlib_module_names  # bisect.insort(...), not bisect(...)
    spares = {name: _SPARES[name] for name in free if name in _SPARES}
    spares |= {name: name for name in modules}
    return {"wanted": sorted(free - set(spares)), "spares": spares, "own": list(own)}


def _free(text: str) -> set[str]:
    top = symtable.symtable(text, "tests.py", "exec")
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    found: set[str] = set()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_global = symbol.is_global() or (table is top and symbol.is_referenced())
            if is_global and symbol.is_referenced():
                found.add(symbol.get_name())
    return found - bound


def _defined(tree: ast.Module) -> set[str]:
    if not tree.body:
        return set()
    top = symtable.symtable(ast.unparse(tree), "prelude.py", "exec")
    return {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
