"""Judged code that speaks to the trusted tests by itself, past everything that stands around it.

It takes the socket and says what it likes: wrong messages, demands, endless talk. The tests give it
a function, an object and a list of their own to hold on to; from none of them can it come by what
is expected, and nothing it says is taken for a pass.
"""

from __future__ import annotations

import pytest

from rewardkit import Sample
from rewardkit.sandbox import Limits, Sandbox
from rewardkit.verifiers.code import CodeVerifier

SECRET = 7_919_000_123
LIMITS = Limits(cpu_s=0.3, wall_s=1.5, memory_mb=192)

TESTS = f"""
WANTED = [{SECRET}, {SECRET + 1}]

class Case:
    kind = "plain"
    def __init__(self, n):
        self.n = n
        self._wanted = WANTED[n]
    def double(self): return self.n * 2
    def _peek(self): return self._wanted

def probe(x, wanted=WANTED): return x + 1

data = [1, 2, 3]
assert f(probe, Case(0), data) == WANTED[0]
assert f(probe, Case(1), data) == WANTED[1]
"""

# The other side's end of the talk, by hand. `say` sends a message, `hear` waits for one; `ask` makes
# the tests do something, and gives what came of it; `mine` and `yours` stand for objects.
CLIENT = """
import os, sys
main = sys.modules["__main__"]
names = vars(main)
if "encode" not in names:
    import gc
    names = next(o for o in gc.get_objects() if type(o) is dict and "Peer" in o and "encode" in o)
encode, decode, REAL, make_extra = (names[n] for n in ("encode", "decode", "REAL", "make_extra"))

class Thing:
    def __init__(self, kind, number): self.kind, self.number = kind, number
    def __repr__(self): return f"{self.kind} {self.number}"
    def __hash__(self): return self.number
    def __eq__(self, other): return isinstance(other, Thing) and vars(self) == vars(other)

def refer(value):
    return [value.kind, value.number] if type(value) is Thing else ["mine", 0]

others = {"mine": lambda n: Thing("yours", n), "yours": lambda n: Thing("mine", n),
          "task": lambda n: Thing("yours", n)}
makers = {**REAL, b"x": lambda items: make_extra(items, {**names["EXTRAS"], **others})}

def send(data):
    data = len(data).to_bytes(4, "little") + data
    while data: data = data[os.write(3, data):]

def say(*message): send(encode(list(message), 1 << 24, refer))

def read(size):
    data = b""
    while len(data) < size:
        part = os.read(3, size - len(data))
        if not part: os._exit(0)
        data += part
    return data

def hear(): return decode(read(int.from_bytes(read(4), "little")), makers)

def ask(verb, *parts):
    say("ask", verb, *parts)
    return hear()

def each_call(answer):
    '''Say that all is ready, name `f`, and answer each call of it.'''
    say("ready")
    while True:
        word = hear()
        if word[0] != "ask": continue
        if word[1] == "names": say("value", {"f": Thing("mine", 1)}, None)
        elif word[1] == "find": say("value", Thing("mine", 1), None)
        elif word[1] == "call": answer(word[3] if len(word) > 3 else [])
        else: say("value", True, None)

found = []

def note(word):
    '''Keep any number that could be what is expected.'''
    todo = [word]
    while todo:
        item = todo.pop()
        if type(item) is int and item > 10**9: found.append(item)
        elif isinstance(item, (list, tuple, set, frozenset)): todo += item
        elif isinstance(item, dict): todo += [*item, *item.values()]
        elif isinstance(item, str):
            todo += [int(w) for w in "".join(c if c.isdigit() else " " for c in item).split()]

def answer_found(): say("value", max(found, default=0), None)
"""

