"""Rows of well-known datasets are read as they are; broken or hostile ones are refused by name.

Every row here is our own; only their layout is that of the datasets.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from rewardkit import Rubric, Sample
from rewardkit.errors import MissingColumnError, UsageError
from rewardkit.sample import Column
from rewardkit.sandbox import Sandbox
from rewardkit.verdict import Verdict
from rewardkit.verifiers import CodeVerifier
from rewardkit.verifiers.code.cases import Case
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.formats import FORMATS, livecodebench
from rewardkit.verifiers.code.suite import Suite


def suite(layout: str, row: dict[str, Any]) -> Suite:
    found = FORMATS[layout]
    return found.read(row[found.column], row)


def judged(layout: Any, row: dict[str, Any], completion: str, box: Sandbox, **more: Any) -> Verdict:
    verifier = CodeVerifier(format=layout, sandbox=box, **more)
    return verifier.verify(Sample.from_row(row, completion=completion))


HUMANEVAL = {
    "task_id": "Ours/0",
    "prompt": (
        "from typing import List\n\n\ndef shift(text: str) -> str:\n    return text[1:] + text[:1]"
        '\n\n\ndef unshift(text: str) -> str:\n    """ Undo shift.\n    >>> unshift("bca")\n'
        '    \'abc\'\n    """\n'
    ),
    "canonical_solution": "    return text[-1:] + text[:-1]\n",
    "test": (
        "\n\nMETADATA = {'author': 'us'}\n\n\ndef check(candidate):\n"
        "    assert candidate('bca') == 'abc'\n    assert candidate('') == ''\n"
        "    for word in ('xyz', 'hello'):\n        assert candidate(shift(word)) == word\n"
    ),
    "entry_point": "unshift",
}
BODY = HUMANEVAL["canonical_solution"]
WHOLE = "def unshift(text: str) -> str:\n    return text[-1:] + text[:-1]"


@pytest.mark.parametrize(
    "completion",
    [
        WHOLE,
        f"```python\n{WHOLE}\n```",
        HUMANEVAL["prompt"] + BODY,
        BODY,
        BODY.strip(),
        f"```python\n{BODY}```",
        "    last = text[-1:]\n    return last + text[:-1]\n",
        "last = text[-1:]\n    return last + text[:-1]\n",
        "last = text[-1:]\nreturn last + text[:-1]\n",
        "from __future__ import annotations\n" + WHOLE,
        WHOLE.replace("str) -> str", "List[str]) -> str"),  # which the prompt imports
    ],
)
def test_humaneval_takes_a_function_or_the_rest_of_one(completion: str, box: Sandbox) -> None:
    verdict = judged("humaneval", HUMANEVAL, completion, box)
    assert verdict.status == "correct", verdict.reason


def test_humaneval_credits_each_assert(box: Sandbox) -> None:
    verdict = judged("humaneval", HUMANEVAL, "    return text", box)
    assert (verdict.status, verdict.credit) == ("incorrect", 1 / 3)
    assert verdict.evidence.details["statuses"] == ["wrong", "passed", "wrong"]
    assert "line 7: assert candidate('bca') == 'abc'" in verdict.reason
    assert judged("humaneval", HUMANEVAL, "    pass", box).credit == 0.0
    assert judged("humaneval", HUMANEVAL, "def other(): pass", box).credit == 0.0
    assert judged("humaneval", HUMANEVAL, "def (", box).label == "broken"


def test_helpers_of_the_prompt_are_the_tests_own(box: Sandbox) -> None:
    """Rewritten by the judged code, they must not decide what is right."""
    forged = "def shift(text): return text\ndef unshift(text): return text"
    verdict = judged("humaneval", HUMANEVAL, forged, box)
    assert verdict.evidence.details["statuses"] == ["wrong", "passed", "wrong"]


def test_a_prompt_with_words_around_its_code_is_read_too(box: Sandbox) -> None:
    chat = [
        {"role": "system", "content": "You write Python."},
        {"role": "user", "content": f"Complete it:\n```python\n{HUMANEVAL['prompt']}```\nThanks."},
    ]
    row = {**HUMANEVAL, "prompt": chat}
    assert judged("humaneval", row, BODY, box).status == "correct"
    assert judged("humaneval", {**row, "prompt": "Undo shift."}, WHOLE, box).credit == 2 / 3


MBPP = {
    "task_id": 1,
    "text": "Write a function to sum two numbers.",
    "code": "def sum(a, b):\r\n  return a + b",
    "test_list": ["assert sum(1, 2) == 3", "assert sum(-1, 1) == 0", "assert sum(0.5, 1) == 1.5"],
    "test_setup_code": "",
    "challenge_test_list": ["assert sum(9, 9) == 0"],
}


