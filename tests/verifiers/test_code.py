"""Code is judged by its tests: exactly, one process each, and whoever is at fault is named."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from judged_code import Judge, statuses

from rewardkit.sandbox import Limits
from rewardkit.verifiers.code.verifier import MAX_CODE_BYTES


def test_code_that_passes_all_tests_is_correct(judge: Judge) -> None:
    verdict = judge("Here it is:\n```python\ndef f(n):\n    return n ** 2\n```\nDone.")
    assert verdict.status == "correct"
    assert verdict.credit == 1.0
    assert statuses(verdict) == ["passed"] * 5


def test_the_evidence_names_the_code_each_test_and_its_time(judge: Judge) -> None:
    text = "```python\ndef f(n): return n if n != 2 else 'two'\n```"
    verdict = judge(text)
    evidence = verdict.evidence
    assert evidence.span is not None
    assert text[slice(*evidence.span)] == evidence.text == text.split("\n")[1]
    assert evidence.rule == "last Python block"
    details = evidence.details
    assert details["statuses"] == ["passed", "passed", "wrong", "wrong", "wrong"]
    assert (details["passed"], details["total"]) == (2, 5)
    assert details["reasons"]["3"] == "returned 'two', expected 4"
    assert all(seconds > 0 for seconds in details["cpu_seconds"])
    assert "test 3: returned 'two', expected 4" in verdict.reason
    assert evidence.seconds > 0


@pytest.mark.parametrize("right", range(5))
def test_credit_is_exactly_the_share_of_tests_passed(judge: Judge, right: int) -> None:
    verdict = judge(f"def f(n): return n * n if n < {right} else None")
    assert verdict.status == "incorrect"
    assert verdict.label == "failed"
    assert verdict.credit == right / 5


@pytest.mark.parametrize(
    ("misdeed", "status"),
    [
        ("raise ValueError('no')", "error"),
        ("1 / 0", "error"),
        ("f(n)", "error"),  # endless recursion
        ("import sys; sys.exit()", "error"),
        ("raise KeyboardInterrupt", "error"),
        ("import os; os._exit(0)", "no_result"),
        ("import os; os._exit(3)", "runtime_error"),
        ("import os; os.kill(os.getpid(), 9)", "signal"),
        ("import ctypes; ctypes.string_at(0)", "signal"),
        ("while True: pass", "cpu_limit"),
        ("import time; time.sleep(60)", "wall_limit"),
        ("'x' * (1 << 40)", "memory"),
        ("x = [0]\n        while True: x += x", "memory"),
        ("import sys\n        while True: sys.stderr.write('x' * 4096)", "cpu_limit"),
        ("return object()", "not_plain"),
        ("return [0] * (1 << 20)", "not_plain"),
    ],
)
def test_what_goes_wrong_in_one_test_costs_that_test_alone(
    judge: Judge, misdeed: str, status: str
) -> None:
    code = f"def f(n):\n    if n == 1:\n        {misdeed}\n    return n * n\n"
    wall_s = 2.0 if status == "wall_limit" else 30.0
    verdict = judge(code, limits=Limits(cpu_s=0.4, wall_s=wall_s, memory_mb=128))
    assert verdict.status == "incorrect"
    assert verdict.credit == 0.8
    assert statuses(verdict) == ["passed", status, "passed", "passed", "passed"]


def test_state_changed_by_one_test_is_unseen_by_the_next(judge: Judge) -> None:
    code = """
import sys
calls = []
def f(n, seen=[]):
    seen.append(n)
    calls.append(n)
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    sys.modules["mine"] = sys
    return [len(seen), len(calls), sys.getrecursionlimit()]
