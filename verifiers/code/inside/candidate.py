"""The process of judged code, while trusted tests in another one use what it defines.

The judged code shares the process and can rewrite anything here; the tests take what it says as
data.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from rewardkit.verifiers.code.codec import decode
from rewardkit.verifiers.code.inside.solution import describe, find, load_module
from rewardkit.verifiers.code.inside.wire import Gone, Peer

__all__ = ["main"]


def main() -> None:
    """Load the code that stands on stdin, and do what the tests ask until they end."""
    with open(0, "rb", closefd=False) as stdin:
        code, prelude, continues = cast(tuple[str, str, bool], decode(stdin.read()))
    # What is printed is nobody's business, and must not count as output.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    modules: list[ModuleType] = []
    peer = Peer(lambda verb, parts: _serve(modules[0], verb, parts))
    try:
        modules.append(load_module(code, prelude, continues))
    except BaseException as error:  # SystemExit too
        peer.say("not_loaded", *describe(error))
        os._exit(0)
    try:
        peer.say("ready")
        peer.serve_all()
    except Gone:
        os._exit(0)


def _serve(module: ModuleType, verb: str, parts: list[Any]) -> object:
    if verb == "names":
        return {name: module.__dict__[name] for name in parts[0] if name in module.__dict__}
    if verb == "find":
        return find(module, parts[0])
    return _VERBS[verb](*parts)


_VERBS: dict[str, Callable[..., Any]] = {
    "call": lambda thing, arguments, named: thing(*arguments, **named),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "getitem": operator.getitem,
    "slice": lambda thing, *bounds: thing[slice(*bounds)],
    "setitem": operator.setitem,
    "delitem": operator.delitem,
    "iter": iter,
    "next": next,
    "await": lambda thing: _run(thing),
    "len": len,
    "bool": bool,
    "str": str,
    "repr": repr,
    "hash": hash,
    "enter": lambda thing: thing.__enter__(),
    "exit": lambda thing: thing.__exit__(None, None, None),
    "isinstance": isinstance,
    **{
        name: getattr(operator, f"__{name}__")
        for name in ("eq", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv",
                     "mod", "pow", "matmul", "and", "or", "xor")
    },
}  # fmt: skip


def _run(thing: Any) -> object:
    import asyncio

    async def awaited() -> object:
        return await thing

    return asyncio.run(awaited())