def test_mbpp_calls_what_the_reference_defines_even_under_a_built_in_name(box: Sandbox) -> None:
    assert judged("mbpp", MBPP, "def sum(a, b): return a + b", box).status == "correct"
    verdict = judged("mbpp", MBPP, "def sum(a, b): return a - b if a == 1 else a + b", box)
    assert verdict.credit == 2 / 3
    assert judged("mbpp", MBPP, "def add(a, b): return a + b", box).credit == 0.0


def test_mbpp_set_up_may_use_what_the_code_defines(box: Sandbox) -> None:
    row = {
        **MBPP,
        "code": "class Node: pass\ndef height(root): pass",
        "test_setup_code": "root = Node(1)\nroot.left = Node(2)\nroot.left.right = Node(3)",
        "test_list": ["assert height(root) == 3", "assert math.isclose(height(root.left), 2.0)"],
    }
    code = (
        "class Node:\n    def __init__(self, value):\n        self.value = value\n"
        "        self.left = self.right = None\n"
        "def height(root):\n"
        "    return 0 if root is None else 1 + max(height(root.left), height(root.right))"
    )
    verdict = judged("mbpp", row, code, box)
    assert verdict.status == "correct", verdict.reason
    assert judged("mbpp", row, code + " - 1", box).credit == 0.0


def test_mbpp_sanitized_rows_import_for_their_tests(box: Sandbox) -> None:
    row = {
        "prompt": "Write a function for the area of a circle.",
        "code": "import math\ndef area(r): return math.pi * r * r",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(area(1), math.pi, rel_tol=1e-9)"],
    }
    right = "def area(r): return 3.141592653589793 * r * r"
    assert judged("mbpp", row, right, box).status == "correct"
    # The judged code's own module of that name is not asked whether two numbers are close.
    forged = (
        "class math:\n    pi = 0\n    isclose = lambda *a, **k: True\ndef area(r): return math.pi"
    )
    assert judged("mbpp", row, forged, box).credit == 0.0


APPS = {"input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})}


def test_apps_programs(box: Sandbox) -> None:
    right = "a, b = map(int, input().split())\nprint(a + b)"
    assert judged("apps", APPS, right, box).status == "correct"
    assert judged("apps", APPS, "print(3)", box).credit == 0.5
    lines = {"inputs": [["1 2", "3 4"]], "outputs": [["3", "7"]]}
    both = "for _ in range(2):\n    print(sum(map(int, input().split())))"
    assert judged("apps", {"input_output": lines}, both, box).status == "correct"
    near = {"inputs": [""], "outputs": ["0.333333333"]}
    assert judged("apps", {"input_output": near}, "print(1 / 3)", box).status == "correct"
    assert judged("apps", {"input_output": near}, "print(0.3334)", box).status == "incorrect"


def test_apps_functions(box: Sandbox) -> None:
    tests = {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], 7]}
    row = {"input_output": json.dumps(tests)}
    assert judged("apps", row, "def add(a, b): return a + b", box).status == "correct"
    method = "class Solution:\n    def add(self, a: int, b: int) -> int:\n        return a + b"
    assert judged("apps", row, method, box).status == "correct"
    wrapped = "def add(a, b): return [a + b] if a == 1 else a + b"
    assert judged("apps", row, wrapped, box).status == "correct"
    # As if everything common were imported.
    assumes = "def add(a: List[int], b: int): return int(sqrt((a + b) ** 2))"
    assert judged("apps", row, assumes, box).status == "correct"
    assert judged("apps", row, "def add(a, b): return 3", box).credit == 0.5


def test_the_tests_may_stand_in_another_column(box: Sandbox) -> None:
    row = {"answer": APPS["input_output"], "other": 1}
    right = "print(sum(map(int, input().split())))"
    verdict = judged("apps", row, right, box, tests=Column("answer"))
    assert verdict.status == "correct"
    assert CodeVerifier(format="apps").columns == {"input_output"}
    assert CodeVerifier(Column("answer"), format="apps").columns == {"answer"}
    assert CodeVerifier(format="humaneval").columns == {"test", "entry_point"}
    with pytest.raises(MissingColumnError, match="entry_point"):
        judged("humaneval", {"test": HUMANEVAL["test"], "prompt": "x"}, WHOLE, box)


STDIN = [{"input": "2\n", "output": "4", "testtype": "stdin"}]
MORE = [{"input": "3\n", "output": "9.0", "testtype": "stdin"}]


