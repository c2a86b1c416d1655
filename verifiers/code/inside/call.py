"""The driver of calls: loads the judged code once, and makes one call in each copy of the process.

The judged code shares the process and can rewrite anything here: so nothing secret comes here (no
expected value), and what it hands back is taken as data, never as a verdict. The worst that can be
done to it is to hand over some other value, which is what judged code may do anyway, by returning
it.

A reply is one encoded list:

- ``["returned", value]``
- ``["raised", type name, message, line]``
- ``["not_plain", why]``: it returned what the codec does not carry.

Loading replies nothing, or ``["not_loaded", type name, message, line]``: the code does not compile,
raised while it was loaded, or does not define the function.
"""

from __future__ import annotations

from collections.abc import Callable
from marshal import dumps, loads
from typing import Any, cast

from rewardkit.verifiers.code.codec import decode, encode
from rewardkit.verifiers.code.inside.solution import describe, find, load_module

__all__ = ["RETURNED", "call", "load", "packed", "warm_up"]

_made: list[tuple[Callable[..., object], int]] = []
_WARM_UP = 16
_LIST = ord("[")
RETURNED = encode(["returned", None], 99)[:-1]
"""What stands before the value in a reply."""


def load(source: str) -> bytes | None:
    """Load the code; ``None``, or why it does not load.

    Args:
        source: encoded code, entry, prelude, whether it continues that, and the most bytes of a
            reply; as text of one character per byte.
    """
    job = cast(tuple[str, str, str, bool, int], decode(source.encode("latin-1")))
    code, entry, prelude, continues, most = job
    try:
        _made.append((find(load_module(code, prelude, continues), entry), most))
    except BaseException as error:  # SystemExit too
        return encode(["not_loaded", *describe(error)], most)
    return None


def packed(arguments: list[Any], most: int) -> bytes:
    """Arguments, for :func:`call`. Our own data on their way in, so what the interpreter is made of
    will do: it reads them at once, and touches little memory that a copy would have to copy.

    Args:
        arguments: plain values, of exact types.
        most: bytes that they may take.

    Raises:
        CodecError: as ``encode``.
    """
    try:
        return dumps(arguments, 2)  # later versions make one list of two that are the same
    except ValueError:
        return encode(arguments, most)


def call(argument: bytes) -> bytes:
    """Make the call with the arguments that :func:`packed` made; the encoded reply."""
    function, most = _made[0]
    # A list begins so in no other of the two ways.
    arguments: Any = loads(argument) if argument[0] == _LIST else decode(argument)
    try:
        value = function(*arguments)
    except BaseException as error:
        return encode(["raised", *describe(error)], most)
    try:
        return RETURNED + encode(value, most - len(RETURNED), around=1)
    except ValueError as error:
        return encode(["not_plain", str(error)[:300]], most)


def warm_up() -> None:
    """Make calls of no account, before any judged code, so that what the interpreter learns of this
    code, it learns once and not in every copy."""
    _made.append((lambda *values: list(values), 99))
    for _ in range(_WARM_UP):
        call(packed([1, "a", 2.5], 99))
    _made.clear()