"""
    limit = sys.getrecursionlimit() + 1
    verdict = judge(code, [[[n], [1, 1, limit]] for n in range(3)])
    assert verdict.status == "correct", verdict.reason


@pytest.mark.parametrize(
    ("code", "label", "reason"),
    [
        ("", "missing", "empty"),
        ("```bash\nls\n```", "missing", "no fenced block of Python"),
        ("I cannot do that.", "broken", "SyntaxError"),
        ("def f(n): return (", "broken", "SyntaxError: '(' was never closed (line 1)"),
        ("def g(n): return n", "broken", "NameError: the code does not define 'f'"),
        ("f = 5", "broken", "TypeError: 'f' is not a function"),
        ("import numpy_or_so\ndef f(n): return n", "broken", "ModuleNotFoundError"),
        ("def f(n): return n\nassert f(2) == 4", "broken", "AssertionError (line 2)"),
        ("raise SystemExit(0)", "broken", "SystemExit"),
        ("x = '\ud800'", "broken", "UnicodeEncodeError"),
        ("x = '\0'", "broken", "SyntaxError"),
        ("(" * 5000, "broken", ""),
        ("-" * 200_000 + "1", None, ""),  # may crash the compiler
        ("x = 1\n" * (MAX_CODE_BYTES // 6 + 1), "broken", "longer than"),
    ],
    ids=range(14),
)
def test_no_code_or_code_that_does_not_load_is_incorrect(
    judge: Judge, code: str, label: str | None, reason: str
) -> None:
    verdict = judge(code)
    assert verdict.status == "incorrect"
    assert verdict.credit == 0.0
    assert label in (None, verdict.label)
    assert reason in verdict.reason


def test_code_that_does_not_load_is_not_run_again(judge: Judge) -> None:
    assert statuses(judge("def f(:"))[2:] == ["not_run"] * 3


HONEST = {
    "prints": "print('hi')\ndef f(n):\n    print(n, flush=True)\n    return n * n",
    "prints_a_lot": "def f(n):\n    for _ in range(300): print('x' * 10_000)\n    return n * n",
    "says_it_on_stderr": "import sys\ndef f(n):\n    print(n, file=sys.stderr)\n    return n * n",
    "recursion": "def f(n):\n    g = lambda k: 0 if k == 0 else n + g(k - 1)\n    return g(n)",
    "classes": (
        "class Square:\n    def __init__(self, n): self.n = n\n"
        "    def area(self): return self.n * self.n\n"
        "def f(n): return Square(n).area()"
    ),
    "dataclass": (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    n: int\n"
        "def f(n): return P(n).n ** 2"
    ),
    "generator_inside": "def f(n): return sum(n for _ in range(n))",
    "decorated": "import functools\n@functools.cache\ndef f(n): return n * n",
    "lambda": "f = lambda n: n * n",
    "float": "def f(n): return float(n) ** 2",
    "int_enum": "import enum\ndef f(n):\n    return enum.IntEnum('E', [('A', n * n)]).A",
    "main_guard": "def f(n): return n * n\nif __name__ == '__main__':\n    print(f(int(input())))",
    "threads": (
        "import threading\ndef f(n):\n    out = []\n"
        "    t = threading.Thread(target=lambda: out.append(n * n)); t.start(); t.join()\n"
        "    return out[0]"
    ),
    "thread_left_running": (
        "import threading, time\ndef f(n):\n"
        "    threading.Thread(target=time.sleep, args=(100,)).start()\n    return n * n"
    ),
    "asyncio": (
        "import asyncio\nasync def g(n): return n * n\ndef f(n): return asyncio.run(g(n))"
    ),
    "subprocess_left": (
        "import os, time\ndef f(n):\n    if os.fork() == 0:\n        time.sleep(100)\n"
        "        os._exit(0)\n    return n * n"
    ),
    "redirects_stdout": (
        "import contextlib, io\ndef f(n):\n    out = io.StringIO()\n"
        "    with contextlib.redirect_stdout(out): print(n * n)\n    return int(out.getvalue())"
    ),
    "own_names": (
        "encode = decode = main = MAGIC = struct = None\ndef f(n): return n * n"
    ),
    "shadows_builtins": "list = tuple = len = type = None\ndef f(n): return n * n",
    "atexit": "import atexit\natexit.register(lambda: 1 / 0)\ndef f(n): return n * n",
    "pickles_itself": (
        "import pickle\nclass A: pass\ndef f(n):\n"
        "    return n * n if isinstance(pickle.loads(pickle.dumps(A())), A) else 0"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_passes(judge: Judge, name: str) -> None:
    verdict = judge(HONEST[name], [[[3], 9], [[12], 144]])
    assert verdict.status == "correct", verdict.reason


def test_plain_values_of_every_kind_go_in_and_come_back(judge: Judge) -> None:
    value: list[Any] = [
        None,
        True,
        2**300,
        -1.5,
        1j,
        "é\ud800",
        b"\xff",
        (1, (2,)),
        {1, "a"},
        {(1,): [{}]},
    ]
    types = "[t.__name__ for t in map(type, v)]"
    names = [type(item).__name__ for item in value]
    tests = [[[value, types], [names, value]]]
    verdict = judge("def f(v, t): return [eval(t, {'v': v}), v]", tests, compare="exact")
    assert verdict.status == "correct", verdict.reason
    echo = judge("def f(*args): return args", [[(1, "a"), (1, "a")], [[], []]])
    assert echo.status == "correct"


def test_values_count_as_plain_values_of_their_base(judge: Judge) -> None:
    code = "from collections import Counter, OrderedDict, namedtuple\n"
    code += "def f(s): return [Counter(s), OrderedDict(a=1), namedtuple('P', 'x y')(1, 2)]"
    assert judge(code, [[["aab"], [{"a": 2, "b": 1}, {"a": 1}, [1, 2]]]]).status == "correct"


def test_a_method_of_a_class_can_be_the_entry(judge: Judge) -> None:
    code = "class Solution:\n    def square(self, n): return n * n\n"
    assert judge(code, entry="Solution.square").status == "correct"
    assert judge(code, entry="Solution.cube").label == "broken"
    assert judge(code, entry="Solution").status == "incorrect"


def test_after_the_first_failure_it_can_stop(judge: Judge) -> None:
    code = "def f(n): return n * n if n != 1 else 0"
    verdict = judge(code, stop_at_first_failure=True)
    assert statuses(verdict) == ["passed", "wrong", "not_run", "not_run", "not_run"]
    assert verdict.credit == 0.2
    assert judge("def f(n): return n * n", stop_at_first_failure=True).status == "correct"


def test_thinking_is_no_code_and_the_answer_may_be_in_a_tag(judge: Judge) -> None:
    right, wrong = "```python\ndef f(n): return n * n\n```", "```python\ndef f(n): return 7\n```"
    assert judge(f"<think>{wrong}</think>{right}").status == "correct"
    assert judge(f"<think>{right}</think>{wrong}").status == "incorrect"
    assert judge(f"<answer>{right}</answer>{wrong}", extract="answer").status == "correct"
    assert judge("def f(n): return n * n", extract="whole").status == "correct"
