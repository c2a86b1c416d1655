"""An object of the other process, as it is used on this side."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

__all__ = ["Stub"]

# What plain values answer with yes or no: asked of an object in their place, with the expected
# value as the argument, "yes" to everything would pass.
_YES_OR_NO = frozenset(
    name
    for kind in (str, bytes, set, frozenset, float, int)
    for name in dir(kind)
    if name.startswith("is") or name in ("startswith", "endswith")
)


class Stub:
    """An object of the other process. What is done with it is done there.

    It equals no plain value, has no order, no arithmetic and no ``in`` with one: the other side
    would learn the expected value, and could say "yes" to it. With other stubs it has them all.
    """

    __slots__ = ("_number", "_peer")

    _number: int
    _peer: Any

    def __init__(self, peer: Any, number: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        if name in _YES_OR_NO or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return self._peer.ask("getattr", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._peer.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._peer.ask("delattr", self, name)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self._peer.ask("call", self, list(args), kwargs)

    def __getitem__(self, key: object) -> Any:
        if isinstance(key, slice):
            return self._peer.ask("slice", self, key.start, key.stop, key.step)
        return self._peer.ask("getitem", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self._peer.ask("setitem", self, key, value)

    def __delitem__(self, key: object) -> None:
        self._peer.ask("delitem", self, key)

    def __iter__(self) -> Any:
        return self._peer.ask("iter", self)

    def __next__(self) -> Any:
        return self._peer.ask("next", self)

    def __await__(self) -> Generator[None, None, Any]:
        return self._peer.ask("await", self)
        yield  # which makes it a generator, as awaiting wants

    def __len__(self) -> int:
        return int(self._peer.ask("len", self))

    def __bool__(self) -> bool:
        return self._peer.ask("bool", self) is True

    def __str__(self) -> str:
        return str(self._peer.ask("str", self))

    def __repr__(self) -> str:
        return str(self._peer.ask("repr", self))

    def __hash__(self) -> int:
        return hash(self._peer.ask("hash", self))

    def __enter__(self) -> Any:
        return self._peer.ask("enter", self)

    def __exit__(self, *_: object) -> None:
        self._peer.ask("exit", self)

    def __instancecheck__(self, instance: object) -> bool:
        if type(instance) is not Stub:
            return False
        return self._peer.ask("isinstance", instance, self) is True

    def __eq__(self, other: object) -> bool:
        if type(other) is not Stub:
            return NotImplemented
        return other is self or self._peer.ask("eq", self, other) is True


def _both(verb: str) -> Callable[[Stub, object], Any]:
    def ask(self: Stub, other: object) -> Any:
        if type(other) is not Stub:
            return NotImplemented
        return self._peer.ask(verb, self, other)

    return ask


for _verb in ("lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
              "matmul", "and", "or", "xor"):  # fmt: skip
    setattr(Stub, f"__{_verb}__", _both(_verb))
