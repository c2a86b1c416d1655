"""Code is judged by its tests: exactly, one process each, and whoever is at fault is named."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rewardkit import Rubric, Sample
from rewardkit.sample import Column
from rewardkit.sandbox import (
    CallResult,
    Calls,
    ExecutionResult,
    Job,
    Limits,
    Sandbox,
    SandboxUnavailable,
)
from rewardkit.verdict import Verdict
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code import Close
from rewardkit.verifiers.code import verifier as verifier_module
from rewardkit.verifiers.code.verifier import MAX_CODE_BYTES

SHORT = Limits(cpu_s=0.4)
SQUARES = [[[n], n * n] for n in range(5)]


Judge = Callable[..., Verdict]


@pytest.fixture
def judge(box: Sandbox) -> Judge:
    """Verdict on some code as the completion, by tests of the function ``f``."""

    def run(code: str, tests: Any = None, **arguments: Any) -> Verdict:
        if arguments.get("kind") != "stdin":
            arguments.setdefault("entry", "f")
        verifier = CodeVerifier(SQUARES if tests is None else tests, sandbox=box, **arguments)
        return verifier.verify(Sample(completion=code))

    return run


def statuses(verdict: Verdict) -> list[str]:
    return list(verdict.evidence.details["statuses"])


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


DOUBLE = [["1\n", "2\n"], ["5", "10"], ["-3\n", "-6"]]


def test_programs_are_judged_by_what_they_print(judge: Judge) -> None:
    assert judge("print(int(input()) * 2)", DOUBLE, kind="stdin").status == "correct"
    assert judge("print(int(input()) * 2, end='')", DOUBLE, kind="stdin").status == "correct"
    guarded = "if __name__ == '__main__':\n    print(2 * int(open(0).read()))"
    assert judge(guarded, DOUBLE, kind="stdin").status == "correct"
    verdict = judge("print(int(input()) + 1)", DOUBLE, kind="stdin")
    assert (verdict.status, verdict.credit) == ("incorrect", 1 / 3)
    assert "printed '6\\n', expected '10'" in verdict.reason


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("print(2); print('more')", "wrong"),  # the right text must be all of it
        ("print(2); raise ValueError", "runtime_error"),
        ("print(2); import sys; sys.exit(1)", "runtime_error"),
        ("print(2, flush=True); import os; os.abort()", "signal"),
        ("print(2, flush=True)\nwhile True: pass", "cpu_limit"),
        ("while True: print(2)", "output"),
        ("def f(:", "compile_error"),
        ("import sys; print(2, file=sys.stderr)", "wrong"),
    ],
)
def test_a_program_must_print_the_text_and_end_well(judge: Judge, code: str, status: str) -> None:
    verdict = judge(code, [["1", "2"]], kind="stdin", limits=SHORT)
    assert verdict.status == "incorrect"
    assert verdict.credit == 0.0
    assert statuses(verdict) == [status]


def test_crashing_earns_nothing_where_no_output_is_expected(judge: Judge) -> None:
    assert judge("pass", [["x", ""]], kind="stdin").status == "correct"
    assert judge("raise ValueError", [["x", ""]], kind="stdin").status == "incorrect"
    assert judge("def f(n): raise ValueError", [[[1], None]]).status == "incorrect"


def test_programs_may_be_compared_by_words_or_within_a_tolerance(judge: Judge) -> None:
    code = "print(' 1   2 '); print(1 / 3)"
    tests = [["", "1 2\n0.3333"]]
    assert judge(code, tests, kind="stdin").status == "incorrect"
    assert judge(code, tests, kind="stdin", compare="tokens").status == "incorrect"
    assert judge(code, tests, kind="stdin", compare={"rel": 1e-3}).status == "correct"


def test_after_the_first_failure_it_can_stop(judge: Judge) -> None:
    code = "def f(n): return n * n if n != 1 else 0"
    verdict = judge(code, stop_at_first_failure=True)
    assert statuses(verdict) == ["passed", "wrong", "not_run", "not_run", "not_run"]
    assert verdict.credit == 0.2
    assert judge("def f(n): return n * n", stop_at_first_failure=True).status == "correct"


def test_tests_and_entry_may_come_from_the_row(box: Sandbox) -> None:
    verifier = CodeVerifier(Column("tests"), entry=Column("fn"), sandbox=box)
    code = "def g(n): return -n"
    for tests in ([[[1], -1], [[2], -2]], "[[[1], -1], [[2], -2]]", (((1,), -1),)):
        sample = Sample(completion=code, columns={"tests": tests, "fn": "g"})
        assert verifier.verify(sample).status == "correct"
    wrong = Sample(completion=code, columns={"tests": [[[1], 1]], "fn": "g"})
    assert verifier.verify(wrong).credit == 0.0


def test_batches_threads_and_async_code_agree(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", sandbox=box)
    codes = [f"def f(n): return n * n if n < {k} else None" for k in (5, 0, 2, 5, 3)]
    samples = [Sample(completion=code) for code in codes]
    expected = [1.0, 0.0, 0.4, 1.0, 0.6]
    assert [v.credit for v in verifier.verify_many(samples)] == expected
    assert [v.credit for v in asyncio.run(verifier.averify_many(samples))] == expected
    with ThreadPoolExecutor(4) as pool:
        assert [v.credit for v in pool.map(verifier.verify, samples)] == expected


def test_thinking_is_no_code_and_the_answer_may_be_in_a_tag(judge: Judge) -> None:
    right, wrong = "```python\ndef f(n): return n * n\n```", "```python\ndef f(n): return 7\n```"
    assert judge(f"<think>{wrong}</think>{right}").status == "correct"
    assert judge(f"<think>{right}</think>{wrong}").status == "incorrect"
    assert judge(f"<answer>{right}</answer>{wrong}", extract="answer").status == "correct"
    assert judge("def f(n): return n * n", extract="whole").status == "correct"


@pytest.mark.parametrize("kind", ["call", "stdin"])
@pytest.mark.parametrize(
    "code",
    [
        "def f(n): return n\n" + "#" * (MAX_CODE_BYTES - 20),
        "x = [" + "0," * (MAX_CODE_BYTES // 2 - 10) + "]",
        "open('big', 'wb').write(bytes(1 << 22))",
        "import os\nfor i in range(10 ** 6): os.mkdir(str(i))",
        "\ud800",
        "\0",
    ],
    ids=range(6),
)
def test_no_completion_can_pass_for_a_failure_of_the_sandbox(
    judge: Judge, code: str, kind: str
) -> None:
    """Abstaining must not pay: with the least of everything it is still the code's own failure."""
    least = Limits(cpu_s=0.5, memory_mb=32, processes=1, disk_mb=1, output_kb=1)
    tests = [[[1], 2]] if kind == "call" else [["1", "2"]]
    assert judge(code, tests, kind=kind, limits=least, extract="whole").status == "incorrect"


