"""Names of verifiers, rewards and presets in specs, and how the objects are found by them.

A registered name comes from an entry point (ours and other packages' alike), so the core names
nothing above it and nothing is imported before it is used. ``module:attribute`` and
``file.py:attribute`` import code of the caller's choosing and need ``allow_code``.
"""

from __future__ import annotations

import contextvars
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MethodType
from typing import Any

from rewardkit._near import meant
from rewardkit.errors import SpecError, brief

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
def _registered(group: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Entry points by name; several of one name where packages disagree on what it means."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=group):
        known = found.get(point.name, ())
        if point.value not in (other.value for other in known):
            found[point.name] = (*known, point)
    return found


def _only(points: tuple[EntryPoint, ...]) -> EntryPoint:
    """The one entry point of a name. Were one of two taken, installing a package could change what
    a rubric means without a word."""
    if len(points) > 1:
        homes = " and ".join(f"{_distribution(p)} ({p.value})" for p in points)
        raise SpecError(
            f"{points[0].name!r} is registered twice, by {homes}: uninstall one of them, or name "
            f"the class as module:Class and allow code"
        )
    return points[0]


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else point.dist.name


def find(group: str, name: str) -> Any:
    """The object registered (or importable, where code is allowed) under a name.

    Raises:
        SpecError: if the name is unknown, listing those there are, if two packages give it two
            meanings, or if code is not allowed.
    """
    points = _registered(group)
    if name in points:
        return _only(points[name]).load()
    if ":" in name:
        return load_code(name)
    kind = group.rpartition(".")[2].removesuffix("s")
    if name.endswith(".py"):
        raise SpecError(f"which function of {name}? Say {name}:NAME")
    raise SpecError(
        f"unknown {kind} {brief(name)}; there are: {', '.join(sorted(points)) or 'none'}"
        f"{meant(name, points)}"
    )


def load_code(reference: str) -> Any:
    """The object at ``module:attribute`` or ``file.py:attribute``.

    Raises:
        SpecError: if code is not allowed, the module or attribute is not there, or its import
            fails.
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
            found = _attribute(found, part, reference)
    except SpecError:
        raise
    except Exception as error:  # importing runs the module: it may raise anything
        beside = folder / f"{module_name.partition('.')[0]}.py"
        other = f"{beside.name}:{attribute}"
        hint = f". Did you mean {other}?" if beside.is_file() and other != reference else ""
        problem = f"{type(error).__name__}: {error}{hint}"
        raise SpecError(f"cannot load {reference!r}: {problem}") from error
    return found


def _attribute(thing: Any, name: str, reference: str) -> Any:
    """An attribute of a module, or of what it holds. Raises ``SpecError``."""
    try:
        return getattr(thing, name)
    except AttributeError:
        hint = meant(name, [known for known in dir(thing) if not known.startswith("_")])
        where = reference.rpartition(":")[0]
        raise SpecError(f"cannot load {reference!r}: {where} has no {name!r}{hint}") from None


_FROM_FILES: dict[str, Path] = {}
"""Modules that came from a file of a spec: another process finds them by that file alone."""


def _file(path: Path) -> Any:
    """A module from a file; loaded once, so that functions keep their identity and pickle.

    It gets a name of its own: under the file's name it would stand in for any other module called
    so, ``random`` say, for all that is imported later.
    """
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = f"rewardkit_file_{digest}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # half a module must not be found whole the next time
        raise
    _FROM_FILES[name] = path
    return module


def name_of(group: str, target: Any) -> str:
    """The name a spec gives to a class or function: its registered one, else ``module:attribute``.

    Raises:
        SpecError: for lambdas, nested functions, partials, callable objects, and whatever else
            cannot be found by name again.
    """
    module, qualname = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise SpecError(
            f"{brief(target)} cannot be written to a spec: it has no name. Put it into a module as "
            f"a function (def) that calls it"
        )
    reference = f"{_FROM_FILES.get(module, module)}:{qualname}"
    for name, points in _registered(group).items():
        same_name = points[0].value.rpartition(":")[2] == qualname
        # Loaded only where the name fits: one broken plug-in must not break every spec.
        if len(points) == 1 and (
            points[0].value == reference or (same_name and points[0].load() is target)
        ):
            return name
    if "<" in qualname or module == "__main__" or not _leads_to(module, qualname, target):
        raise SpecError(
            f"{reference} cannot be written to a spec: it could not be found by name when the "
            f"spec is read. Move it to a module (a lambda needs a def)"
        )
    return reference


def _leads_to(module: str, qualname: str, target: Any) -> bool:
    """Whether a name leads back to the very object, as it does not for a method of an instance or
    for a function that a decorator has replaced."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    decorated = getattr(found, "fn", None)  # a FunctionReward stands in for its function
    bound = isinstance(target, MethodType) and found == target
    return found is target or decorated is target or bound
