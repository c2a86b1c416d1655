"""Tests that are Python text: they run beside the judged code, use it freely, and cannot be fooled.

The tests are in one process, the code in another; what passes between them is plain data, or an
object that stays where it is.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.errors import UsageError
from rewardkit.sample import Column
from rewardkit.sandbox import Limits, Sandbox
from rewardkit.verdict import Verdict
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code.asserts import count_asserts

SECRET = 7_919_000_123
Judge = Callable[..., Verdict]


@pytest.fixture
def judge(box: Sandbox) -> Judge:
    """Verdict on some code by tests that are text."""

    def run(code: str, tests: Any, **arguments: Any) -> Verdict:
        arguments.setdefault("limits", Limits(cpu_s=2))
        verifier = CodeVerifier(tests, kind="assert", sandbox=box, extract="whole", **arguments)
        return verifier.verify(Sample(completion=code))

    return run


def statuses(verdict: Verdict) -> list[str]:
    return list(verdict.evidence.details["statuses"])


CHECK = """
def check(candidate):
    assert candidate(1) == 1
    assert candidate(2) == 4, "two"
    assert candidate(3) == 9
    assert candidate(-1) == 1
    assert candidate(0) == 0
"""


def test_right_code_passes_every_form_of_tests(judge: Judge) -> None:
    code = "def f(n): return n * n"
    forms: list[Any] = [
        ["assert f(1) == 1", "assert f(3) == 9"],
        "assert f(1) == 1\nassert f(3) == 9",
        "from solution import f\ndef test_one():\n    assert f(1) == 1",
        "import solution\nasync def test_one():\n    assert solution.f(3) == 9",
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n"
        "        self.assertEqual(f(3), 9)\nif __name__ == '__main__':\n    unittest.main()",
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n"
        "        self.assertEqual(f(3), 9)\nunittest.main()",
        "from solution import *\nassert f(3) == 9",
        "import sys\nassert f(3) == 9\nsys.exit()",
    ]
    for tests in forms:
        verdict = judge(code, tests)
        assert verdict.status == "correct", verdict.reason
    wrong = "def f(n): return n + 1"
    for tests in forms:
        assert judge(wrong, tests).credit == 0.0
    assert judge(code, "import sys\nassert f(3) == 9\nsys.exit(1)").status == "incorrect"
    assert judge(code, CHECK, entry="f").status == "correct"
    assert judge(code, CHECK + "\ncheck(f)", entry="f").status == "correct"


@pytest.mark.parametrize("right", range(5))
def test_credit_is_the_exact_share_of_asserts(judge: Judge, right: int) -> None:
    code = f"made = iter([True] * {right})\ndef f(n): return n * n if next(made, False) else None"
    verdict = judge(code, CHECK, entry="f")
    assert verdict.status == "incorrect"
    assert verdict.credit == right / 5
    assert statuses(verdict) == ["passed"] * right + ["wrong"] * (5 - right)


def test_the_evidence_names_the_assert_that_failed(judge: Judge) -> None:
    verdict = judge("def f(n):\n    return 1 // (n - 2) * 0 + n * n + (n == 0)", CHECK, entry="f")
    details = verdict.evidence.details
    assert details["statuses"] == ["passed", "error", "passed", "passed", "wrong"]
    assert details["reasons"]["2"].startswith("line 4: assert candidate(2) == 4: ZeroDivisionError")
    assert details["reasons"]["5"] == "line 7: assert candidate(0) == 0: AssertionError"


def test_credit_counts_methods_of_test_cases(judge: Judge) -> None:
    tests = """
import unittest
from solution import f, Missing

