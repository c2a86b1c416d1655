"""Modules of this package as one text that runs where the package is not: inside the sandbox."""

from __future__ import annotations

import ast
import marshal
from functools import cache
from importlib.resources import files

__all__ = ["bundle", "driver", "program"]

_PACKAGE = "rewardkit.verifiers.code"
_FUTURE = "from __future__ import annotations\n"


@cache
def bundle(*names: str) -> str:
    """The modules after each other, without what they import from the package and say of
    themselves.

    Args:
        names: as ``"inside/call"``; whatever one needs stands before it.
    """
    body: list[ast.stmt] = []
    for name in names:
        text = files(_PACKAGE).joinpath(f"{name}.py").read_text("utf-8")
        body += [node for node in ast.parse(text).body if not _is_dropped(node)]
    return _FUTURE + ast.unparse(ast.Module(body, []))


@cache
def program(*names: str) -> str:
    """The same, compiled: a text that has but to load it."""
    # Compiling it anew for every candidate would cost more than most of them take to judge.
    code = compile(bundle(*names), "judge.py", "exec", dont_inherit=True, optimize=2)
    return f"import marshal\nexec(marshal.loads({marshal.dumps(code)!r}))\n"


def _is_dropped(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return False
    return node.module == "__future__" or node.module.startswith(_PACKAGE)


def driver() -> str:
    """What runs beside code that is called: see ``inside/call``."""
    return bundle("extras", "codec", "inside/solution", "inside/call") + "\nwarm_up()\n"
