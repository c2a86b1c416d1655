"""The process of trusted tests; the judged code is in another one, behind a socket.

Nothing of the judged code runs here and nothing it sends is executed, so what is counted here
holds. The report is ``MAGIC`` and one encoded list:

- ``["report", units, ended, error]``: per assert, in the order of the text, and then per method of
  a ``TestCase``, ``[status, reason]``; whether all ran to the end; what stopped them, if anything;
- ``["not_loaded", type name, message, line]``: the judged code does not load;
- ``["broken", why]``: the tests do not, before they met any judged code.
"""

from __future__ import annotations

import builtins
import importlib
import marshal
import os
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any, cast

from rewardkit.verifiers.code.codec import decode, encode
from rewardkit.verifiers.code.inside.wire import MOST, Gone, Peer

__all__ = ["MAGIC", "main"]

MAGIC = b"rewardkit tests 1\n"

_NOT_RUN, _PASSED, _WRONG, _ERROR = "not_run", "passed", "wrong", "error"
_MOST_TEXT = 300
_COROUTINE = 0x80  # inspect.CO_COROUTINE


class _BrokenError(Exception):
    """The tests themselves cannot be run."""


def main() -> None:
    """Run the tests that stand on stdin, and write the report."""
    channel = os.dup(1)
    with open(0, "rb", closefd=False) as stdin:
        plan = cast(dict[str, Any], decode(stdin.read()))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    try:
        report = _Tests(plan).run()
    except _BrokenError as error:
        report = ["broken", str(error)[:_MOST_TEXT]]
    data = MAGIC + encode(report, MOST)
    while data:
        data = data[os.write(channel, data) :]
    os._exit(0)


