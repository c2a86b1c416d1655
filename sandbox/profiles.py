"""What is imported before any judged program, so that none has to wait for it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass

from rewardkit.errors import UsageError

__all__ = ["Preload", "Profile", "profile_of"]

Preload = str | Sequence[str]
"""``"stdlib"``, ``"numpy"``, or further modules by name, on top of ``"stdlib"``."""

_STDLIB = (
    *("abc", "array", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy"),
    *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "inspect"),
    *("io", "itertools", "json", "math", "numbers", "operator", "queue", "random", "re"),
    *("statistics", "string", "struct", "sys", "textwrap", "threading", "time", "traceback"),
    *("types", "typing", "linecache"),
)
_NUMPY = ("numpy", "numpy.random", "numpy.linalg", "numpy.fft")


@dataclass(frozen=True, slots=True)
class Profile:
    """Modules to import, and the folders where those outside of the standard library lie."""

    modules: tuple[str, ...]
    paths: tuple[str, ...]


def profile_of(preload: Preload) -> Profile:
    """The modules by the name of their set, or named one by one.

    Raises:
        UsageError: a module that is not installed, or not in a folder.
    """
    if preload == "stdlib":
        return Profile(_STDLIB, ())
    if isinstance(preload, str):
        if preload != "numpy":
            raise UsageError(
                f'preload must be "stdlib", "numpy" or a list of modules, got {preload!r}'
            )
        wanted: Sequence[str] = _NUMPY
    else:
        wanted = tuple(preload)
    tops = dict.fromkeys(_top(name) for name in wanted)
    paths = dict.fromkeys(path for top in tops if (path := _folder_of(top)))
    return Profile((*_STDLIB, *wanted), tuple(paths))


def _top(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise UsageError(f"preload must name modules, got {name!r}")
    return name.partition(".")[0]


def _folder_of(top: str) -> str:
    """The folder to be searched for a module; ``""`` if it is the standard library's."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise UsageError(f"preload: the module {top!r} is not installed")
    if spec.origin in ("built-in", "frozen") or not spec.origin:
        return ""
    place = os.path.dirname(spec.origin)
    folder = os.path.dirname(place) if spec.submodule_search_locations else place
    stdlib = os.path.dirname(os.__file__)
    return "" if folder in (stdlib, os.path.join(stdlib, "lib-dynload")) else folder
