"""A pass cannot be forged: whatever the judged code does, only right values are paid.

Every attack is wrong code that tries to pass: by ending the process, by objects that equal
everything, by rewriting or reading what stands around it, by imitating its replies. None may earn
anything, and none may be anything but incorrect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.sandbox import Limits, Sandbox, SandboxUnavailable
from rewardkit.sandbox.inside.calls import MARK, REPLIES
from rewardkit.verdict import Verdict
from rewardkit.verifiers.code import CodeVerifier
from rewardkit.verifiers.code.codec import encode

# Values that no attack finds by chance, and that stand nowhere but in the caller's process.
SECRET = 7_919_000_123
TESTS: list[Any] = [[[n], SECRET + n] for n in range(2)]
LIMITS = Limits(cpu_s=0.5, wall_s=3.0, memory_mb=192)

SAY = """
import os, struct
def reply(payload):
    for fd in range(3, 256):
        try:
            os.write(fd, MARK + payload)
        except OSError:
            pass
"""

ATTACKS = {
    "control": "def f(n): return 0",
    # ending the process
    "sys_exit_at_import": "import sys; sys.exit(0)",
    "os_exit_at_import": "import os; os._exit(0)",
    "system_exit_at_import": "raise SystemExit(0)",
    "sys_exit_in_call": "import sys\ndef f(n): sys.exit(0)",
    "os_exit_in_call": "import os\ndef f(n): os._exit(0)",
    "system_exit_in_call": "def f(n): raise SystemExit",
    "says_passed_and_exits": "print('ALL TESTS PASSED'); raise SystemExit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(n): raise ValueError",
    "excepthook": "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\ndef f(n): 1 / 0",
    "skip_test": "import unittest\ndef f(n): raise unittest.SkipTest('skip')",
    "keyboard_interrupt": "def f(n): raise KeyboardInterrupt",
    "generator_exit": "def f(n): raise GeneratorExit",
    "replaced_exec": "import os\nos.execv('/bin/true', ['true'])",
    # values that lie
    "equals_everything": (
        "class A:\n    def __eq__(self, o): return True\n    __hash__ = None\n"
        "def f(n): return A()"
    ),
    "int_equals_everything": (
        "class A(int):\n    def __eq__(self, o): return True\n    __ne__ = lambda s, o: False\n"
        "    __hash__ = int.__hash__\ndef f(n): return A()"
    ),
    "str_equals_everything": (
        "class A(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\n"
        "def f(n): return A()"
    ),
    "list_equals_everything": (
        "class A(list):\n    def __eq__(self, o): return True\ndef f(n): return A()"
    ),
    "float_equals_everything": (
        "class A(float):\n    def __eq__(self, o): return True\n    __hash__ = None\n"
        "    def __float__(self): return self\ndef f(n): return A('nan')"
    ),
    "lies_about_its_class": (
        "class A:\n    __class__ = property(lambda self: int)\n"
        "    def __index__(self): return 1\n    __int__ = __index__\ndef f(n): return A()"
    ),
    "repr_and_len_lie": (
        f"class A:\n    def __repr__(self): return '{0}'\n    def __len__(self): return 0\n"
        "def f(n): return A()"
    ),
    "lazy_object": "class A:\n    def __getattr__(self, name): return self\ndef f(n): return A()",
    "generator": "def f(n):\n    while True: yield n",
    "coroutine": "async def f(n): return n",
    "mock": "from unittest.mock import MagicMock, ANY\ndef f(n): return ANY",
    "nan": "def f(n): return float('nan')",
    "infinity": "def f(n): return float('inf')",
    "not_implemented": "def f(n): return NotImplemented",
    "argument_itself": "def f(n): return n",
    "huge_int": "def f(n): return 1 << 4_000_000",
    "huger_int": "def f(n): return 1 << 400_000_000",
    "deep_nesting": "def f(n):\n    x = []\n    for _ in range(200_000): x = [x]\n    return x",
    "contains_itself": "def f(n):\n    x = []\n    x.append(x)\n    return x",
    "surrogates": "def f(n): return '\\ud800' * 1000",
    "many_items": "def f(n): return [None] * 900_000",
    "colliding_hashes": "def f(n): return {i * (2 ** 61 - 1) for i in range(2000)}",
    "decimal_with_a_huge_exponent": "from decimal import Decimal\ndef f(n): return Decimal('1e999999999')",
    "fraction_of_huge_numbers": (
        "from fractions import Fraction\nclass F(Fraction):\n"
        "    numerator = property(lambda s: 1 << 4_000_000)\n"
        "    denominator = property(lambda s: 1 << 3_999_999)\ndef f(n): return F(1, 2)"
    ),
    "time_zone_that_lies": (
        "import datetime as d\nclass Z(d.tzinfo):\n"
        "    def utcoffset(self, at): return d.timedelta(seconds=-86399)\n"
        "def f(n): return d.datetime(9999, 12, 31, tzinfo=Z())"
    ),
    "false_numpy": (
        "import sys, types\nmodule = types.ModuleType('numpy')\nclass A:\n"
        "    dtype = types.SimpleNamespace(kind='i', str='<i8')\n    shape = (3,)\n"
        "    def item(self): return self\n    def tolist(self): return [[[1]]]\n"
        "module.ndarray = module.generic = A\nsys.modules['numpy'] = module\ndef f(n): return A()"
    ),
    "keys_that_are_nan": "def f(n): return {float('nan'): i for i in range(1000)}",
    # rewriting what stands around it
    "patches_exec": "import builtins\nbuiltins.exec = lambda *a, **k: None\ndef f(n): return 0",
    "patches_builtins": (
        "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda *a: int\n"
        "builtins.len = lambda x: 0\nbuiltins.issubclass = lambda *a: True\ndef f(n): return 0"
    ),
    "patches_json": (
        "import json, pickle, struct\njson.dumps = json.loads = lambda *a, **k: True\n"
        "pickle.loads = struct.pack = lambda *a, **k: True\ndef f(n): return 0"
    ),
    "patches_time": "import time\ntime.time = time.perf_counter = lambda: 0\ndef f(n): return 0",
    "patches_os": (
        "import os\nos.write = lambda fd, data: len(data)\nos._exit = lambda code: None\n"
        "def f(n): return 0"
    ),
    "patches_the_codec": (
        "import __main__\n__main__.encode = lambda *a: b'T'\n__main__.decode = lambda *a: True\n"
        "__main__._node = lambda *a: (b'T', ())\n__main__.same_value = lambda *a: True\n"
        "def f(n): return 0"
    ),
    "rewrites_the_callers_globals": (
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    for name in list(frame.f_globals):\n"
        "        if callable(frame.f_globals[name]) and not name.startswith('__'):\n"
        "            frame.f_globals[name] = lambda *a, **k: True\n    frame = frame.f_back\n"
        "def f(n): return 0"
    ),
    "traces_the_caller": (
        "import sys\ndef trace(frame, event, arg):\n    frame.f_locals['value'] = True\n"
        "    return trace\ndef f(n):\n    sys._getframe(1).f_trace = trace\n    sys.settrace(trace)\n"
        "    return 0"
    ),
    "shadows_modules": (
        "for name in ('json', 'struct', 'os', 'codec', 'rewardkit', 'sitecustomize'):\n"
        "    open(name + '.py', 'w').write('raise SystemExit(0)')\ndef f(n): return 0"
    ),
    "overwrites_the_program": (
        "open('program.py', 'w').write('print(1)')\nopen('solution.py', 'w').write('')\n"
        "def f(n): return 0"
    ),
    "conftest": (
        "open('conftest.py', 'w').write('def pytest_runtest_makereport(item, call): call.excinfo"
        " = None')\nopen('reward.txt', 'w').write('1.0')\ndef f(n): return 0"
    ),
    # reading what it should return
    "walks_frames": (
        "import sys\ndef f(n):\n    found = []\n    frame = sys._getframe()\n    while frame:\n"
        "        found += [v for v in {**frame.f_locals, **frame.f_globals}.values()\n"
        "                  if type(v) is int and v > 1000]\n        frame = frame.f_back\n"
        "    return max(found, default=0)"
    ),
    "scans_the_heap": (
        "import gc\ndef f(n):\n    found = [0]\n    for thing in gc.get_objects():\n"
        "        for item in thing if isinstance(thing, (list, tuple)) else ():\n"
        "            if type(item) is int and 7_000_000_000 < item < 8_000_000_000:\n"
        "                found.append(item)\n    return max(found)"
    ),
    "reads_files": (
        "import os\ndef f(n):\n    found = 0\n    for top in ('.', '/proc/self/fd', '/tmp'):\n"
        "        for name in os.listdir(top):\n            try:\n"
        "                data = open(os.path.join(top, name), 'rb').read(1 << 20)\n"
        "            except OSError:\n                continue\n"
        "            found = max([found, *(int(w) for w in data.split() if w.isdigit())])\n"
        "    return found"
    ),
    # imitating the reply
    "prints_a_reply": SAY + (
        "import sys\ndef f(n):\n    sys.stdout.buffer.write(MARK + RETURNED_TRUE)\n"
        "    sys.stdout.flush()\n    os.write(1, MARK + RETURNED_TRUE)\n    return 0"
    ),
    "writes_a_reply_and_exits": SAY + "reply(RETURNED_TRUE)\nos._exit(0)",
    "writes_a_reply_and_returns": SAY + "def f(n):\n    reply(RETURNED_TRUE)\n    return 0",
    "writes_a_verdict": SAY + "reply(PASSED)\nos._exit(0)",
    "writes_an_unknown_reply": SAY + "reply(b'NNNN')\nos._exit(0)",
    "writes_a_pickle": SAY + "reply(b'\\x80\\x04\\x95')\nos._exit(0)",
    "writes_infrastructure_error": SAY + (
        "reply(INFRASTRUCTURE)\nos.write(2, b'infrastructure_error')\nos._exit(254)"
    ),
    "floods_the_channel": SAY + "while True: reply(RETURNED_TRUE)",
    "truncates_the_channel": (
        "import os\ndef f(n):\n    for fd in range(256):\n        try:\n"
        "            os.ftruncate(fd, 0)\n            os.close(fd)\n        except OSError:\n"
        "            pass\n    return 0"
    ),
    "thread_after_return": SAY + (
        "import threading, time\ndef late():\n    while True: reply(RETURNED_TRUE)\n"
        "def f(n):\n    threading.Thread(target=late, daemon=True).start()\n    return 0"
    ),
    "daemon_after_return": SAY + (
        "import time\ndef f(n):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0:\n            time.sleep(0.3)\n            reply(RETURNED_TRUE)\n"
        "        os._exit(0)\n    return 0"
    ),
    "thread_of_the_loading": SAY + (
        "import threading, time\ndef talk():\n    while True:\n        reply(RETURNED_TRUE)\n"
        "        time.sleep(0.001)\nthreading.Thread(target=talk, daemon=True).start()\n"
        "def f(n): return 0"
    ),
    "rewrites_earlier_replies": (
        "import fcntl, os\ndef f(n):\n    for fd in range(3, 256):\n        try:\n"
        "            fcntl.fcntl(fd, fcntl.F_SETFL, 0)\n"
        "            os.pwrite(fd, (MARK + RETURNED_TRUE) * 99, 0)\n"
        "        except OSError: pass\n    return 0"
    ),
    "says_that_the_next_is_ready": (
        "import os\ndef f(n):\n    for fd in range(3, 256):\n        try:\n"
        "            for _ in range(99): os.write(fd, bytes(4))\n        except OSError: pass\n"
        "    return 0"
    ),
    "does_it_at_the_fork": SAY + (
        "os.register_at_fork(after_in_child=lambda: (reply(RETURNED_TRUE), os._exit(0)))\n"
        "def f(n): return 0"
    ),
    "ends_what_it_is_a_copy_of": (
        "import os\nmain = os.getpid()\ndef f(n):\n    for pid in (main, os.getppid(), -1):\n"
        "        try: os.kill(pid, 19)\n        except OSError: pass\n    return 0"
    ),
    "last_words_after_the_reply": SAY + (
        "class Last:\n    def __del__(self): reply(RETURNED_TRUE)\nlast = Last()\ndef f(n): return 0"
    ),
    "scans_what_the_collector_froze": (
        "import gc\ndef f(n):\n    gc.unfreeze()\n    found = [0]\n"
        "    for thing in gc.get_objects():\n"
        "        for item in thing if isinstance(thing, (list, tuple)) else ():\n"
        "            if type(item) is int and 7_000_000_000 < item < 8_000_000_000:\n"
        "                found.append(item)\n    return max(found)"
    ),
    "forks_two_replies": "import os\ndef f(n):\n    os.fork()\n    return 0",
    "reply_with_control_characters": "def f(n): raise ValueError('\\x1b[2J\\r\\nPASSED')",
    # not ending
    "hangs": "def f(n):\n    while True: pass",
    "hangs_at_import": "while True: pass",
    "sleeps": "import time\ndef f(n): time.sleep(1000)",
    "catches_everything": (
        "def f(n):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass"
    ),
    "ignores_signals": (
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\ndef f(n):\n    while True: pass"
    ),
    "message_that_hangs": (
        "class E(Exception):\n    def __str__(self):\n        while True: pass\n"
        "def f(n): raise E"
    ),
    "message_that_raises": (
        "class E(Exception):\n    def __str__(self): raise SystemExit(0)\ndef f(n): raise E"
    ),
    "long_message": "def f(n): raise ValueError('x' * 10_000_000)",
    "fork_bomb": "import os\ndef f(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "memory_bomb": "def f(n):\n    x = []\n    while True: x.append('x' * 1_000_000)",
    "disk_bomb": (
        "def f(n):\n    with open('big', 'wb') as file:\n"
        "        while True: file.write(bytes(1 << 20))"
    ),
}  # fmt: skip


def armed(code: str) -> str:
    """The attack with replies that its author could have made."""
    replies = {
        "MARK": MARK,
        "RETURNED_TRUE": encode(["returned", True], 99),
        "PASSED": encode(["passed", True, 1.0], 99),
        "INFRASTRUCTURE": encode(["infrastructure_error", "x"], 99),
    }
    return "\n".join(f"{name} = {value!r}" for name, value in replies.items()) + "\n" + code


def verdict_on(code: str, box: Sandbox, tests: Any = TESTS, **arguments: Any) -> Verdict:
    verifier = CodeVerifier(tests, limits=LIMITS, sandbox=box, extract="whole", **arguments)
    return verifier.verify(Sample(completion=code))


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_not_paid(box: Sandbox, name: str) -> None:
    # One that only sleeps is not waited for in each of the tests.
    verdict = verdict_on(armed(ATTACKS[name]), box, entry="f", budget_s=0.4)
    assert verdict.status == "incorrect", verdict
    assert verdict.credit == 0.0
    assert verdict.reason.isprintable()


# What is about the descriptors and processes of calls; those differ between the tiers.
ABOUT_CALLS = {
    *("writes_a_reply_and_exits", "floods_the_channel", "truncates_the_channel"),
    *("rewrites_earlier_replies", "says_that_the_next_is_ready", "does_it_at_the_fork"),
    *(
        "ends_what_it_is_a_copy_of",
        "thread_of_the_loading",
        "os_exit_at_import",
        "equals_everything",
    ),
}


@pytest.fixture(scope="module")
def landlocked() -> Iterator[Sandbox]:
    try:
        sandbox = Sandbox("landlock", workers=1)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ABOUT_CALLS else [pytest.mark.slow])
        for name in ATTACKS
    ],
)
def test_attack_is_not_paid_where_nothing_forks(landlocked: Sandbox, name: str) -> None:
    verdict = verdict_on(armed(ATTACKS[name]), landlocked, entry="f", budget_s=0.4)
    assert (verdict.status, verdict.credit) == ("incorrect", 0.0), verdict


CANARY = "canary-7f3a9c-" + "zebra"
SEARCH = """
import os, re
head, tail = b"canary-7f3a9c-", b"zebra"

