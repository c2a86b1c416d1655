"""Tests that are Python text: they run beside the judged code, use it freely, and cannot be fooled.

The tests are in one process, the code in another; what passes between them is plain data, or an
object that stays where it is.
"""

from __future__ import annotations

import ast
from typing import Any

import pytest
from judged_code import Judge, statuses

from rewardkit import Sample
from rewardkit.errors import UsageError
from rewardkit.sample import Column
from rewardkit.sandbox import Limits
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code.asserts import count_asserts

ARGUMENTS = {"kind": "assert", "extract": "whole", "limits": Limits(cpu_s=2)}
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