def packed(tests: Any, protocol: int | None = None) -> str:
    """As the benchmark packs them."""
    data = pickle.dumps(json.dumps(tests), protocol=protocol)
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize("private", [json.dumps(MORE), *(packed(MORE, p) for p in range(6)), MORE])
def test_livecodebench_programs_with_open_and_packed_tests(private: Any, box: Sandbox) -> None:
    row = {
        "public_test_cases": json.dumps(STDIN),
        "private_test_cases": private,
        "metadata": "{}",
        "starter_code": "",
    }
    verdict = judged("livecodebench", row, "print(int(input()) ** 2)", box)
    assert verdict.status == "correct", verdict.reason
    assert judged("livecodebench", row, "print(4)", box).credit == 0.5


def test_livecodebench_functions(box: Sandbox) -> None:
    public = [{"input": "[1, 2]\n1", "output": "[2, 3]", "testtype": "functional"}]
    private = [{"input": "[]\n5", "output": "[]", "testtype": "functional"}]
    row = {
        "public_test_cases": json.dumps(public),
        "private_test_cases": packed(private),
        "metadata": json.dumps({"func_name": "shift"}),
    }
    right = (
        "class Solution:\n    def shift(self, xs: List[int], k: int) -> List[int]:\n"
        "        return [x + k for x in xs]"
    )
    assert judged("livecodebench", row, f"```python\n{right}\n```", box).status == "correct"
    assert judged("livecodebench", row, right.replace("+ k", "- k"), box).credit == 0.5
    assert suite("livecodebench", row).cases == (Case([[1, 2], 1], [2, 3]), Case([[], 5], []))


class _Evil:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('unpickled')",))


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


HOSTILE_PICKLES = {
    "runs code": pickle.dumps(_Evil()),
    "names a class": b"cos\nsystem\n.",
    "runs code at once": b"(S'echo'\nios\nsystem\n.",
    "asks for all memory": b"\x80\x04r\xff\xff\xff\xff.",
    "asks for a long text": b"\x80\x04X\xff\xff\xff\x7fabc.",
    "asks for a longer text": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    "persistent": b"Pabc\n.",
    "extension": b"\x82\x01.",
    "builds": b"\x80\x04}b.",
    "a number": pickle.dumps(5),
    "a list": pickle.dumps(["[]"]),
    "empty": b"",
    "cut short": pickle.dumps("[]")[:-3],
    "no pickle": b"\xff\xfe\x00",
    "no json inside": pickle.dumps("[}"),
    "no list inside": pickle.dumps('{"input": 1}'),
    "texts inside": pickle.dumps('["a"]'),
}


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_packed_tests_are_read_and_never_executed(name: str) -> None:
    with pytest.raises(CasesError):
        livecodebench.read(_packed(HOSTILE_PICKLES[name]), {})


def test_packed_tests_that_unfold_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "MAX_BYTES", 1 << 20)
    bomb = packed([{"input": " " * (1 << 21), "output": "", "testtype": "stdin"}])
    assert len(bomb) < 1 << 13
    with pytest.raises(CasesError, match="more than 1048576 bytes"):
        livecodebench.read(bomb, {})
    cut = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(STDIN)))[:-5]).decode()
    with pytest.raises(CasesError, match="cut short"):
        livecodebench.read(cut, {})


CHECKER = """
import sys
def read(path):
    with open(path) as file:
        return file.read().split()
total, _, answer = map(read, sys.argv[1:4])
try:
    print(1 if sum(map(int, answer)) == int(total[0]) else 0)
except ValueError:
    print(0)
"""
CODEFORCES = {
    "id": "0/A",
    "input_mode": "stdio",
    "time_limit": 2.0,
    "official_tests": [{"input": "7\n", "output": "3 4\n"}, {"input": "5\n", "output": "5 0\n"}],
}


def test_codeforces_compares_by_words_where_there_is_no_checker(box: Sandbox) -> None:
    right = "n = int(input())\nprint({7: '3  4', 5: '5\\n0'}[n])"
    assert judged("codeforces", CODEFORCES, right, box).status == "correct"
    assert judged("codeforces", CODEFORCES, "print(3, 4)", box).credit == 0.5
    columns = {"input": ["7\n", "5\n"], "output": ["3 4", "5 0"]}
    row = {**CODEFORCES, "official_tests": columns}
    assert judged("codeforces", row, right, box).status == "correct"


