"""Running the judged source as ``__main__``, in a process that has nothing left to lose."""

from __future__ import annotations

import builtins
import os
import sys
import types
from collections.abc import Callable

__all__ = ["prepare"]


def prepare(source: bytes, path: str, launcher_folder: str) -> Callable[[], None]:
    """Clear our own traces from the interpreter; the result runs the source.

    What it runs on is the interpreter as it was: the launcher's modules are gone from
    ``sys.modules`` and its folder from ``sys.path``, so that the program's own may have any name.
    """
    sys.path[:] = [p for p in sys.path if p != launcher_folder]
    sys.path.insert(0, os.path.dirname(path))
    own = __name__.rpartition(".")[0]
    for name in [n for n in sys.modules if n == own or n.startswith(own + ".")]:
        del sys.modules[name]
    sys.argv[:] = [path]
    sys.orig_argv[:] = [sys.executable, path]
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    return lambda: _run(source, path, module)


def _run(source: bytes, path: str, module: types.ModuleType) -> None:
    """Run it to its end; the interpreter then ends as it always does (threads, atexit, flush)."""
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        error.__traceback__ = trace.tb_next if trace is not None else None  # without our frame
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