ATTACKS = {
    "control": "each_call(lambda a: say('value', 0, None))",
    "says true": "each_call(lambda a: say('value', True, None))",
    "says many values": (
        "each_call(lambda a: [say('value', v, None) for v in (True, None, 0, '', [], {}, 1.0)])"
    ),
    "says something that equals": "each_call(lambda a: say('value', Thing('mine', 2), None))",
    "hands back what it was given": "each_call(lambda a: say('value', a[1], None))",
    "hands back every object of the tests": (
        "def answer(a):\n    for n in range(40): say('value', Thing('yours', n), None)\neach_call(answer)"
    ),
    "objects that are not there": (
        "def answer(a):\n    for n in (-1, 10**30, 'x', None, [0]): say('value', Thing('yours', n), None)\n"
        "each_call(answer)"
    ),
    "asks for private parts": (
        "def answer(a):\n"
        "    for thing in a:\n"
        "        for name in ('__globals__', '__closure__', '__defaults__', '__kwdefaults__', '__code__',\n"
        "                     '__dict__', '__class__', '__self__', '__func__', '__module__', '_wanted',\n"
        "                     '_peek', '__init__', '__getattribute__', '__reduce__', 'gi_frame', 'WANTED'):\n"
        "            note(ask('getattr', thing, name))\n"
        "    answer_found()\neach_call(answer)"
    ),
    "asks everything of everything": (
        "verbs = ('call', 'getattr', 'setattr', 'delattr', 'getitem', 'slice', 'setitem', 'delitem',\n"
        "         'iter', 'next', 'await', 'len', 'bool', 'str', 'repr', 'hash', 'enter', 'exit',\n"
        "         'isinstance', 'names', 'find', 'eval', 'exec', '__import__', 'eq', 'add', '')\n"
        "def answer(a):\n"
        "    for n in range(12):\n        for verb in verbs:\n"
        "            for rest in ([], ['_wanted'], [0], [[], {}], [['WANTED'], {}], [0, 9, None]):\n"
        "                note(ask(verb, Thing('yours', n), *rest))\n"
        "    for verb in verbs:\n        note(ask(verb)); note(ask(verb, ['WANTED', 'data', '_wanted'], 0))\n"
        "    answer_found()\neach_call(answer)"
    ),
    "calls the tests' objects oddly": (
        "def answer(a):\n"
        "    for more in ([[0], {}], [[0], {'wanted': 0}], [[], {}], [0, 0], [[a[0]], {}], [[a[1]], {}]):\n"
        "        note(ask('call', a[0], *more))\n"
        "    word = ask('getattr', a[1], 'double')\n    note(word); note(ask('getattr', word[1], '__func__'))\n"
        "    answer_found()\neach_call(answer)"
    ),
    "rewrites the tests' objects": (
        "def answer(a):\n"
        "    for thing in a:\n        for name in ('_wanted', '__class__', '__eq__', '__code__', '__dict__', 'n',\n"
        "                     'kind', 'double', 'WANTED'):\n            ask('setattr', thing, name, 0)\n"
        "    say('value', 0, None)\neach_call(answer)"
    ),
    "changes what it was given": (
        "def answer(a):\n    say('value', None, [[a[0], a[1], []], {}])\neach_call(answer)"
    ),
    "changes of a wrong form": (
        "def answer(a):\n    say('value', None, [[0, 0, {}], {}, 5, [a]])\neach_call(answer)"
    ),
    "keys that ask": (
        "def answer(a):\n    say('value', {Thing('mine', n): n for n in range(50)}, None)\neach_call(answer)"
    ),
    "ready twice": "say('ready'); say('ready'); each_call(lambda a: say('value', 0, None))",
    "not ready": "say('value', True, None); each_call(lambda a: say('value', 0, None))",
    "an empty word": "send(b''); each_call(lambda a: say('value', 0, None))",
    "no value": "send(b'zzzz'); each_call(lambda a: say('value', 0, None))",
    "half a message": "os.write(3, b'\\xff\\0\\0\\0half'); os._exit(0)",
    "half a message and silence": "os.write(3, b'\\xff\\0\\0\\0half')\nimport time; time.sleep(1000)",
    "a long message and silence": (
        "os.write(3, (1 << 24).to_bytes(4, 'little') + bytes(1 << 16))\nimport time; time.sleep(1000)"
    ),
    "silence": "import time; time.sleep(1000)",
    "silence when asked": "say('ready')\nimport time; time.sleep(1000)",
    "says that it does not load": "say('not_loaded', 'E' * 10**6, ['passed'], {}); os._exit(0)",
    "says that the tests are broken": "say('broken', 'ModuleNotFoundError: x'); os._exit(0)",
    "says a report": "say('report', [['passed', '']] * 2, True, ''); os._exit(0)",
    "asks before it is ready": (
        "for n in range(9): note(ask('repr', Thing('yours', n)))\n"
        "each_call(lambda a: answer_found())"
    ),
    "asks without end": (
        "def answer(a):\n    while True: ask('len', a[2])\neach_call(answer)"
    ),
    "calls within calls": (
        "def answer(a):\n    while True: say('ask', 'call', a[0], [Thing('mine', 1)], {})\neach_call(answer)"
    ),
    "floods": "say('ready')\nwhile True: say('value', 'x' * 10**6, None)",
    "large values": (
        "def answer(a): say('value', [[None] * 10**6] * 12, None)\neach_call(answer)"
    ),
    "a long name": "each_call(lambda a: say('raised', ['A' * 10**6] * 10, 'x' * 10**6))",
}  # fmt: skip

RAISED = [
    *("AssertionError", "StopIteration", "StopAsyncIteration", "SystemExit", "KeyboardInterrupt"),
    *(
        "GeneratorExit",
        "BaseException",
        "Exception",
        "ExceptionGroup",
        "Gone",
        "SkipTest",
        "Warning",
    ),
    *("__import__", "print", "True", "NotImplemented", "UnicodeDecodeError", "MemoryError", ""),
]


def credit_for(attack: str, box: Sandbox) -> tuple[str, float | None]:
    """Status and credit of code that talks by itself."""
    verifier = CodeVerifier(TESTS, kind="assert", limits=LIMITS, sandbox=box, extract="whole")
    verdict = verifier.verify(Sample(completion=f"{CLIENT}\n{attack}\ndef f(*a): pass\n"))
    return verdict.status, verdict.credit


@pytest.mark.parametrize("name", ATTACKS)
def test_no_talk_is_paid(box: Sandbox, name: str) -> None:
    assert credit_for(ATTACKS[name], box) == ("incorrect", 0.0)


def test_no_exception_is_paid(box: Sandbox) -> None:
    for name in RAISED:
        attack = f"each_call(lambda a: say('raised', [{name!r}], 'x'))"
        assert credit_for(attack, box) == ("incorrect", 0.0), name


def test_the_client_does_speak(box: Sandbox) -> None:
    """Else no talk would be paid for a reason of its own."""
    right = (
        "def answer(a):\n    n = ask('getattr', a[1], 'n')[1]\n"
        f"    assert ask('call', a[0], [5], {{}})[1] == 6\n    say('value', {SECRET} + n, None)\n"
        "each_call(answer)"
    )
    assert credit_for(right, box) == ("correct", 1.0)