class Failing(Sandbox):
    """A sandbox that never gets a program started."""

    workers = 2

    def __init__(self) -> None: ...

    def __repr__(self) -> str:
        return "Failing()"

    def calls(self, *args: Any, **named: Any) -> Calls:
        return Calls(CallResult("infrastructure_error", reason="no processes left"), ())

    def map(self, jobs: Iterable[Job]) -> list[ExecutionResult]:
        return [FAILED for _ in jobs]

    def pair(self, first: Job, second: Job) -> tuple[ExecutionResult, ExecutionResult]:
        return FAILED, FAILED

    def close(self) -> None: ...


FAILED = ExecutionResult("infrastructure_error", reason="no processes left")


@pytest.mark.parametrize(
    ("tests", "kind", "entry"),
    [([[[2], 4]], "call", "f"), ([["2", "4"]], "stdin", None), ("assert f(2) == 4", "assert", "f")],
)
def test_a_sandbox_that_cannot_start_is_no_verdict_on_the_code(
    tests: Any, kind: Any, entry: str | None
) -> None:
    verifier = CodeVerifier(tests, kind=kind, entry=entry, sandbox=Failing())
    verdict = verifier.verify(Sample(completion="def f(n): return 4"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")
    assert "no processes left" in verdict.reason


def test_a_checker_that_cannot_start_is_no_verdict_either(box: Sandbox) -> None:
    class Once(Failing):
        def calls(self, driver: str, source: str, *args: Any, **named: Any) -> Calls:
            if "checks" in source:
                return super().calls()
            return box.calls(driver, source, *args, **named)

    checker = "def check(given, expected, got): return 'checks'"
    verifier = CodeVerifier([[[2], 4]], entry="f", checker=checker, sandbox=Once())
    verdict = verifier.verify(Sample(completion="def f(n): return 4"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")


def test_where_no_sandbox_works_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*args: object, **kwargs: object) -> Sandbox:
        raise SandboxUnavailable("no namespaces here")

    monkeypatch.setattr(verifier_module, "shared_sandbox", unavailable)
    verifier = CodeVerifier(SQUARES, entry="f")
    with pytest.raises(SandboxUnavailable, match="no namespaces here"):
        verifier.verify(Sample(completion="def f(n): return n * n"))


def test_verifiers_without_a_sandbox_share_the_one_of_the_process(
    monkeypatch: pytest.MonkeyPatch, box: Sandbox
) -> None:
    asked: list[Sandbox] = []

    def shared() -> Sandbox:
        asked.append(box)
        return box

    monkeypatch.setattr(verifier_module, "shared_sandbox", shared)
    for _ in range(2):
        verdict = CodeVerifier(SQUARES, entry="f").verify(Sample(completion="f = lambda n: n * n"))
        assert verdict.status == "correct"
    assert asked == [box, box]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_it_judges_in_a_forked_child(box: Sandbox) -> None:
    # In a process of its own: this one has threads.
    program = """
import os, sys
from rewardkit import Sample
from rewardkit.verifiers import CodeVerifier
judge = CodeVerifier([[[2], 4]], entry="f")
def right():
    return judge.verify(Sample(completion="def f(n): return n*n")).status == "correct"
assert right()
pid = os.fork()
if pid == 0:
    os._exit(0 if right() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or not right())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=120)
    assert done.returncode == 0


def test_a_verifier_pickles_copies_and_compares_without_its_sandbox(box: Sandbox) -> None:
    verifier = CodeVerifier(SQUARES, entry="f", sandbox=box)
    plain = CodeVerifier(SQUARES, entry="f")
    for other in (pickle.loads(pickle.dumps(verifier)), copy.deepcopy(verifier), plain):
        assert other == verifier
        assert repr(other) == repr(verifier)
    assert "Sandbox" not in repr(verifier)
    assert verifier != CodeVerifier(SQUARES, entry="g")
    again = pickle.loads(pickle.dumps(verifier))
    assert again.verify(Sample(completion="def f(n): return n * n")).status == "correct"


def test_a_rubric_of_it_survives_its_spec_under_the_registered_name(box: Sandbox) -> None:
    verifier = CodeVerifier(
        [[[(1, 2)], {"a": 1}]], entry="f", compare=Close(rel=1e-3), extract="python",
        limits=Limits(cpu_s=1), stop_at_first_failure=True, sandbox=box,
    )  # fmt: skip
    rows = CodeVerifier(Column("tests"), kind="stdin", compare="tokens")
    rubric = Rubric(code=verifier.reward(2.0, -1.0, partial=True), program=rows.reward(1.0))
    rubric = rubric.silence("form-outweighs-answer")  # lint sees no gold where tests are written in
    spec = rubric.to_spec()
    assert spec["parts"]["code"]["verifier"] == "code"
    assert "sandbox" not in spec["parts"]["code"]["args"]
    again = Rubric.from_spec(spec)
    assert again.to_spec() == spec
    assert again.parts["code"].verifier == verifier  # type: ignore[attr-defined]
    assert again.parts["program"].verifier == rows  # type: ignore[attr-defined]
    assert again.columns == {"tests"}


def test_partial_credit_becomes_partial_reward(box: Sandbox) -> None:
    reward = CodeVerifier(SQUARES, entry="f", sandbox=box).reward(1.0, 0.0, partial=True)
    score = Rubric(code=reward).score(completion="def f(n): return 4")
    assert score.total == 0.2


@pytest.fixture(scope="module")
def numeric() -> Iterator[Sandbox]:
    pytest.importorskip("numpy")
    try:
        sandbox = Sandbox(preload="numpy", workers=1)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox works here: {error}")
    with sandbox:
        yield sandbox


def test_arrays_go_in_and_come_back(numeric: Sandbox) -> None:
    import numpy as np

    tests = [
        [[[[1, 2], [3, 4]]], [[1, 3], [2, 4]]],
        [[np.arange(4).reshape(2, 2)], np.array([[0, 2], [1, 3]])],
        [[{"$array": ["<f8", [1, 2], [[0.1, 0.2]]]}], [[0.1], [0.3 - 0.1]]],
    ]
    judge = CodeVerifier(tests, entry="f", sandbox=numeric)
    code = "import numpy as np\ndef f(x): return np.asarray(x).T"
    verdict = judge.verify(Sample(completion=code))
    assert verdict.status == "correct", verdict.reason
    scalars = CodeVerifier([[[[1, 2]], 3], [[[1.5]], 1.5]], entry="f", sandbox=numeric)
    code = "import numpy as np\ndef f(x): return np.sum(np.array(x))"
    assert scalars.verify(Sample(completion=code)).status == "correct"
    spec = Rubric(code=judge.reward(1.0)).to_spec()
    assert Rubric.from_spec(spec).to_spec() == spec


def test_arrays_for_a_sandbox_without_numpy_blame_no_code(box: Sandbox) -> None:
    tests = [[[{"$array": ["<i8", [1], [1]]}], 1]]
    verdict = CodeVerifier(tests, entry="f", sandbox=box).verify(Sample(completion="f = sum"))
    assert (verdict.status, verdict.fault) == ("unscorable", "infrastructure")
    assert 'preload="numpy"' in verdict.reason


def test_scripts_may_use_numpy_without_asking_the_code_for_it(numeric: Sandbox) -> None:
    tests = "import numpy as np\ndef check(c):\n    assert np.allclose(c([1, 2]), [2.0, 4.0])\n"
    limits = Limits(cpu_s=0.5, wall_s=30)
    judge = CodeVerifier(tests, kind="assert", entry="f", sandbox=numeric, limits=limits)
    right = "import numpy as np\ndef f(x): return np.array(x) * 2.0"
    assert judge.verify(Sample(completion=right)).status == "correct"
    assert judge.verify(Sample(completion="def f(x): return [2, 4]")).status == "correct"
    for forged in (
        "def f(x): return [2, 5]",
        "class A:\n    __array__ = lambda s, *a, **k: [2.0, 4.0]\n    __len__ = lambda s: 2\n"
        "    __getitem__ = lambda s, i: A()\n    __float__ = lambda s: 2.0\ndef f(x): return A()",
        "import numpy as np\nclass A(np.ndarray):\n    __array_ufunc__ = lambda *a, **k: True\n"
        "def f(x): return np.zeros(2).view(A)",
    ):
        verdict = judge.verify(Sample(completion=forged))
        assert (verdict.status, verdict.credit) == ("incorrect", 0.0), forged
