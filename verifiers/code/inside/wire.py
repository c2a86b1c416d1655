"""Two processes that use each other's objects: trusted tests, and judged code.

Both sides run this. Plain data travel as themselves; all else travels as a number under which its
owner keeps it, and is a :class:`Stub` on the other side. A message is four bytes of length and one
encoded list:

- ``["ask", verb, object, ...]``: do that with your object;
- ``["value", result, changed]``: what came of it, and the arguments if the call changed them;
- ``["raised", names, text]``: it raised; names of its type and of that type's bases.

What the judged side says is data: it may answer as it likes, but only with plain values, with stubs
that equal no plain value, and by raising. Whatever compares them is on the side of the tests.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from types import CoroutineType
from typing import Any, NoReturn

from rewardkit.verifiers.code.codec import REAL, decode, encode
from rewardkit.verifiers.code.extras import EXTRAS, CodecError, Items, make_extra
from rewardkit.verifiers.code.inside.stub import Stub

__all__ = ["CHANNEL", "MOST", "Gone", "Peer"]

CHANNEL = 3
"""The descriptor of the socket between the two."""
MOST = 1 << 24
"""Most bytes of a message."""

Serve = Callable[[str, list[Any]], object]


class Gone(BaseException):
    """The other process has ended, or sent what is no message. Not an ``Exception``: tests that
    catch those go on, and would take its end for an answer."""


class Peer:
    """The other process."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._own: list[object] = []
        self._numbers: dict[int, int] = {}
        self._stubs: dict[int, Stub] = {}
        extras = {**EXTRAS, "mine": self._stub, "yours": self._back, "task": self._task}
        self._makers = {**REAL, b"x": lambda items: make_extra(items, extras)}
        self.gone = False

    def ask(self, verb: str, *parts: object) -> Any:
        """Let the other side do something; its result.

        Raises:
            Gone: it has ended.
            Exception: what it raised, as the nearest built-in type.
        """
        self._send(["ask", verb, *parts])
        while True:
            match self._receive():
                case ["ask", str(inner), *rest]:
                    self._answer(inner, rest)
                case ["value", value, changed]:
                    if verb == "call" and value is None:
                        _follow(list(parts[1:]), changed)
                    return value
                case ["raised", list(names), str(text)]:
                    raise _error(names, text, verb)
                case _:
                    self._lost()

    def say(self, *message: object) -> None:
        """Send a first word, for :meth:`hear`."""
        self._send(list(message))

    def hear(self) -> list[object]:
        """The first word of the other side. Raises ``Gone``."""
        word = self._receive()
        return word if isinstance(word, list) else self._lost()

    def serve_all(self) -> NoReturn:
        """Answer until the other side ends. Raises ``Gone``."""
        while True:
            match self._receive():
                case ["ask", str(verb), *parts]:
                    self._answer(verb, parts)
                case _:
                    self._lost()

    def _answer(self, verb: str, parts: list[Any]) -> None:
        try:
            before = encode(parts[1:], MOST, self._refer) if verb == "call" else b""
            value = self._serve(verb, parts)
            changed = None
            # A result is compared, often with what the test computes of the arguments: only a call
            # that returns nothing may be seen by what it did to them.
            if verb == "call" and value is None:
                changed = parts[1:] if encode(parts[1:], MOST, self._refer) != before else None
            reply = encode(["value", value, changed], MOST, self._refer)
        except Gone:
            raise
        except BaseException as error:
            reply = encode(["raised", *_described(error)], MOST)
        self._write(reply)

    def _send(self, message: list[object]) -> None:
        self._write(encode(message, MOST, self._refer))

    def _write(self, data: bytes) -> None:
        data = len(data).to_bytes(4, "little") + data
        try:
            while data:
                data = data[os.write(CHANNEL, data) :]
        except OSError:
            self._lost()

    def _receive(self) -> Any:
        size = int.from_bytes(self._read(4), "little")
        if size > MOST:
            self._lost()
        try:
            return decode(self._read(size), self._makers)
        except (CodecError, TypeError):  # a list as the key of a dict is a TypeError
            self._lost()

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(CHANNEL, min(size, 1 << 20))
            except OSError:
                part = b""
            if not part:
                self._lost()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _lost(self) -> NoReturn:
        self.gone = True
        raise Gone

    def _refer(self, value: object) -> Items:
        if type(value) is Stub:
            return ["yours", object.__getattribute__(value, "_number")]
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._own)
            self._own.append(value)  # kept, so that its id stays its own
        return ["task" if type(value) is CoroutineType else "mine", number]

    def _stub(self, number: int) -> Stub:
        if type(number) is not int:
            raise TypeError("no number")
        if number not in self._stubs:
            self._stubs[number] = Stub(self, number)
        return self._stubs[number]

    async def _task(self, number: int) -> object:
        """A coroutine of the other side as one of this side: asyncio takes no other."""
        return await self._stub(number)

    def _back(self, number: int) -> object:
        if type(number) is not int or number < 0:
            raise TypeError("no number")
        return self._own[number]


def _follow(arguments: list[Any], changed: object) -> None:
    """Bring changes that a call made in its arguments over to the originals."""
    if not isinstance(changed, list) or len(changed) != len(arguments):
        return
    for old, new in zip(arguments, changed, strict=True):
        _update(old, new)


def _update(old: Any, new: Any) -> None:
    if type(old) is not type(new):
        return
    if type(old) in (list, tuple) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            if type(one) is type(other) and type(one) in (list, tuple, dict, set):
                _update(one, other)
            elif type(old) is list:
                old[index] = other
    elif type(old) is list:
        old[:] = new
    elif type(old) is dict:
        for key in [key for key in old if key not in new]:
            del old[key]
        for key, value in new.items():
            if key in old and type(old[key]) in (list, dict, set):
                _update(old[key], value)
            else:
                old[key] = value
    elif type(old) is set:
        old.clear()
        old.update(new)


def _described(error: BaseException) -> tuple[list[str], str]:
    names = [base.__name__ for base in type(error).__mro__]
    try:
        return names, str(error)[:1000]
    except BaseException:  # its own __str__
        return names, ""


def _error(names: list[object], text: str, verb: str) -> Exception:
    """The nearest built-in exception. Never one that ends the tests instead of failing them."""
    for name in names:
        kind = getattr(builtins, name, None) if isinstance(name, str) else None
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            continue
        # It would end a loop of the tests ("all(map(...))") before its last comparison.
        if issubclass(kind, StopIteration | StopAsyncIteration) and verb != "next":
            break
        try:
            return kind(text)
        except TypeError:  # it wants more arguments
            continue
    return RuntimeError(f"{names[0] if names else ''}: {text}"[:1000])
