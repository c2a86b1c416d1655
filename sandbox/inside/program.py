"""Running the judged source as ``__main__``, as the interpreter itself would."""

from __future__ import annotations

import _thread
import atexit
import builtins
import os
import sys
import traceback
import types
from collections.abc import Callable

from .wire import PROGRAM

__all__ = ["Stage"]

_UNFLUSHED = 120  # the interpreter's exit code where its output cannot be written


class _Loader:
    """Shows the source to tracebacks and ``inspect``, as loaders do where there is no file."""

    def __init__(self) -> None:
        self.source = b""

    def get_source(self, name: str) -> str:
        return self.source.decode("utf-8", "replace")


class Stage:
    """An interpreter set up for one program, before the fork that runs it.

    Args:
        folder: the program's working directory.
    """

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/{PROGRAM}"
        self._loader = _Loader()
        self._module = types.ModuleType("__main__")
        self._names = self._module.__dict__
        self._names.update(
            __file__=self.path, __builtins__=builtins, __loader__=self._loader, __cached__=None
        )

    def enter(self) -> None:
        """Make it what the interpreter is about, as if there had been nothing else."""
        own = __name__.rpartition(".")[0]
        for name in [name for name in sys.modules if name == own or name.startswith(own + ".")]:
            del sys.modules[name]
        sys.modules["__main__"] = self._module
        sys.path.insert(0, os.path.dirname(self.path))
        sys.argv[:] = [self.path]
        sys.orig_argv[:] = [sys.executable, self.path]

    def compiled(self, source: bytes) -> types.CodeType | None:
        """The program ready to run; ``None``, and words on stderr, if it is none."""
        self._loader.source = source
        try:
            return compile(source, self.path, "exec", 0, True)
        except BaseException as error:
            error.__traceback__ = None  # all of it is ours
            _flushed(_report(error))
            return None

    def run(self, code: types.CodeType) -> int:
        """Run it to its end; returns the exit code."""
        status = self._execute(code)
        # In the interpreter's order, each only if there is something to do.
        if _thread._count():
            _tried(_join_threads)
        if atexit._ncallbacks():
            _tried(atexit._run_exitfuncs)
        _tried(self._let_go)
        return _flushed(status)

    def rehearse(self, source: bytes) -> None:
        """Run a program of ours, without ending the interpreter with it."""
        sys.modules["__main__"] = self._module
        code = self.compiled(source)
        if code is not None:
            self._execute(code)
        self._let_go()
        _flushed(0)

    def _execute(self, code: types.CodeType) -> int:
        try:
            exec(code, self._names)
        except BaseException as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # not ours
            return _report(error)
        return 0

    def _let_go(self) -> None:
        """Drop the program's globals, so that what it opened and never closed is flushed."""
        names = self._names
        for name in list(names):
            if name != "__builtins__":
                names[name] = None


def _tried(step: Callable[[], object]) -> None:
    try:
        step()
    except BaseException as error:
        _report(error)


def _report(error: BaseException) -> int:
    """What the interpreter makes of an exception that nobody caught: words, and the exit code."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    hook = sys.excepthook
    if hook is sys.__excepthook__:
        traceback.print_exception(error)  # unlike the hook, it shows lines that are in no file
    else:
        hook(type(error), error, error.__traceback__)
    return 1


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _flushed(code: int) -> int:
    """Flush what is there and open; the exit code is another if something cannot be written."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:  # a stream may be anything that judged code has put there
            code = _UNFLUSHED
    return code
