"""A fifth right earns exactly a fifth, whatever is done about the other four.

Every program here knows the right answer to the first of five tests, and cheats in the rest: in
calls, in programs that print, in asserts, in ``check(candidate)`` and in ``unittest``. None may earn
a bit more, nor lose what it has earned, nor make the row unscorable.
"""

from __future__ import annotations

from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.sandbox import Limits, Sandbox
from rewardkit.sandbox.inside.calls import MARK
from rewardkit.verdict import Verdict
from rewardkit.verifiers.code import CodeVerifier
from rewardkit.verifiers.code.codec import encode

SECRET = 7_919_000_123
FIRST = SECRET + 1  # known to the judged code; the others stand in the caller's process alone
LIMITS = Limits(cpu_s=0.15, wall_s=1.0, memory_mb=192, output_kb=256)

REPLY = encode(["returned", True], 99)
REPORT = b"rewardkit tests 1\n" + encode(["report", [["passed", ""]] * 5, True, ""], 999)
ANSWER = encode(["value", True, None], 99)

# What is done where the answer is not known. `n` is the input; what it returns is the answer.
CHEATS = {
    "a wrong value": "return n",
    "the first answer again": f"return {FIRST}",
    "an object that equals everything": (
        "class A:\n    __eq__ = __le__ = __ge__ = __contains__ = lambda s, o: True\n"
        "    __ne__ = lambda s, o: False\n    __hash__ = lambda s: 0\nreturn A()"
    ),
    "an int that equals everything": (
        "class A(int):\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n"
        "    __hash__ = int.__hash__\nreturn A(n)"
    ),
    "a text that equals everything": (
        "class A(str):\n    __eq__ = lambda s, o: True\n    __hash__ = str.__hash__\nreturn A('x')"
    ),
    "an enum that equals everything": (
        "import enum\nclass E(enum.IntEnum):\n    a = 1\n    __eq__ = lambda s, o: True\n"
        "    __hash__ = int.__hash__\nreturn E.a"
    ),
    "an object that reads itself": (
        "class A:\n    def __reduce__(self): return eval, ('1',)\n    def __repr__(self): return 'True'\n"
        "return A()"
    ),
    "not implemented": "return NotImplemented",
    "any": "from unittest.mock import ANY\nreturn ANY",
    "exit": "raise SystemExit(0)",
    "exit of the process": "import os; os._exit(0)",
    "exit at the end": "import atexit, os; atexit.register(os._exit, 0); raise ValueError",
    "exit in a thread": (
        "import threading, os, time\nthreading.Thread(target=os._exit, args=(0,)).start()\n"
        "time.sleep(9)"
    ),
    "another program": "import os; os.execv('/bin/true', ['true'])",
    "an exception that says yes": (
        "class Passed(Exception):\n    __bool__ = lambda s: True\n    __eq__ = lambda s, o: True\nraise Passed"
    ),
    "an end of iteration": "raise StopIteration(True)",
    "a skip": "import unittest; raise unittest.SkipTest",
    "an interrupt": "raise KeyboardInterrupt",
    "a failed assert": "assert False",
    "a generator": "return (i for i in range(10 ** 9))",
    "a promise": (
        "class A:\n    def __getattr__(self, name): return self\n    def __call__(self, *a): return self\n"
        "return A()"
    ),
    "patched builtins": (
        "import builtins\nfor name in ('isinstance', 'all', 'any', 'issubclass', 'hasattr'):\n"
        "    setattr(builtins, name, lambda *a: True)\nbuiltins.type = lambda *a: int\n"
        "builtins.print = lambda *a: None\nreturn 0"
    ),
    "patched modules": (
        "import json, os, pickle, struct, sys, unittest\njson.dumps = json.loads = lambda *a: True\n"
        "struct.pack = pickle.dumps = lambda *a: b'T'\nunittest.TestCase.assertEqual = lambda *a: None\n"
        "os.write = lambda fd, data: len(data)\nreturn 0"
    ),
    "a patched codec": (
        "import gc, types\nfor thing in gc.get_objects():\n"
        "    if isinstance(thing, types.FunctionType) and thing.__name__ in ('encode', 'decode', '_node'):\n"
        "        thing.__code__ = (lambda *a: b'T').__code__\nreturn 0"
    ),
    "frames": (
        "import sys\nframe, found = sys._getframe(), [0]\nwhile frame:\n"
        "    for names in (frame.f_locals, frame.f_globals):\n"
        f"        found += [v for v in names.values() if type(v) is int and v > {FIRST}]\n"
        "    frame = frame.f_back\nreturn max(found)"
    ),
    "the heap": (
        "import gc\nreturn max((x for t in gc.get_objects() if isinstance(t, (list, tuple, set))\n"
        f"            for x in t if type(x) is int and x > {FIRST}), default=0)"
    ),
    "its own memory": (
        "import re\ntry: lines = open('/proc/self/maps').readlines()\nexcept OSError: return 0\n"
        "for line in lines:\n    start, end = (int(x, 16) for x in line.split()[0].split('-'))\n"
        "    if 'rw' not in line or end - start > 1 << 24: continue\n"
        "    with open('/proc/self/mem', 'rb', 0) as memory:\n        memory.seek(start)\n"
        f"        found = re.search(b'{SECRET // 1000}(?!{FIRST % 1000})[0-9]{{3}}', memory.read(end - start))\n"
        "    if found: return int(found[0])\nreturn 0"
    ),
    "files": (
        "import os\nfor folder in ('.', '/tmp', '/proc/self/fd'):\n"
        "    for name in os.listdir(folder) if os.access(folder, os.R_OK) else ():\n"
        "        try: data = open(os.path.join(folder, name), 'rb').read(1 << 20)\n"
        "        except OSError: continue\n"
        f"        for word in data.split():\n            if word.isdigit() and int(word) > {FIRST}: return int(word)\n"
        "return 0"
    ),
    "forged replies everywhere": (
        f"import os\nfor words in ({MARK + REPLY!r}, {REPORT!r}, {ANSWER!r}):\n"
        "    for fd in range(1, 256):\n        try: os.write(fd, words)\n        except OSError: pass\n"
        "os._exit(0)"
    ),
    "a forged answer on the channel": (
        f"import os\ndata = {ANSWER!r}\nfor _ in range(9):\n"
        "    try: os.write(3, len(data).to_bytes(4, 'little') + data)\n    except OSError: pass\nreturn 0"
    ),
    "a child that answers": (
        "import os\ntry: child = os.fork()\nexcept OSError: return 0\n"
        f"if child == 0:\n    for fd in range(1, 256):\n        try: os.write(fd, {MARK + REPLY!r})\n"
        "        except OSError: pass\n    os._exit(0)\nos.waitpid(child, 0)\nreturn 0"
    ),
    "a thread that answers later": (
        "import os, threading, time\ndef late():\n    while True:\n        for fd in range(1, 256):\n"
        f"            try: os.write(fd, {MARK + REPLY!r})\n            except OSError: pass\n"
        "        time.sleep(0.001)\nthreading.Thread(target=late, daemon=True).start()\nreturn 0"
    ),
    "infrastructure": (
        "import os, signal\nos.write(2, b'infrastructure_error: the lane died\\n')\n"
        "for fd in range(3, 256):\n    try: os.close(fd)\n    except OSError: pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    ),
    "closed descriptors": "import os; os.closerange(0, 256); return 0",
    "a loop": "while True: pass",
    "a sleep": "import time; time.sleep(1000)",
    "all the memory": "x = []\nwhile True: x.append(bytearray(1 << 20))",
}  # fmt: skip


def indented(text: str, by: int = 4) -> str:
    return "\n".join(" " * by + line for line in text.split("\n"))


def called(cheat: str) -> str:
    """A function that knows the first answer."""
    return f"def cheat(n):\n{indented(cheat)}\n\ndef f(n):\n    return {FIRST} if n == 1 else cheat(n)\n"


def printed(cheat: str) -> str:
    """A program that knows the first answer."""
    return f"{called(cheat)}\nprint(f(int(input())))\n"


CALLS: list[Any] = [[[n], SECRET + n] for n in range(1, 6)]
PROGRAMS: list[Any] = [[f"{n}\n", f"{SECRET + n}\n"] for n in range(1, 6)]
ASSERTS = "\n".join(f"assert f({n}) == {SECRET + n}" for n in range(1, 6))
CHECK = "def check(candidate):\n" + "\n".join(
    f"    assert candidate({n}) == {SECRET + n}" for n in range(1, 6)
)
UNITTEST = "import unittest\nclass T(unittest.TestCase):\n" + "\n".join(
    f"    def test_{n}(self): self.assertEqual(f({n}), {SECRET + n})" for n in range(1, 6)
)

PATHS: dict[str, dict[str, Any]] = {
    "call": {"tests": CALLS, "entry": "f"},
    "stdin": {"tests": PROGRAMS, "kind": "stdin"},
    "assert": {"tests": ASSERTS, "kind": "assert"},
    "check": {"tests": CHECK, "kind": "assert", "entry": "f"},
    "unittest": {"tests": UNITTEST, "kind": "assert"},
}


def judged(path: str, code: str, box: Sandbox) -> Verdict:
    """The verdict on a piece of code; every test is run, however many fail."""
    verifier = CodeVerifier(
        limits=LIMITS, sandbox=box, extract="whole", budget_s=60.0, **PATHS[path]
    )
    return verifier.verify(Sample(completion=code))


def cheats() -> list[Any]:
    """Every cheat on every path; in the ordinary suite on one of the three that have two processes,
    by turns."""
    found = []
    for number, name in enumerate(CHEATS):
        for place, path in enumerate(PATHS):
            is_turn = place < 2 or (place - number) % 3 == 0
            marks = [] if is_turn else [pytest.mark.slow]
            found.append(pytest.param(name, path, id=f"{name}-{path}", marks=marks))
    return found


@pytest.mark.parametrize(("name", "path"), cheats())
def test_a_fifth_earns_a_fifth(box: Sandbox, name: str, path: str) -> None:
    code = (printed if path == "stdin" else called)(CHEATS[name])
    verdict = judged(path, code, box)
    assert (verdict.status, verdict.credit) == ("incorrect", 0.2), verdict


@pytest.mark.parametrize("path", PATHS)
def test_all_right_earns_all(box: Sandbox, path: str) -> None:
    code = (printed if path == "stdin" else called)(f"return {SECRET} + n")
    verdict = judged(path, code, box)
    assert (verdict.status, verdict.credit) == ("correct", 1.0), verdict