class Squares(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.three = f(3)
    def setUp(self):
        self.two = f(2)
    def test_two(self):
        self.assertEqual(self.two, 4)
    def test_three(self):
        self.assertEqual(self.three, 9)
    def test_text(self):
        with self.assertRaises(TypeError):
            f("x")
    def test_wrong(self):
        self.assertTrue(f(2) == 5)
    @unittest.skip("not here")
    def test_never(self):
        self.fail()
"""
    code = "class Missing: pass\ndef f(n): return n * n"
    verdict = judge(code, tests)
    assert (verdict.status, verdict.credit) == ("incorrect", 0.75)
    assert judge("def f(n): return n * n", tests).credit == 0.0  # nothing to import


def test_asserts_behind_a_condition_need_not_be_come_by(judge: Judge) -> None:
    tests = """
try:
    f(-1)
    assert False, "negative numbers must be refused"
except ValueError as error:
    assert "negative" in str(error)
if f(4) > 100:
    assert f(4) == 101
def helper(n):
    assert f(n) >= 0
for n in range(3):
    helper(n)
assert f(4) == 2
"""
    code = (
        "def f(n):\n    if n < 0:\n        raise ValueError('negative')\n    return round(n ** 0.5)"
    )
    verdict = judge(code, tests)
    assert verdict.status == "correct", verdict.reason
    silent = judge(code.replace("raise ValueError('negative')", "return 0"), tests)
    assert silent.status == "incorrect"
    assert 0 < (silent.credit or 0) < 1


@pytest.mark.parametrize(
    "tests",
    [
        "for x in f(1):\n    assert x > 0",
        "result = f(1)\nif result:\n    assert result == [1]",
        "assert all(x == 5 for x in f(2)) and len(f(2)) == 3",
    ],
)
def test_asserts_that_are_never_come_by_do_not_pass(judge: Judge, tests: str) -> None:
    assert judge("def f(n): return []", tests).status == "incorrect"


def test_a_script_that_ends_early_passes_only_what_it_came_by(judge: Judge) -> None:
    tests = ["assert f(1) == 1", "x = f(2)", "y = x + 1", "assert y == 5"]
    verdict = judge("def f(n): return n if n == 1 else None", tests)
    assert verdict.credit == 0.5
    assert "TypeError" in verdict.reason
    only = judge("def f(n): return n if n == 1 else None", ["assert f(1) == 1", "f(2) + 1"])
    assert (only.status, only.credit) == ("incorrect", 0.5)


OBJECTS = {
    "class": ("class S:\n    def __init__(self): self.items = []\n"
              "    def push(self, x): self.items.append(x)\n"
              "    def pop(self): return self.items.pop()\n"
              "    def __len__(self): return len(self.items)\n"
              "    def __getitem__(self, i): return self.items[i]\n"
              "    def __str__(self): return f'S{self.items}'\n"
              "    def __bool__(self): return bool(self.items)\n",
              "s = S()\nassert not s\ns.push(3)\ns.push(4)\nassert s.pop() == 4\n"
              "assert len(s) == 1 and s[0] == 3 and list(s) == [3] and 3 in s and 4 not in s\n"
              "assert str(s) == 'S[3]'\nassert isinstance(s, S)\ns.items = [7, 8]\n"
              "assert s[0:2] == [7, 8]\nassert s != [7, 8] and s is not None"),
    "equality": ("class P:\n    def __init__(self, x): self.x = x\n"
                 "    def __eq__(self, o): return isinstance(o, P) and self.x == o.x\n"
                 "    def __hash__(self): return hash(self.x)\n"
                 "    def __lt__(self, o): return self.x < o.x\n"
                 "    def __add__(self, o): return P(self.x + o.x)\n",
                 "assert P(1) == P(1)\nassert P(1) != P(2)\nassert (P(1) + P(2)).x == 3\n"
                 "assert [p.x for p in sorted([P(2), P(1)])] == [1, 2]\n"
                 "assert len({P(1), P(1), P(2)}) == 2"),
    "generator": ("def g(n):\n    for i in range(n): yield i\n",
                  "assert list(g(3)) == [0, 1, 2]\nit = g(1)\nassert next(it) == 0\n"
                  "assert next(it, None) is None"),
    "callback": ("def apply(f, xs): return [f(x) for x in xs]\ndef twice(f): return lambda x: f(f(x))",
                 "seen = []\nassert apply(lambda x: seen.append(x) or x + 1, [1, 2]) == [2, 3]\n"
                 "assert seen == [1, 2]\nassert twice(lambda x: x * 3)(2) == 18\n"
                 "assert apply(str.upper, ['a']) == ['A']"),
    "iterables": ("def total(xs): return sum(xs)",
                  "assert total(range(4)) == 6\nassert total(x for x in [1, 2]) == 3\n"
                  "assert total({1: 2}.keys()) == 1"),
    "exceptions": ("class Odd(ValueError): pass\ndef f(n):\n    if n % 2: raise Odd('odd')\n    return {}[n]",
                   "for n, kind in ((1, ValueError), (2, KeyError)):\n    try:\n        f(n)\n"
                   "    except kind:\n        pass\n    else:\n        raise SystemError\nassert True"),
    "coroutine": ("async def f(n): return n + 1",
                  "import asyncio\nassert asyncio.run(f(1)) == 2\n"
                  "async def test_it():\n    assert await f(2) == 3"),
    "context": ("class C:\n    def __enter__(self): return 5\n    def __exit__(self, *a): pass",
                "with C() as five:\n    pass\nassert five == 5"),
    "in place": ("def sort(xs): xs.sort()\ndef fill(d, s, m):\n    d['k'] = 1; s.add(2); m[0][0] = 9",
                 "xs = [3, 1]\nsort(xs)\nassert xs == [1, 3]\nd, s, m = {}, {1}, [[0], [0]]\nrow = m[0]\n"
                 "fill(d, s, m)\nassert (d, s, m) == ({'k': 1}, {1, 2}, [[9], [0]]) and row == [9]"),
    "own classes": ("def total(node):\n    n = 0\n    while node is not None:\n        n += node.value\n"
                    "        node = node.next\n    return n\n"
                    "def push(node, made):\n    made.next = node\n    return made",
                    "class Node:\n    def __init__(self, value, next=None):\n"
                    "        self.value, self.next = value, next\n"
                    "a = Node(1, Node(2))\nassert total(a) == 3\nb = Node(5)\nassert push(a, b) is b\n"
                    "assert b.next is a"),
    "named": ("def f(a, *rest, b=1, **more): return [a, list(rest), b, more]",
              "assert f(1, 2, b=3, c=4) == [1, [2], 3, {'c': 4}]"),
    "values": ("from decimal import Decimal\nfrom fractions import Fraction\nimport datetime\n"
               "def f(x): return x\ndef types(x): return [type(v).__name__ for v in x]",
               "from datetime import date\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
               "v = [None, 1, 2.5, 1j, 'é\\ud800', b'\\xff', (1, [2]), {1}, frozenset({2}), {'a': (1,)},"
               " Decimal('1.50'), Fraction(1, 3), date(2020, 1, 2)]\nassert f(v) == v\n"
               "assert types(v) == [type(x).__name__ for x in v]"),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_tests_use_the_objects_of_the_code_from_afar(judge: Judge, name: str) -> None:
    code, tests = OBJECTS[name]
    verdict = judge(code, tests)
    assert verdict.status == "correct", verdict.reason


PREFIX = "import os, sys\n"
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


@pytest.mark.parametrize(
    "tests",
    [
        "for n in range(3):\n    assert f(n) == n",
        "def check(c):\n    for n in range(3):\n        assert c(n) == n",
        "def same(a, b):\n    assert a == b\nfor n in range(3):\n    same(f(n), n)",
        "n = 0\nwhile n < 3:\n    got = f(n)\n    assert got == n\n    n += 1",
    ],
)
@pytest.mark.parametrize("misdeed", ["1 / 0", "import os; os._exit(0)", "n = 99"])
def test_a_loop_that_does_not_end_well_earns_nothing(
    judge: Judge, tests: str, misdeed: str
) -> None:
    """Passing once says nothing of an assert that would be come by again."""
    code = f"def f(n):\n    if n == 1:\n        {misdeed}\n    return n"
    verdict = judge(code, tests, entry="f")
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0), verdict.evidence.details


def test_a_crash_keeps_the_credit_earned_before_it(judge: Judge) -> None:
    code = "import os\ndef f(n):\n    if n == 3: {}\n    return n * n"
    for misdeed, status in (
        ("os._exit(0)", "no_result"),
        ("os.abort()", "signal"),
        ("\n        while True: pass", "cpu_limit"),
        ("import time; time.sleep(100)", "wall_limit"),
    ):
        limits = Limits(cpu_s=0.4, wall_s=2 if status == "wall_limit" else 30)
        verdict = judge(code.format(misdeed), CHECK, entry="f", limits=limits)
        assert verdict.credit == 0.4
        assert statuses(verdict) == ["passed", "passed", status, "not_run", "not_run"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def g(n): return n", "does not define 'f'"),
        ("def f(n: return n", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nowhere", "ModuleNotFoundError"),
        ("", "empty"),
    ],
)
def test_code_that_does_not_load_is_incorrect(judge: Judge, code: str, reason: str) -> None:
    verdict = judge(code, CHECK, entry="f")
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0)
    assert reason in verdict.reason


BROKEN = [
    ("assert f(", "no Python"),
    ("f(1)", "neither an assert"),
    ("def check(candidate):\n    assert candidate(1)", "no entry says"),
    ("(" * 5000 + ")" * 5000, "no Python"),
    ("\0", "no Python"),
    ("[[[1], 2]]", "Python text"),
    ("def test_f(n):\n    assert f(n) == n", "test_f needs arguments"),
]


@pytest.mark.parametrize(("tests", "reason"), BROKEN)
def test_broken_tests_are_nobodys_wrong_answer(tests: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        CodeVerifier(tests, kind="assert")
    sample = Sample(completion="x = 1", columns={"t": tests})
    verdict = CodeVerifier(Column("t"), kind="assert").verify(sample)
    assert (verdict.status, verdict.fault) == ("unscorable", "dataset")
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("tests", "fault"),
    [
        ("import nowhere_at_all\nassert f(1) == 1", "infrastructure"),
        ("from collections import nothing_like_it\nassert f(1) == 1", "dataset"),
    ],
)
def test_tests_that_cannot_be_run_blame_no_code(judge: Judge, tests: str, fault: str) -> None:
    verdict = judge("def f(n): return n", tests)
    assert (verdict.status, verdict.fault) == ("unscorable", fault), verdict.reason


@pytest.mark.parametrize(
    "arguments",
    [{"compare": "exact"}, {"weights": [1.0]}, {"first": 1}, {"checker": "def check(a, b, c): 1"}],
)
def test_arguments_that_are_for_other_kinds_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CodeVerifier("assert f(1) == 1", kind="assert", **arguments)


def counted(text: str, *called: str) -> list[tuple[int, bool, bool]]:
    found = count_asserts(ast.parse(text), set(called))
    return [(known.line, known.needed, known.never) for known in found]


def test_asserts_are_counted_by_where_they_stand() -> None:
    text = """assert a
if b:
    assert c
for x in y:
    assert d
while e:
    assert g
def check(candidate):
    assert h
    with i:
        assert j
def helper():
    assert k
try:
    assert l
    assert False
except Exception:
    assert m
class T:
    def test(self):
        assert n
"""
    assert counted(text, "check") == [
        (1, True, False), (3, False, False), (5, True, False), (7, False, False),
        (9, True, False), (11, False, False), (13, False, False), (15, False, False),
        (16, False, True), (18, False, False),
    ]  # fmt: skip


def test_a_failure_lets_the_next_assert_run_unless_it_is_caught() -> None:
    text = """
assert 1 == 2
assert 1 == 1
try:
    assert 2 == 3
    assert 3 == 3
except AssertionError:
    pass
try:
    assert 4 == 5
    assert 5 == 5
except ValueError:
    pass
"""
    tree = ast.parse(text)
    count_asserts(tree, set())
    passed: list[int] = []
    failed: list[int] = []
    names = {"__passed__": passed.append, "__failed__": lambda n, error: failed.append(n)}
    exec(compile(tree, "tests.py", "exec"), names)
    assert (passed, failed) == ([1, 5], [0, 4])
