"""Loading judged code as a module of its own, and telling what it raised."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType

__all__ = ["FILE", "describe", "find", "load_module"]

FILE = "solution.py"
_MOST_TEXT = 300


def load_module(code: str, prelude: str, continues: bool) -> ModuleType:
    """The code as the module ``solution``, not ``__main__``: what stands under that guard does not
    run, as under any test runner.

    Args:
        code: the judged code.
        prelude: code that runs before it in the same module.
        continues: the code may be the rest of the prelude (the body of its last function).
    """
    module = ModuleType("solution")
    module.__file__ = FILE
    sys.modules["solution"] = module  # dataclasses and pickle look their module up
    if prelude:
        exec(compile(prelude, "prelude.py", "exec", dont_inherit=True), module.__dict__)
    exec(_compiled(code, prelude if continues else ""), module.__dict__)
    return module


def _compiled(code: str, prelude: str) -> CodeType:
    first: SyntaxError | None = None
    for text in _readings(code, prelude):
        try:
            return compile(text, FILE, "exec", dont_inherit=True)
        except SyntaxError as error:
            first = first or error
    raise first or SyntaxError("no code")


def _readings(code: str, prelude: str) -> Iterator[str]:
    """The code by itself; else as the rest of the prelude: as it stands, or with the indentation
    that was lost at its start, or on every line."""
    yield code
    if prelude:
        yield f"{prelude}\n{code}"
        yield f"{prelude}\n    {code}"
        yield prelude + "\n" + "\n".join("    " + line for line in code.split("\n"))


def find(module: ModuleType, entry: str) -> Callable[..., object]:
    """The function of that name, or ``Class.method`` of a new instance. A function that the module
    lacks may be a method of its class ``Solution``."""
    name, _, rest = entry.partition(".")
    names = module.__dict__
    if name not in names and not rest and hasattr(names.get("Solution"), name):
        name, rest = "Solution", name
    if name not in names:
        raise NameError(f"the code does not define {name!r}")
    found = names[name]
    if rest:
        found = getattr(found() if isinstance(found, type) else found, rest)
    if not callable(found):
        raise TypeError(f"{entry!r} is not a function")
    return found  # type: ignore[no-any-return]


def describe(error: BaseException) -> tuple[str, str, int]:
    """Type name, message, and the deepest line of the judged code (0: none). For people only."""
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)[:_MOST_TEXT]
    except BaseException:  # the exception's own __str__ is judged code, too
        message = ""
    line = (error.lineno or 0) if isinstance(error, SyntaxError) else 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return type(error).__name__, message, line
