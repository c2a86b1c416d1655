"""How a function is named so that another process can find it."""

from __future__ import annotations

import os
import pickle
import pickletools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from rewardkit.sandbox.worker_child import MAIN_ALIAS

__all__ = ["FunctionRef"]

MAX_PICKLED = 16 << 20  # bytes; a callable that carries a model does not belong in a message


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A callable by reference: where another process of this machine finds the same one.

    Functions and classes go by module and qualified name; functions of the script that is being
    run go by its file; picklable callable objects, partials and bound methods go by pickling them
    (a copy: what the call changes in the object stays in the other process).

    Example:
        >>> import math
        >>> FunctionRef.of(math.sqrt)
        FunctionRef('math.sqrt')
        >>> FunctionRef.of(lambda x: x) is None
        True
    """

    module: str
    qualname: str
    modules: tuple[tuple[str, str], ...] = ()
    """Modules to have imported first, each with its file (empty: none)."""
    uses_main: bool = False
    pickled: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> FunctionRef | None:
        """The reference to ``fn``, or ``None`` where there is none; :meth:`why_not` says why."""
        found = _find(fn)
        return found if isinstance(found, FunctionRef) else None

    @staticmethod
    def why_not(fn: Callable[..., Any]) -> str | None:
        """Why ``fn`` cannot be referenced, in words; ``None`` where it can."""
        found = _find(fn)
        return found if isinstance(found, str) else None

    def __repr__(self) -> str:
        how = ", pickled" if self.pickled is not None else ""
        return f"FunctionRef('{self.module}.{self.qualname}'{how})"

    def message(self) -> dict[str, Any]:
        """What a worker is told; made when it is sent, so that it carries the present path."""
        return {
            "module": MAIN_ALIAS if self.module == "__main__" else self.module,
            "qualname": self.qualname,
            "modules": self.modules,
            "uses_main": self.uses_main,
            "pickled": self.pickled,
            "sys_path": list(sys.path),
        }


def main_location() -> tuple[str, str] | None:
    """Where the running script is: ``("module", name)``, ``("file", path)``, or ``None``.

    ``None`` in notebooks, interactive sessions and under ``python -c``.
    """
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", str(spec.name)
    path = getattr(main, "__file__", None)
    if isinstance(path, str) and os.path.isfile(path):
        return "file", os.path.abspath(path)
    return None


def _find(fn: Callable[..., Any]) -> FunctionRef | str:
    """The reference, or in words why there is none."""
    if not callable(fn):
        return f"{fn!r:.80} cannot be called"
    module, qualname = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if isinstance(module, str) and isinstance(qualname, str) and _resolves(module, qualname, fn):
        return _named(module, qualname, fn)
    return _by_pickling(fn)


def _resolves(module: str, qualname: str, fn: object) -> bool:
    """Whether the name leads back to this very object (a decorator or a rebinding breaks it)."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is fn


def _named(module: str, qualname: str, fn: Callable[..., Any]) -> FunctionRef | str:
    if module != "__main__":
        return FunctionRef(module, qualname, ((module, _file_of(module)),))
    location = main_location()
    if location is None:
        return "it is defined in an interactive session, not in a file"
    if location[0] == "file" and not _written_in(fn, location[1]):
        return "it is not written in the script that is being run"
    _share_main()
    return FunctionRef(module, qualname, uses_main=True)


def _written_in(fn: Callable[..., Any], path: str) -> bool:
    """False for a cell of a notebook whose kernel happens to have a file as its main module."""
    code = getattr(fn, "__code__", None)
    return code is None or os.path.realpath(code.co_filename) == os.path.realpath(path)


def _by_pickling(fn: Callable[..., Any]) -> FunctionRef | str:
    try:
        data = pickle.dumps(fn, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling runs the object's own code: it may raise anything
        return f"no other process can find it by name, nor can it be pickled: {error}"
    if len(data) > MAX_PICKLED:
        return f"pickled it takes {len(data)} bytes (at most {MAX_PICKLED})"
    names = set(_module_names(data))
    uses_main = bool(names & {"__main__", MAIN_ALIAS})
    if uses_main:
        if main_location() is None:
            return "its class is defined in an interactive session, not in a file"
        _share_main()
    modules = tuple((n, _file_of(n)) for n in sorted(names - {"__main__", MAIN_ALIAS}))
    kind = type(fn)
    return FunctionRef(kind.__module__, kind.__qualname__, modules, uses_main, data)


def _module_names(data: bytes) -> Iterator[str]:
    """Names of loaded modules among a pickle's strings (they may be what it imports)."""
    for _, argument, _ in pickletools.genops(data):
        if isinstance(argument, str):
            name = argument.split(" ")[0]  # protocol 0 writes "module name" in one
            if name in sys.modules:
                yield name


def _file_of(module: str) -> str:
    """The source file of a module, for a worker that cannot import it by name; or ``""``."""
    path = getattr(sys.modules.get(module), "__file__", None)
    is_source = isinstance(path, str) and path.endswith(".py") and os.path.isfile(path)
    return os.path.abspath(str(path)) if is_source else ""


def _share_main() -> None:
    """Let what workers pickle under their name for the script be found here."""
    main: ModuleType = sys.modules["__main__"]
    sys.modules.setdefault(MAIN_ALIAS, main)
