"""Programs are judged by what they print, and no completion can pass for a failure of the sandbox."""

from __future__ import annotations

import pytest
from judged_code import Judge, statuses

from rewardkit.sandbox import Limits
from rewardkit.verifiers.code.verifier import MAX_CODE_BYTES

SHORT = Limits(cpu_s=0.4)
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
