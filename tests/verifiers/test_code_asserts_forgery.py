"""Tests that are Python text are not fooled by the code, nor turned against themselves."""

from __future__ import annotations

import pytest
from judged_code import Judge

from rewardkit.sandbox import Limits

ARGUMENTS = {"kind": "assert", "extract": "whole", "limits": Limits(cpu_s=2)}
SECRET = 7_919_000_123
# Each is wrong for f(n) == SECRET + n; none may be paid for any assert below.
FORGERIES = {
    "control": "def f(n): return 0",
    "equals everything": "class A:\n    def __eq__(self, o): return True\n    __ne__ = lambda s, o: False\n    __hash__ = None\ndef f(n): return A()",
    "int that equals everything": "class A(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef f(n): return A(3)",
    "list that equals everything": "class A(list):\n    def __eq__(self, o): return True\ndef f(n): return A([1])",
    "orders and subtracts": "class A:\n    __lt__ = __le__ = __gt__ = __ge__ = lambda s, o: True\n    __sub__ = __rsub__ = __abs__ = lambda s, *o: A()\n    __float__ = lambda s: 0.0\n    __contains__ = lambda s, o: True\n    __round__ = lambda s, *o: A()\ndef f(n): return A()",
    "answers yes": "class A:\n    def __getattr__(self, name): return lambda *a: True\ndef f(n): return A()",
    "lies about its class": "class A:\n    __class__ = property(lambda s: int)\n    def __index__(self): return 1\n    __int__ = __index__\ndef f(n): return A()",
    "exits": "raise SystemExit(0)",
    "exits in the call": "def f(n): raise SystemExit(0)",
    "ends the process": "import os; os._exit(0)",
    "ends the process in the call": "import os\ndef f(n): os._exit(0)",
    "raises AssertionError": "def f(n): raise AssertionError",
    "raises SkipTest": "import unittest\ndef f(n): raise unittest.SkipTest('skip')",
    "raises KeyboardInterrupt": "def f(n): raise KeyboardInterrupt",
    "raises StopIteration": "def f(n): raise StopIteration",
    "patches unittest": "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\nunittest.TestResult.addFailure = lambda *a: None\ndef f(n): return 0",
    "patches builtins": "import builtins\nbuiltins.AssertionError = SystemExit\nbuiltins.isinstance = lambda *a: True\ndef f(n): return 0",
    "walks frames": "import sys\ndef f(n):\n    found, frame = [0], sys._getframe()\n    while frame:\n        found += [v for v in {**frame.f_locals, **frame.f_globals}.values() if type(v) is int and v > 10 ** 9]\n        frame = frame.f_back\n    return max(found)",
    "scans the heap": "import gc\ndef f(n):\n    return max((x for t in gc.get_objects() if isinstance(t, (list, tuple)) for x in t if type(x) is int and 7 * 10 ** 9 < x < 8 * 10 ** 9), default=0)",
    "asks the tests": "import sys\ndef f(n):\n    import gc\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Peer':\n            for verb in ('names', 'find', 'getattr', 'call', 'eq'):\n                try: return o.ask(verb, ['expected', 'candidate'], 0)\n                except Exception: pass\n    return 0",
    "answers in advance": "import os\ndef f(n):\n    os.write(3, b'\\0' * 4)\n    return 0",
    "sends a huge length": "import os\ndef f(n):\n    os.write(3, b'\\xff' * 4)\n    return 0",
    "sends what is no value": "import os\ndef f(n):\n    os.write(3, b'\\x05\\0\\0\\0zzzzz')\n    return 0",
    "sends a deep value": "def f(n):\n    x = []\n    for _ in range(10 ** 5): x = [x]\n    return x",
    "sends colliding keys": "def f(n): return {i * (2 ** 61 - 1): 0 for i in range(3000)}",
    "closes the channel": "import os\ndef f(n):\n    os.close(3)\n    return 0",
    "closes the channel at import": "import os\nos.closerange(0, 64)\ndef f(n): return 0",
    "hangs": "def f(n):\n    while True: pass",
    "hangs at import": "while True: pass",
    "stops answering": "import time\ndef f(n): time.sleep(1000)",
    "asks without end": "def f(n):\n    return f(n)",
    "endless generator": "def f(n):\n    while True: yield n",
    "fills the memory": "def f(n):\n    x = []\n    while True: x.append('x' * 10 ** 6)",
    "prints a report": "import os\ndef f(n):\n    for fd in range(1, 9):\n        try: os.write(fd, b'rewardkit tests 1\\n')\n        except OSError: pass\n    return 0",
    "message that lies": "class E(Exception):\n    def __str__(self): raise SystemExit(0)\ndef f(n): raise E",
    "replaces the entry": "import sys\ndef f(n):\n    sys.modules['solution'].f = lambda n: True\n    return True",
    "returns its argument": "def f(n): return n",
    "nan": "def f(n): return float('nan')",
    "infinity": "def f(n): return float('inf')",
    "not implemented": "def f(n): return NotImplemented",
    "mock": "from unittest.mock import ANY, MagicMock\ndef f(n): return ANY if n % 2 else MagicMock()",
}  # fmt: skip
SUITES = {
    "check": "def check(candidate):\n"
    + "".join(f"    assert candidate({n}) == {SECRET + n}\n" for n in range(3)),
    "close": "import math\ndef check(candidate):\n"
    f"    assert abs(candidate(1) - {SECRET + 1}) < 1e-6\n"
    f"    assert {SECRET} < candidate(1) < {SECRET + 2}\n"
    f"    assert math.isclose(candidate(1), {SECRET + 1})\n"
    f"    assert round(candidate(1)) in [{SECRET + 1}]\n"
    f"    assert {SECRET + 1} in [candidate(1)]\n"
    f"    assert float(candidate(2)) == {SECRET + 2}.0\n",
    "unittest": "import unittest\nclass T(unittest.TestCase):\n"
    f"    def test_one(self): self.assertEqual(f(1), {SECRET + 1})\n"
    f"    def test_two(self): self.assertAlmostEqual(f(2), {SECRET + 2})\n"
    f"    def test_three(self): self.assertIn(f(3), [{SECRET + 3}])\n",
}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_is_not_paid(judge: Judge, name: str, suite: str) -> None:
    limits = Limits(cpu_s=0.4, wall_s=2, memory_mb=256)
    entry = None if suite == "unittest" else "f"
    verdict = judge(FORGERIES[name], SUITES[suite], entry=entry, limits=limits)
    assert verdict.status == "incorrect", verdict
    assert verdict.credit == 0.0, verdict.evidence.details
    assert verdict.reason.isprintable()


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        # An argument emptied in the call, so that what is computed of it comes out as returned.
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1, 2]\nassert f(x) == sorted(x)"),
        ("def f(x):\n    x.clear()\n    return 0", "x = [3, 1, 2]\nr = f(x)\nassert r == sum(x)"),
        # An object that says yes to what plain values are asked.
        ("class A:\n    def __getattr__(self, n): return lambda *a: True\ndef f(x): return A()",
         "assert f(1).startswith('ab')"),
        ("class A:\n    def __getattr__(self, n): return lambda *a: True\ndef f(x): return A()",
         "assert f(1).issuperset({1, 2})"),
        # The expected value must not be told to the object it is compared with.
        ("seen = []\nclass A:\n    def __eq__(self, o): seen.append(o); return True\n"
         "    __lt__ = __sub__ = __contains__ = __eq__\ndef f(x): return seen or A()",
         "assert f(1) == 5 or 5 in f(1) or f(1) < 5 or f(1) - 5 == 0"),
        # Names that the tests take for granted are not asked of the code.
        ("def isclose(*a, **k): return True\ndef f(x): return 0", "assert isclose(f(1), 2.5)"),
        ("class math:\n    isclose = lambda *a, **k: True\ndef f(x): return 0",
         "assert math.isclose(f(1), 2.5)"),
        ("class Counter:\n    def __init__(self, *a): pass\n    __eq__ = lambda s, o: True\n"
         "def f(x): return []", "assert Counter(f(1)) == Counter([1])"),
        ("def sorted(x): return 7\ndef f(x): return 7", "assert f([2, 1]) == sorted([2, 1])"),
        ("def len(x): return 0\ndef f(x): return []", "assert len(f(1)) == len([1])"),
        # The tests' own objects cannot be reached into, nor rewritten.
        ("def f(g): return g.__globals__['SECRET']", "SECRET = 5\nassert f(lambda: 0) == SECRET"),
        ("def f(g): return g.gi_frame.f_globals['SECRET']",
         "SECRET = 5\nassert f(x for x in ()) == SECRET"),
        ("def f(t):\n    t.fail = t.assertEqual = lambda *a: None",
         "import unittest\nclass T(unittest.TestCase):\n"
         "    def test_it(self):\n        self.assertEqual(f(self), 5)"),
        ("def f(t):\n    t.skipTest('no')\n    return 5",
         "import unittest\nclass T(unittest.TestCase):\n"
         "    def test_it(self):\n        self.assertEqual(f(self), 6)"),
        # Nor ended early, before the comparison that would fail.
        ("def f(x): raise StopIteration", "assert all(map(lambda c: f(c[0]) == c[1], [(1, 2)]))"),
        ("def f(x):\n    if x: raise StopIteration\n    return 7",
         "for got, want in zip(map(f, [0, 1]), [7, 8]):\n    assert got == want"),
        ("class A:\n    def __len__(self): raise StopIteration\n    __bool__ = __len__\ndef f(x): return A()",
         "assert all(map(lambda c: bool(f(c)), [1]))"),
        ("async def f(x): raise StopAsyncIteration",
         "import asyncio\nasync def each():\n    for n in (1, 2): yield await f(n)\n"
         "async def test_it():\n    async for x in each():\n        assert x == 5"),
        # The code may not take the place of the names that count.
        ("def __passed__(n): pass\ndef f(n): return 0", "assert f(1) == 5"),
        ("check = lambda c: None\ndef f(n): return 0", "def check(candidate):\n    assert candidate(1) == 5"),
    ],
)  # fmt: skip
def test_tests_are_not_turned_against_themselves(judge: Judge, code: str, tests: str) -> None:
    entry = "f" if "def check" in tests else None
    verdict = judge(code, tests, entry=entry)
    assert verdict.status == "incorrect", verdict
    assert verdict.credit == 0.0, verdict.evidence.details