def test_codeforces_checkers_decide_where_answers_differ(box: Sandbox) -> None:
    row = {**CODEFORCES, "generated_checker": CHECKER}
    assert judged("codeforces", row, "print(1, int(input()) - 1)", box).status == "correct"
    assert judged("codeforces", row, "print(1, 6)", box).credit == 0.5
    for answer in ("1 1 1 1", "ACCEPTED", "1\\n1\\n", ""):
        assert judged("codeforces", row, f"print('''{answer}''')", box).credit == 0.0
    reads_bytes = CHECKER.replace("open(path)", "open(path, 'rb')")
    row = {**CODEFORCES, "generated_checker": reads_bytes}
    assert judged("codeforces", row, "print(1, int(input()) - 1)", box).status == "correct"


@pytest.mark.parametrize(
    ("layout", "row", "reason"),
    [
        ("humaneval", {"test": 5, "entry_point": "f"}, "test must be text"),
        ("humaneval", {"test": "def check(c): pass", "entry_point": "f"}, "neither an assert"),
        ("humaneval", {"test": "assert f(", "entry_point": "f"}, "no Python"),
        ("humaneval", {"test": "assert f()", "entry_point": "f()"}, "entry must be"),
        ("humaneval", {"test": "assert f()", "entry_point": None}, "entry"),
        ("mbpp", {"test_list": []}, "test_list is empty"),
        ("mbpp", {"test_list": None}, "test_list"),
        ("mbpp", {"test_list": [1]}, "list of texts"),
        ("mbpp", {"test_list": ["f(1) == 2"]}, "neither an assert"),
        ("mbpp", {"test_list": ["assert f(1) == 2"], "test_setup_code": 3}, "must be text"),
        ("apps", {"input_output": ""}, "no JSON"),
        ("apps", {"input_output": "{}"}, "input_output"),
        ("apps", {"input_output": "[]"}, "no tests"),
        ("apps", {"input_output": {"inputs": ["1"], "outputs": []}}, "same length"),
        ("apps", {"input_output": {"inputs": [1], "outputs": [2], "fn_name": "f"}}, "lists"),
        ("apps", {"input_output": {"inputs": [1], "outputs": [2]}}, "must be text"),
        ("apps", {"input_output": {"inputs": [[1]], "outputs": [2], "fn_name": "f g"}}, "entry"),
        ("livecodebench", {"private_test_cases": ""}, "no test cases"),
        ("livecodebench", {"private_test_cases": "x"}, "neither JSON nor compressed"),
        ("livecodebench", {"private_test_cases": "[1]"}, "list of objects"),
        ("livecodebench", {"private_test_cases": [{"testtype": "other"}]}, "testtype"),
        ("livecodebench", {"private_test_cases": [{"testtype": "functional"}]}, "func_name"),
        ("codeforces", {"official_tests": []}, "no tests"),
        ("codeforces", {"official_tests": [{"input": "1"}]}, "'output'"),
        ("codeforces", {**CODEFORCES, "input_mode": "file"}, "stdio"),
        ("codeforces", {**CODEFORCES, "interaction_format": "ask"}, "interactive"),
    ],
)
def test_a_broken_row_is_the_datasets_fault(layout: Any, row: dict[str, Any], reason: str) -> None:
    verdict = CodeVerifier(format=layout).verify(Sample.from_row(row, completion="x = 1"))
    assert (verdict.status, verdict.fault) == ("unscorable", "dataset")
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "arguments",
    [
        {"format": "humanevil"},
        {"format": "humaneval", "entry": "f"},
        {"format": "humaneval", "kind": "assert"},
        {"format": "mbpp", "tests": ["assert f() == 1"]},
        {"format": None},
        {"format": "apps", "first": 0},
    ],
)
def test_arguments_that_a_format_decides_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CodeVerifier(**arguments)


def test_a_format_survives_a_spec() -> None:
    verifier = CodeVerifier(Column("gold"), format="livecodebench", first=10, credit="all")
    spec = Rubric(code=verifier.reward(1.0)).to_spec()
    again = Rubric.from_spec(json.loads(json.dumps(spec)))
    assert again.parts["code"].verifier == verifier  # type: ignore[attr-defined]
    assert again.to_spec() == spec


def test_only_the_first_tests_may_be_run(box: Sandbox) -> None:
    verdict = judged("apps", APPS, "print(3)", box, first=1)
    assert verdict.status == "correct"
    assert verdict.evidence.details["total"] == 1


def test_no_pickle_of_ours_is_ever_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "loads", loaded)
    monkeypatch.setattr(pickle, "load", loaded)
    monkeypatch.setattr(pickle, "Unpickler", loaded)
    text = _packed(pickle.dumps(json.dumps(STDIN)))
    assert livecodebench.read(text, {}).cases == (Case("2\n", "4"),)
