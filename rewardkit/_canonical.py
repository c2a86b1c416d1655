"""Any Python value as plain data that says the same in every process.

Two processes that run the same code get the same data, whatever the seed of their hashes and
wherever their objects lie in memory: sets are sorted, nothing is shown by its address, and code is
shown by its source and by what it uses. So the data can be hashed and compared.

Code and classes stand in a table of their own (:attr:`Encoder.code`), each once, under a label that
counts in the order of meeting: functions may use each other in a circle.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import json
import operator
import pathlib
import re
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rewardkit._code import bytecode, home_of, imports_of, names_in, source_of

__all__ = ["MAX_DEPTH", "MAX_ITEMS", "Encoder"]

MAX_DEPTH = 40
"""Containers and objects within each other; what lies deeper counts by its type alone."""
MAX_ITEMS = 200_000
"""Values looked at in all; what comes after them counts by its type alone."""
_LONG = 400

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
# Types of the standard library whose pickled form is their value and nothing else. Not all: a
# random generator, a lock or a socket differ from process to process without a score differing.
_BY_REDUCTION = (
    collections.deque, collections.OrderedDict, collections.Counter, collections.defaultdict,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo,
    decimal.Decimal, fractions.Fraction, pathlib.PurePath, uuid.UUID, range, slice,
    operator.itemgetter, operator.attrgetter, operator.methodcaller,
)  # fmt: skip
_BUILTIN = (
    types.BuiltinFunctionType, types.MethodWrapperType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType,
)  # fmt: skip
_GENERATED = frozenset(
    f"__{name}__"
    for name in ("init", "repr", "eq", "hash", "lt", "le", "gt", "ge", "setattr", "delattr",
                 "replace", "getstate", "setstate")
)  # fmt: skip
"""Methods that ``dataclass`` writes; the fields say all that is in them."""


class Encoder:
    """Encodes values; one encoder for all that goes into one fingerprint.

    Attributes:
        code: what each label stands for: source, constants, what is used.
    """

    def __init__(self) -> None:
        self.code: dict[str, Any] = {}
        self._labels: dict[int, str] = {}
        self._kept: list[Any] = []  # an id means something only while its object lives
        self._waiting: collections.deque[tuple[str, Callable[[], Any]]] = collections.deque()
        self._inside: list[int] = []
        self._items = 0

    def encode(self, value: Any) -> Any:
        """The value as lists and text."""
        kind = type(value)
        if kind in _PLAIN:
            return _plain(value)
        self._items += 1
        if self._items > MAX_ITEMS or len(self._inside) > MAX_DEPTH:
            return ["more", kind.__qualname__]
        if id(value) in self._inside:
            return ["circle", len(self._inside) - self._inside.index(id(value))]
        self._inside.append(id(value))
        try:
            return self._encoded(value)
        finally:
            self._inside.pop()

    def finish(self) -> dict[str, Any]:
        """Work off what encoding has met; the table of code and classes."""
        while self._waiting:
            label, make = self._waiting.popleft()
            self.code[label] = make()
        return self.code

    def special(self, value: Any) -> Any:
        """A hook for values that a subclass knows better; ``None`` to go on as usual."""
        return None

    def _encoded(self, value: Any) -> Any:
        found = self.special(value)
        if found is not None:
            return found
        kind = type(value)
        if kind in (list, tuple):
            return [kind.__name__, self._sequence(value)]
        if kind in (set, frozenset):
            return [kind.__name__, self._set(value)]
        if kind in (dict, types.MappingProxyType):
            return ["dict", self._mapping(value)]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value, ())
        return self._callable(value) if callable(value) else self._object(value)

    def _sequence(self, values: Any) -> Any:
        if len(values) > _LONG and all(type(v) in _PLAIN for v in values):
            return _digest([_plain(v) for v in values])
        return [self.encode(v) for v in values]

    def _set(self, values: Any) -> Any:
        # Met in a stable order first, since the labels of code count in the order of meeting.
        made = [self.encode(v) for v in sorted(values, key=_stable)]
        made.sort(key=_text)
        return _digest(made) if len(made) > _LONG else made

    def _mapping(self, values: Mapping[Any, Any]) -> Any:
        # Sorted: a dict that was filled from a set has another order in every process.
        keys = sorted(values, key=_stable)
        made = [[self.encode(k), self.encode(values[k])] for k in keys]
        made.sort(key=_text)
        return _digest(made) if len(made) > _LONG else made

    def _callable(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return ["method", self.encode(value.__self__), self.encode(value.__func__)]
        if isinstance(value, functools.partial):
            keywords = self._mapping(value.keywords)
            return ["partial", self.encode(value.func), self._sequence(value.args), keywords]
        if isinstance(value, _BUILTIN):
            owner = getattr(value, "__self__", None)
            own = None if isinstance(owner, types.ModuleType) else self.encode(owner)
            return ["builtin", value.__qualname__, own]
        return self._object(value)

    def _function(self, fn: types.FunctionType) -> Any:
        home = home_of(fn)
        if home is not None:
            inner = vars(fn).get("__wrapped__")
            state = [self._cells(fn), self.encode(inner)] if fn.__closure__ else None
            return ["function", f"{fn.__module__}.{fn.__qualname__}", home, state]
        return ["code", self._label(fn, lambda: self._body(fn))]

    def _body(self, fn: types.FunctionType) -> dict[str, Any]:
        """A function by its own source (a wrapper's is not that of what it wraps) and what it
        reads."""
        names = names_in(fn.__code__)
        return {
            "source": source_of(fn.__code__),
            "defaults": self.encode(fn.__defaults__),
            "keyword defaults": self.encode(fn.__kwdefaults__),
            "closure": self._cells(fn),
            "attributes": self._mapping(vars(fn)),
            "globals": {
                name: self._global(fn.__globals__[name], names)
                for name in names
                if name in fn.__globals__
            },
            "imports": imports_of(fn),
        }

    def _global(self, value: Any, names: tuple[str, ...]) -> Any:
        return (
            self._module(value, names)
            if isinstance(value, types.ModuleType)
            else self.encode(value)
        )

    def _module(self, module: types.ModuleType, names: tuple[str, ...]) -> Any:
        """A module of the user's by those of its attributes that the code may mean."""
        home = home_of(module)
        if home is not None or id(module) in self._inside[:-1]:
            return ["module", module.__name__, home]
        used = [name for name in names if name in vars(module)]
        if not used:  # by a computed name, perhaps: then all that is in it may be meant
            return ["module", source_of(module)]
        self._inside.append(id(module))
        try:
            return ["module", {n: self._global(vars(module)[n], names) for n in used}]
        finally:
            self._inside.pop()

    def _cells(self, fn: types.FunctionType) -> list[Any]:
        return [self.encode(c.cell_contents) for c in fn.__closure__ or () if _filled(c)]

    def _class(self, cls: type) -> Any:
        home = home_of(cls)
        if home is not None:
            return ["class", f"{cls.__module__}.{cls.__qualname__}", home]
        return ["class", self._label(cls, lambda: self._members(cls))]

    def _members(self, cls: type) -> dict[str, Any]:
        members = {name: value for name, value in vars(cls).items() if _is_own(cls, name, value)}
        return {
            "source": source_of(cls),
            "bases": [self.encode(base) for base in cls.__bases__ if base is not object],
            "members": {name: self._member(value) for name, value in sorted(members.items())},
        }

    def _member(self, value: Any) -> Any:
        if isinstance(value, staticmethod | classmethod):
            return self.encode(value.__func__)
        if isinstance(value, property):
            return [self.encode(f) for f in (value.fget, value.fset, value.fdel)]
        if isinstance(value, functools.cached_property):
            return self.encode(value.func)
        return self.encode(value)

    def _object(self, value: Any) -> Any:
        """An object by its class and its state."""
        kind = type(value)
        if isinstance(value, re.Pattern) or _looks_like_pattern(value):
            return ["pattern", self.encode(value.pattern), self.encode(value.flags)]
        if kind.__module__ == "numpy" and hasattr(value, "tobytes") and not value.dtype.hasobject:
            return ["array", str(value.dtype), list(value.shape), _plain(value.tobytes())]
        if isinstance(value, enum.Enum):
            return ["enum", self.encode(kind), value.name, self.encode(value.value)]
        if kind in _BY_REDUCTION or isinstance(value, datetime.tzinfo | pathlib.PurePath):
            return ["value", self.encode(kind), self._reduced(value)]
        try:
            state = dict(self._state(value))
        except Exception:  # code of the object's own: it may raise anything
            return ["object", self.encode(kind), "its state cannot be read"]
        made = ["object", self.encode(kind), self._mapping(state)]
        base = next((b for b in (str, bytes, int, float, tuple, list, set, frozenset, dict)
                     if isinstance(value, b)), None)  # fmt: skip
        if base is not None:
            made.append(self._base(base, value))
        return made

    def _base(self, base: type, value: Any) -> Any:
        """The text, number or items of an object whose class adds to them."""
        if base is dict:
            return self._mapping(dict(dict.items(value)))
        if base in (tuple, list):
            return [self.encode(item) for item in base.__iter__(value)]
        if base in (set, frozenset):
            return self._set(frozenset(base.__iter__(value)))
        return _plain(base.__getitem__(value, slice(None)) if base in (str, bytes) else base(value))

    def _reduced(self, value: Any) -> list[Any]:
        """What pickle would keep of it, its class aside."""
        _, *rest = value.__reduce_ex__(4)
        plain = [list(part) if isinstance(part, Iterator) else part for part in rest]
        return [self.encode(part) for part in plain]

    def _state(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Fields (but those that do not bear on equality) and attributes by name.

        Of another package's objects only fields of a dataclass, and functions in them: the rest
        (a client, a tokenizer) holds what differs from process to process. An object of the user's
        that does so too says by ``__getstate__`` what counts.
        """
        kind = type(value)
        own = home_of(kind) is None
        if own and getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):
            yield "state", value.__getstate__()
            return
        fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        known = {f.name for f in fields}
        for name in sorted(f.name for f in fields if f.compare):
            if hasattr(value, name):
                yield name, getattr(value, name)
        for name, found in _attributes(value):
            cached = isinstance(getattr(kind, name, None), functools.cached_property)
            code = isinstance(found, types.FunctionType | types.MethodType)
            wanted = own or code or name == "__wrapped__"
            if name not in known and wanted and not cached and not name.startswith("__pydantic"):
                yield name, found

    def _label(self, thing: Any, make: Callable[[], Any]) -> str:
        if id(thing) not in self._labels:
            label = f"{thing.__qualname__}#{len(self._labels)}"
            self._labels[id(thing)] = label
            self._kept.append(thing)
            self._waiting.append((label, make))
        return self._labels[id(thing)]


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """What is in an object's ``__dict__`` and slots; no property is asked."""
    held = getattr(value, "__dict__", None)
    if isinstance(held, dict):
        yield from ((str(name), found) for name, found in held.items())
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if isinstance(vars(kind).get(name), types.MemberDescriptorType) and hasattr(
                value, name
            ):
                yield name, getattr(value, name)


def _is_own(cls: type, name: str, value: Any) -> bool:
    """Whether a member of a class is the user's, and not what Python or a decorator put there."""
    if name.startswith(("__pydantic", "_abc_")) or isinstance(value, types.MemberDescriptorType):
        return False
    if not (name.startswith("__") and name.endswith("__")):
        return True
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if not isinstance(value, types.FunctionType) or home_of(value) is not None:
        return False
    return not (name in _GENERATED and value.__code__.co_filename == "<string>"
                and "__dataclass_fields__" in vars(cls))  # fmt: skip


def _looks_like_pattern(value: Any) -> bool:
    """Of the package ``regex``, whose class has no public name."""
    return type(value).__qualname__ == "Pattern" and hasattr(value, "groupindex")


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        text = hex(value)  # repr refuses a number of thousands of digits
    else:
        text = repr(value)
    return text if len(text) <= _LONG else _digest(text)


def _stable(value: Any) -> tuple[str, str]:
    """A key to sort by that neither hashes nor addresses bear on."""
    kind = type(value)
    if kind in _PLAIN:
        return kind.__name__, repr(value) if kind is not int else hex(value)
    if isinstance(value, types.FunctionType):
        return value.__qualname__, bytecode(value.__code__)
    if kind in (tuple, frozenset):
        inner = (_stable(v) for v in value)
        return kind.__name__, repr(list(inner) if kind is tuple else sorted(inner))
    return kind.__qualname__, str(getattr(value, "__qualname__", getattr(value, "name", "")))


def _text(made: Any) -> str:
    return json.dumps(made)


def _digest(made: Any) -> list[Any]:
    data = _text(made).encode()
    return ["digest", len(made), hashlib.sha256(data).hexdigest()]
