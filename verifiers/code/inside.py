"""What stands around the judged code in its own process, and why none of it is trusted.

This text is not imported by rewardkit but run inside the sandbox, after that of ``codec``, one
process per test. It reads the code and the arguments of one call, makes the call, and writes one
reply to a descriptor kept for it. The judged code shares the process and can rewrite anything here:
so nothing secret comes here (no expected value), and the reply is taken as data, never as a
verdict. The worst that can be done to it is to hand over some other value, which is what judged
code may do anyway, by returning it.

A reply is ``MAGIC`` and one encoded list:

- ``["returned", value]``
- ``["raised", type name, message, line]``
- ``["not_loaded", type name, message, line]``: the code does not compile, raised while it was
  loaded, or does not define the function;
- ``["not_plain", why]``: it returned what the codec does not carry.
"""

import os
import sys
from collections.abc import Callable
from types import ModuleType

__all__ = ["MAGIC", "main"]

MAGIC = b"rewardkit reply 1\n"

_FILE = "solution.py"
_MOST_TEXT = 300


Job = tuple[str, str, list[object], int]
"""Code, name of the function, arguments, most bytes of a reply."""


def main(encode: Callable[..., bytes], decode: Callable[..., Job]) -> None:
    """Read the job on stdin, make the call, write the reply, and end at once."""
    # Taken now: what the judged code does to the module os does not change how an honest call ends.
    leave, write = os._exit, os.write
    channel = os.dup(1)
    with open(0, "rb", closefd=False) as stdin:
        job = decode(stdin.read())
    # What is printed is nobody's business: it must neither fill the channel nor count as output.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    data = MAGIC + _reply(job, encode)
    while data:
        data = data[write(channel, data) :]
    # Now, so that no thread, atexit function or __del__ adds to the reply or keeps it waiting.
    leave(0)


def _reply(job: Job, encode: Callable[..., bytes]) -> bytes:
    code, entry, arguments, most = job
    try:
        function = _load(code, entry)
    except BaseException as error:  # SystemExit too
        return encode(["not_loaded", *_describe(error)], most)
    try:
        value = function(*arguments)
    except BaseException as error:
        return encode(["raised", *_describe(error)], most)
    try:
        return encode(["returned", value], most)
    except ValueError as error:
        return encode(["not_plain", str(error)[:_MOST_TEXT]], most)


def _load(code: str, entry: str) -> Callable[..., object]:
    """The function. The code is a module of its own, not ``__main__``: what stands under that
    guard does not run, as under any test runner."""
    module = ModuleType("solution")
    module.__file__ = _FILE
    sys.modules["solution"] = module  # dataclasses and pickle look their module up
    exec(compile(code, _FILE, "exec", dont_inherit=True), module.__dict__)
    name, _, rest = entry.partition(".")
    try:
        found = module.__dict__[name]
    except KeyError:
        raise NameError(f"the code does not define {name!r}") from None
    if rest:
        found = getattr(found() if isinstance(found, type) else found, rest)
    if not callable(found):
        raise TypeError(f"{entry!r} is not a function")
    return found  # type: ignore[no-any-return]


def _describe(error: BaseException) -> tuple[str, str, int]:
    """Type name, message, and the deepest line of the judged code (0: none). For people only."""
    try:
        message = str(error.msg if isinstance(error, SyntaxError) else error)[:_MOST_TEXT]
    except BaseException:  # the exception's own __str__ is judged code, too
        message = ""
    line = (error.lineno or 0) if isinstance(error, SyntaxError) else 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return type(error).__name__, message, line