def holds(data):
    # Compared in two halves: the whole canary must not come into being by being looked for.
    return any(data[m.end():m.end() + 5] == tail for m in re.finditer(re.escape(head), data))

def read(path, start=0, size=1 << 22):
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            return file.read(size) or b""
    except (OSError, OverflowError, ValueError):
        return b""

def f(n, *rest):
    kept = rest  # so that an argument that holds it is still in memory
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for line in read(f"/proc/{pid}/maps").decode().splitlines():
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            for at in range(start, end, 1 << 22):
                if holds(read(f"/proc/{pid}/mem", at, min(end - at, 1 << 22))):
                    return f"found in the memory of process {pid}"
        for name in ("environ", "cmdline", "fd/0", "fd/1", "fd/2", "fd/3", "fd/4"):
            if holds(read(f"/proc/{pid}/{name}")):
                return f"found in {name}"
    for folder, _, names in os.walk("."):
        for name in names:
            if holds(read(os.path.join(folder, name))):
                return f"found in {name}"
    return "not found"
"""


def test_expected_values_never_come_near_the_judged_code() -> None:
    """Searched for in every memory, file and descriptor that the judged code can reach."""
    try:
        box = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"without namespaces the caller's own files can be read: {error}")
    tests = [[[0], CANARY], [[1], "not found"], [[2, CANARY], "found in the memory"]]
    verdict = CodeVerifier(tests, entry="f", sandbox=box, extract="whole").verify(
        Sample(completion=SEARCH)
    )
    details = verdict.evidence.details
    assert details["statuses"] == ["wrong", "passed", "wrong"]
    assert details["reasons"]["1"] == f"returned 'not found', expected {CANARY!r}"
    assert "found in the memory" in details["reasons"]["3"]  # the search does find what is there


EXPECTED: list[Any] = [None, False, 0, 1, "", [], {}, 1.5, "text", [1, 2], {"a": 1}]
LIARS = [
    f"class A({base}):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\n"
    "    def __hash__(self): return 0\n    def __iter__(self): return iter(())\n"
    "    def __len__(self): return 0\n    def __bool__(self): return True\n"
    f"def f(n): return A({argument})"
    for base, argument in [
        ("object", ""), ("int", "41"), ("str", "'no'"), ("list", "[9]"), ("tuple", "[9]"),
        ("dict", "z=9"), ("set", "[9]"), ("float", "0.25"), ("complex", "3j"), ("bytes", "b'no'"),
    ]
]  # fmt: skip


def test_no_liar_equals_any_expected_value(box: Sandbox) -> None:
    tests: list[Any] = [[[n], expected] for n, expected in enumerate(EXPECTED)]
    for code in LIARS:
        verdict = verdict_on(code, box, tests, entry="f", stop_at_first_failure=False)
        assert verdict.credit == 0.0, code


def test_exiting_earns_nothing_even_where_nothing_is_expected(box: Sandbox) -> None:
    """An absent result is not the value None, False, 0 or an empty one."""
    nothing: list[Any] = [None, False, 0, "", [], {}]
    tests = [[[0], expected] for expected in nothing]
    for code in ("import os; os._exit(0)", "def f(n): raise SystemExit(0)", "def f(n): n.x"):
        assert verdict_on(code, box, tests, entry="f").credit == 0.0


def test_a_reply_of_the_codes_own_is_data_like_any_other(box: Sandbox) -> None:
    """Whoever writes the reply can only say a value: the right one passes, as if returned."""
    right = encode(["returned", 5], 99)
    code = f"import os\ndef f(n):\n    os.write({REPLIES}, {MARK + right!r})\n    os._exit(0)"
    assert verdict_on(code, box, [[[1], 5]], entry="f").status == "correct"
    assert verdict_on(code, box, [[[1], 5], [[2], 6]], entry="f").credit == 0.5


STDIN_ATTACKS = {
    "control": "print(0)",
    "exits": "import sys; sys.exit(0)",
    "says_passed": "print('PASSED'); print('1.0'); raise SystemExit(0)",
    "scans_the_heap": (
        "import gc\nfor thing in gc.get_objects():\n"
        "    for item in thing if isinstance(thing, (list, tuple)) else ():\n"
        "        if isinstance(item, str) and item.isdigit() and len(item) == 10: print(item)"
    ),
    "walks_frames": (
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    for value in {**frame.f_locals, **frame.f_globals}.values():\n"
        "        if isinstance(value, str) and value.strip().isdigit(): print(value)\n"
        "    frame = frame.f_back"
    ),
    "reads_descriptors": (
        "import os\nfor name in os.listdir('/proc/self/fd'):\n    try:\n"
        "        print(open('/proc/self/fd/' + name).read())\n    except OSError: pass"
    ),
    "echoes": "print(input())",
    "prints_many": "for n in range(10_000): print(n)",
    "prefix": f"print('{str(SECRET)[:5]}', end='')",
    "late_daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(0.3)\n    print(1)"
    ),
    "nothing": "",
}


@pytest.mark.parametrize("name", STDIN_ATTACKS)
def test_attack_on_printed_text_is_not_paid(box: Sandbox, name: str) -> None:
    tests = [[str(n), str(SECRET + n)] for n in range(2)]
    verdict = verdict_on(STDIN_ATTACKS[name] or "pass", box, tests, kind="stdin")
    assert verdict.status == "incorrect", verdict
    assert verdict.credit == 0.0