class _Tests:
    """One script of tests, and what became of its asserts."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._units: list[list[str]] = [[_NOT_RUN, ""] for _ in range(plan["asserts"])]
        self._errors: list[str] = []
        self._module = ModuleType("tests")
        self._entry: object = None
        self._peer = Peer(self._serve)

    def run(self) -> list[object]:
        names = self._prepare()
        try:
            word = self._peer.hear()
            if word and word[0] == "not_loaded":
                return word
            if word != ["ready"]:
                raise Gone
            try:
                self._bind(names)
            except Exception as error:  # what the tests call by name is not there
                return ["not_loaded", type(error).__name__, str(error)[:_MOST_TEXT], 0]
            ended = self._run_all()
        except Gone:
            ended = False
        ended = ended and not self._peer.gone
        return ["report", self._units, ended, self._errors[0] if self._errors else ""]

    def _prepare(self) -> dict[str, Any]:
        """Everything that could fail without any fault of the judged code."""
        names = vars(self._module)
        spare: dict[str, Any] = {}
        try:
            for name, parts in self._plan["imports"].items():
                _check_import(name, parts)
            for name, where in self._plan["spares"].items():
                module, _, attribute = where.partition(":")
                found = importlib.import_module(module)
                spare[name] = getattr(found, attribute) if attribute else found
            if self._plan["prelude"]:
                prelude = compile(self._plan["prelude"], "prelude.py", "exec", dont_inherit=True)
                exec(prelude, names)
        except Exception as error:
            raise _BrokenError(f"{type(error).__name__}: {error}") from None
        return spare

    def _bind(self, spare: dict[str, Any]) -> None:
        """Give the tests the names of the judged code: those that nothing else goes by, and those
        that the plan says are its own."""
        plan = self._plan
        theirs = self._peer.ask("names", plan["wanted"] + plan["own"])
        if type(theirs) is not dict:
            raise TypeError("no names came")
        first = {name: theirs[name] for name in plan["own"] if name in theirs}
        last = {name: theirs[name] for name in plan["wanted"] if name in theirs}
        if plan["entry"]:
            self._entry = self._peer.ask("find", plan["entry"])
            if "." not in plan["entry"]:
                first[plan["entry"]] = self._entry
        counts = {"__passed__": self._passed, "__failed__": self._failed}
        vars(self._module).update(first)
        vars(self._module)["__builtins__"] = {**last, **spare, **vars(builtins), **counts}
        sys.modules["solution"] = _Solution(self._peer)
        sys.modules["tests"] = sys.modules["__main__"] = self._module

    def _run_all(self) -> bool:
        code = marshal.loads(self._plan["code"])
        ended = self._guarded(lambda: exec(code, vars(self._module)))
        for call in self._functions():
            ended = self._guarded(call) and ended
        for case in self._cases():
            self._run_case(case)
        return ended and all(unit[0] == _PASSED for unit in self._units[self._plan["asserts"] :])

    def _guarded(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except SystemExit as end:  # "unittest.main()"; never the judged code's, see _error in wire
            return end.code in (None, 0)
        except Exception as error:
            self._errors.append(_told(error))
            return False
        return True

    def _functions(self) -> Iterable[Callable[[], object]]:
        """What is to be called: ``check(entry)``, and functions that pytest would collect."""
        found = vars(self._module)
        if self._plan["check"]:
            yield lambda: found["check"](self._entry)
        for name in self._plan["functions"]:
            function = found.get(name)
            if isinstance(function, FunctionType):
                yield _awaited(function) if function.__code__.co_flags & _COROUTINE else function

    def _cases(self) -> list[Any]:
        """Methods of test cases, one by one."""
        if not self._plan["unittest"]:
            return []
        import unittest

        loader = unittest.TestLoader()
        found: list[Any] = []
        for thing in list(vars(self._module).values()):
            if isinstance(thing, type) and issubclass(thing, unittest.TestCase):
                for name in loader.getTestCaseNames(thing):
                    if not _skipped(thing, name):
                        found.append(thing(name))
        return found

    def _run_case(self, case: Any) -> None:
        import unittest

        result = unittest.TestResult()
        unit = [_NOT_RUN, ""]
        self._units.append(unit)
        # A suite, not the case alone: it calls setUpClass.
        unittest.TestSuite([case]).run(result)
        bad = [*result.errors, *result.failures]
        if bad:
            status = _WRONG if result.failures else _ERROR
            unit[:] = [status, bad[0][1].strip().rpartition("\n")[2][:_MOST_TEXT]]
        elif result.testsRun == 1 and not result.skipped and not result.unexpectedSuccesses:
            unit[:] = [_PASSED, ""]

    def _passed(self, number: int) -> None:
        if self._units[number][0] == _NOT_RUN:
            self._units[number][:] = [_PASSED, ""]

    def _failed(self, number: int, error: Exception) -> None:
        if self._units[number][0] in (_NOT_RUN, _PASSED):
            status = _WRONG if isinstance(error, AssertionError) else _ERROR
            self._units[number][:] = [status, _told(error)]

    def _serve(self, verb: str, parts: list[Any]) -> object:
        """What judged code may do with an object that a test gave it: call it, read it as a
        sequence, and use an object of the tests' own classes, but nothing behind an underscore:
        from a function's ``__globals__`` the expected values could be read and replaced."""
        thing, *rest = parts
        if verb in ("getattr", "setattr"):
            own = type(thing).__module__ == "tests" and type(rest[0]) is str
            if not own or rest[0].startswith("_"):
                raise AttributeError(f"no {rest[0]!r} for judged code")
            if verb == "getattr":
                return getattr(thing, rest[0])
            if callable(getattr(type(thing), rest[0], None)):
                raise AttributeError(f"no {rest[0]!r} to set for judged code")
            setattr(thing, *rest)
            return None
        return _SERVED[verb](thing, *rest)


_SERVED: dict[str, Callable[..., Any]] = {
    "call": lambda thing, arguments, named: thing(*arguments, **named),
    "getitem": lambda thing, key: thing[key],
    "slice": lambda thing, *bounds: thing[slice(*bounds)],
    "iter": iter,
    "next": next,
    "len": len,
    "bool": bool,
    "str": str,
    "repr": repr,
    "hash": hash,
    "eq": lambda one, other: one == other,
    "lt": lambda one, other: one < other,
}


class _Solution(ModuleType):
    """The judged code, for tests that import it."""

    def __init__(self, peer: Peer) -> None:
        super().__init__("solution")
        self.__dict__["_peer"] = peer

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        found = self.__dict__["_peer"].ask("names", [name])
        if type(found) is not dict or name not in found:
            raise AttributeError(f"the code does not define {name!r}")
        return found[name]


def _check_import(name: str, parts: list[str]) -> None:
    module = importlib.import_module(name)
    for part in parts:
        if not hasattr(module, part):
            try:
                importlib.import_module(f"{name}.{part}")
            except ModuleNotFoundError:
                raise ImportError(f"cannot import name {part!r} from {name!r}") from None


def _awaited(function: Callable[..., Any]) -> Callable[[], object]:
    import asyncio

    return lambda: asyncio.run(function())


def _skipped(case: type, name: str) -> bool:
    """By a decorator: the test's own decision, which no judged code can bring about."""
    method = getattr(case, name)
    return any(getattr(thing, "__unittest_skip__", False) is True for thing in (case, method))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_MOST_TEXT].removesuffix(": ")
