"""Names of verifiers, rewards and presets in specs, and how the objects are found by them.

A registered name comes from an entry point (ours and other packages' alike), so the core names
nothing above it and nothing is imported before it is used. ``module:attribute`` and
``file.py:attribute`` import code of the caller's choosing and need ``allow_code``.
"""

from __future__ import annotations

import contextvars
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from rewardkit.errors import SpecError

__all__ = ["PRESETS", "REWARDS", "VERIFIERS", "allowing_code", "find", "load_code", "name_of"]

VERIFIERS = "rewardkit.verifiers"
REWARDS = "rewardkit.rewards"
PRESETS = "rewardkit.presets"

_allow_code: contextvars.ContextVar[Path | None] = contextvars.ContextVar("allow", default=None)


@contextmanager
def allowing_code(folder: Path | None) -> Iterator[None]:
    """Within this, ``module:attribute`` may be imported; files are looked for in ``folder``."""
    token = _allow_code.set(folder)
    try:
        yield
    finally:
        _allow_code.reset(token)


@cache
def _registered(group: str) -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def find(group: str, name: str) -> Any:
    """The object registered (or importable, where code is allowed) under a name.

    Raises:
        SpecError: if the name is unknown, listing those there are, or if code is not allowed.
    """
    points = _registered(group)
    if name in points:
        return points[name].load()
    if ":" in name:
        return load_code(name)
    kind = group.rpartition(".")[2].removesuffix("s")
    raise SpecError(f"unknown {kind} {name!r}; there are: {', '.join(sorted(points)) or 'none'}")


def load_code(reference: str) -> Any:
    """The object at ``module:attribute`` or ``file.py:attribute``.

    Raises:
        SpecError: if code is not allowed, or the module or attribute is not there.
    """
    folder = _allow_code.get()
    if folder is None:
        raise SpecError(
            f"{reference!r} is code, which a spec may not run unless you allow it: pass "
            f"--allow-code on the command line, or allow_code=True"
        )
    module_name, _, attribute = reference.rpartition(":")
    try:
        module = (
            _file(folder / module_name)
            if module_name.endswith(".py")
            else (importlib.import_module(module_name))
        )
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, OSError, AttributeError) as error:
        beside = folder / f"{module_name.partition('.')[0]}.py"
        hint = f". Did you mean {beside.name}:{attribute}?" if beside.is_file() else ""
        problem = f"{type(error).__name__}: {error}{hint}"
        raise SpecError(f"cannot load {reference!r}: {problem}") from error
    return found


_FROM_FILES: dict[str, Path] = {}
"""Modules that came from a file of a spec: another process finds them by that file alone."""


def _file(path: Path) -> Any:
    """A module from a file; loaded once, so that functions keep their identity and pickle."""
    path = path.resolve()
    name = path.stem if str(path.parent) in sys.path else f"rewardkit_file_{path.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    _FROM_FILES[name] = path
    return module


def name_of(group: str, target: Any) -> str:
    """The name a spec gives to a class or function: its registered one, else ``module:attribute``.

    Raises:
        SpecError: for lambdas, nested functions and whatever else cannot be found by name again.
    """
    home = _FROM_FILES.get(target.__module__, target.__module__)
    reference = f"{home}:{target.__qualname__}"
    for name, point in _registered(group).items():
        same_name = point.value.rpartition(":")[2] == target.__qualname__
        # Loaded only where the name fits: one broken plug-in must not break every spec.
        if point.value == reference or (same_name and point.load() is target):
            return name
    if "<" in target.__qualname__ or target.__module__ == "__main__":
        raise SpecError(
            f"{reference} cannot be written to a spec: it could not be found by name when the "
            f"spec is read. Move it to a module (a lambda needs a def)"
        )
    return reference
