"""What a piece of code is, whose it is, and which names it reads."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import types
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

__all__ = ["bytecode", "home_of", "imports_of", "names_in", "source_of"]


def home_of(thing: Any) -> str | None:
    """Whose a module, class or function is: a package with its version; ``None``: the user's own.

    An installed package is what its version says. The user's code is what it says now, also where
    it is installed in place (``pip install -e``), whose version says nothing of it.
    """
    if isinstance(thing, types.FunctionType):
        # A wrapper takes the module of what it wraps for its own; its globals do not lie.
        return _home(str(thing.__globals__.get("__name__", "")))
    name = thing.__name__ if isinstance(thing, types.ModuleType) else thing.__module__
    return _home(str(name))


@functools.cache
def _home(module: str) -> str | None:
    top = module.partition(".")[0]
    if top == "__main__":
        return None
    if top in sys.stdlib_module_names or top == "builtins":
        return f"python {sys.version_info.major}.{sys.version_info.minor}"
    if top != "rewardkit" and not _is_installed(module):
        return None
    names = ["rewardkit"] if top == "rewardkit" else packages().get(top, [])
    return " ".join(f"{name} {distribution_version(name)}" for name in sorted(set(names))) or top


def _is_installed(module: str) -> bool:
    """Whether a module's file lies where packages are installed."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(path, str):
        return False
    parts = Path(path).parts
    return (
        "site-packages" in parts
        or "dist-packages" in parts
        or any(Path(path).is_relative_to(folder) for folder in _site())
    )


@functools.cache
def _site() -> tuple[str, ...]:
    return tuple(path for key in ("purelib", "platlib") if (path := sysconfig.get_path(key)))


@functools.cache
def packages() -> dict[str, list[str]]:
    """Distributions by the modules that they hold."""
    return {name: list(found) for name, found in packages_distributions().items()}


@functools.cache
def distribution_version(distribution: str) -> str | None:
    """The version of a distribution that is installed, or ``None``."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def names_in(code: types.CodeType) -> tuple[str, ...]:
    """Global names and attributes that code, and the code nested in it, may read."""
    return tuple(sorted({name for inner in _nested(code) for name in inner.co_names}))


def source_of(thing: Any) -> str:
    """The source of a module, a class or a code object; where there is none, its bytecode or name.

    Given the code object and not its function, ``inspect`` shows a wrapper and not the wrapped.
    """
    try:
        text = inspect.getsource(thing)
    except (OSError, TypeError, SyntaxError, IndexError):
        if isinstance(thing, types.CodeType):
            return bytecode(thing)
        return str(getattr(thing, "__qualname__", thing.__name__))
    # Of several lambdas on one line the source does not say which.
    several = isinstance(thing, types.CodeType) and thing.co_name == "<lambda>"
    return f"{text}\n{bytecode(thing)}" if several else text


def bytecode(code: types.CodeType) -> str:
    """What code does, as text that says the same in every process of this Python."""
    digest = hashlib.sha256()
    for inner in _nested(code):
        constants = [_constant(c) for c in inner.co_consts if not isinstance(c, types.CodeType)]
        names = (inner.co_names, inner.co_varnames, inner.co_freevars)
        digest.update(
            repr((inner.co_name, inner.co_code.hex(), constants, names)).encode(errors="replace")
        )
    return digest.hexdigest()


def imports_of(fn: types.FunctionType) -> dict[str, Any]:
    """Modules that a function imports when it is called: their version, or a digest of the file."""
    package = fn.__globals__.get("__package__")
    found = {}
    for code in _nested(fn.__code__):
        level = 0
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and isinstance(step.argval, int):
                level = step.argval
            elif step.opname == "IMPORT_NAME":
                name = "." * level + str(step.argval)
                found[name] = _imported(name, str(package or ""))
                level = 0
    return dict(sorted(found.items()))


def _imported(name: str, package: str) -> str:
    """A module by its version or its file, without importing it."""
    try:
        full = importlib.util.resolve_name(name, package or None)
        if full.partition(".")[0] in {*sys.stdlib_module_names, "rewardkit"}:
            return str(_home(full))
        spec = importlib.util.find_spec(full)
    except Exception:  # finding a.b imports a, which may raise anything
        return "not found"
    origin = None if spec is None else spec.origin
    if origin is None or not origin.endswith(".py"):
        return "no source"
    parts = Path(origin).parts
    if "site-packages" in parts or "dist-packages" in parts:
        names = packages().get(full.partition(".")[0], [])
        return " ".join(f"{n} {distribution_version(n)}" for n in sorted(set(names)))
    try:
        return hashlib.sha256(Path(origin).read_bytes()).hexdigest()
    except OSError:
        return "not readable"


def _constant(value: Any) -> str:
    """A constant's repr; ``x in {...}`` holds a frozenset, ordered by this process's hashes."""
    if isinstance(value, frozenset):
        return f"frozenset({sorted(map(_constant, value))})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, value))})"
    return repr(value)


def _nested(code: types.CodeType) -> list[types.CodeType]:
    """The code and all code within it, in its order."""
    found = [code]
    for inner in found:
        found.extend(c for c in inner.co_consts if isinstance(c, types.CodeType))
    return found
