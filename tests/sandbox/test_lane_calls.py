"""Load once, call in copies: what one call does is no other call's affair."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import Any

import pytest

from rewardkit.errors import UsageError
from rewardkit.sandbox import CHANNEL, Calls, Isolation, Job, Limits, Sandbox, SandboxError

DRIVER = """
import json
names = {}

def load(source):
    try:
        exec(compile(source, "solution.py", "exec"), names)
    except Exception as error:
        return repr(error).encode()

def call(argument):
    name, arguments = json.loads(argument)
    return json.dumps(names[name](*arguments)).encode()
"""

SOURCE = """
import os, sys, time
count = 0

def bump():
    global count
    count += 1
    return count

def add(a, b): return a + b
def leave(): os._exit(0)
def leave_politely(): sys.exit(0)
def fail(): raise KeyError("x")
def loop():
    while True: pass
def sleep(): time.sleep(60)
def crash():
    import ctypes
    ctypes.string_at(0)
def hoard(): return len(bytearray(1 << 33))
def say(n): return "x" * n
def touch(path): open(path, "w").write("x")
def look(): return sorted(os.listdir("."))
def my_parent(): os.kill(os.getppid(), 9)
def everybody():
    for pid in range(2, 60):
        try: os.kill(pid, 9)
        except OSError: pass
def children():
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
    return len(os.listdir("/proc"))
def others(): return len([name for name in os.listdir("/proc") if name.isdigit()])
def shout():
    print("x" * 5_000_000)
    return 1
"""


QUICK = Limits(cpu_s=0.3, wall_s=60)
IMPATIENT = Limits(cpu_s=5, wall_s=1)


def call(box: Sandbox, *calls: tuple[str, list[Any]], **options: Any) -> Calls:
    arguments = [json.dumps(one).encode() for one in calls]
    options = {"limits": QUICK, **options}
    return box.calls(DRIVER, options.pop("source", SOURCE), arguments, **options)


def statuses(calls: Calls) -> list[str]:
    return [result.status for result in calls.results]


ONE = ("add", [1, 1])


def test_each_call_begins_where_loading_ended(tier_box: Sandbox) -> None:
    done = call(tier_box, ("bump", []), ("bump", []), ("add", ["a", "b"]))
    assert (done.loaded.status, done.loaded.data) == ("ok", None)
    assert [result.data for result in done.results] == [b"1", b"1", b'"ab"']


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("leave", "runtime_error"),
        ("leave_politely", "runtime_error"),
        ("fail", "runtime_error"),
        ("loop", "cpu_limit"),
        ("sleep", "wall_limit"),
        ("crash", "signal"),
        ("hoard", "runtime_error"),
    ],
)
def test_a_call_that_ends_badly_costs_itself_alone(
    tier_box: Sandbox, name: str, status: str
) -> None:
    limits = IMPATIENT if name == "sleep" else QUICK
    done = call(tier_box, ONE, (name, []), ONE, limits=limits)
    assert statuses(done) == ["ok", status, "ok"]
    assert [result.data for result in done.results] == [b"2", None, b"2"]
    assert done.results[1].reason


def test_what_a_call_says_is_bounded(tier_box: Sandbox) -> None:
    done = call(tier_box, ("say", [1000]), ("say", [3000]), ("shout", []), ONE, reply_kb=2)
    assert statuses(done) == ["ok", "output", "ok", "ok"]
    assert done.results[0].data == b'"' + b"x" * 1000 + b'"'
    assert done.results[3].data == b"2"


def test_an_empty_reply_is_one_and_none_is_none(tier_box: Sandbox) -> None:
    driver = "def load(source): return b'' if source else None\ndef call(argument): return b''"
    assert tier_box.calls(driver, "", [b""]).results[0].data == b""
    refused = tier_box.calls(driver, "x", [b""])
    assert (refused.loaded.status, refused.loaded.data, refused.results) == ("ok", b"", ())


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("1 / 0", "ok"),
        ("import os; os._exit(0)", "runtime_error"),
        ("import sys; sys.exit(0)", "runtime_error"),
        ("while True: pass", "cpu_limit"),
        ("import time; time.sleep(60)", "wall_limit"),
        ("import os; os.abort()", "signal"),
    ],
)
def test_what_does_not_load_is_not_called(tier_box: Sandbox, source: str, status: str) -> None:
    limits = IMPATIENT if "sleep" in source else QUICK
    done = call(tier_box, ONE, ONE, source=source, limits=limits)
    assert (done.loaded.status, done.results) == (status, ())
    assert (done.loaded.data is not None) == (status == "ok")
    assert tier_box.run("print(1)").stdout == b"1\n"


LIES = {
    "it is ready": "import os, struct; os.write(60, struct.pack('<i', 0)); os._exit(0)",
    "it is ready, twice": "import os, struct; os.write(60, struct.pack('<i', 0))",
    "another process": "import os, struct; os.write(60, struct.pack('<i', os.getppid()))",
    "nonsense": "import os; os.write(60, b'x' * 60)",
    "nothing": "import os; os.close(60)",
    "its own answer": "import os; os.write(62, b'=2' * 9)",
    "all of the answers": "import os; os.ftruncate(62, 1 << 20)",
    "no answers at all": "import os; os.close(62)",
    "not a word": "import os; os.closerange(0, 300)",
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_about_calls_harm_nobody_else(tier_box: Sandbox, lie: str) -> None:
    source = LIES[lie] + "\n" + SOURCE
    done = call(tier_box, ONE, ("fail", []), ("sleep", []), source=source, limits=IMPATIENT)
    assert "infrastructure_error" not in (done.loaded.status, *statuses(done))
    assert "ok" not in statuses(done)[1:]
    assert tier_box.run("print(1)").stdout == b"1\n"


def test_calls_that_kill_end_nobody_but_their_own(tier_box: Sandbox) -> None:
    done = call(tier_box, ("my_parent", []), ONE, ("everybody", []), ONE)
    assert done.loaded.status == "ok"
    assert done.results[0].status in ("ok", "runtime_error")
    assert tier_box.run("print(1)").stdout == b"1\n"


def test_processes_that_a_call_leaves_behind_are_gone_by_the_next(
    sandbox_of: Any,
) -> None:
    box = sandbox_of("namespaces")
    done = call(box, ("others", []), ("children", []), ("others", []))
    assert statuses(done) == ["ok"] * 3
    assert done.results[0].data == done.results[2].data


def test_processes_that_loading_starts_may_stay(sandbox_of: Any) -> None:
    box = sandbox_of("namespaces")
    source = """
import os, time
read, write = os.pipe()
if os.fork() == 0:
    while True: os.write(write, b"x"); time.sleep(0.001)
def hear(): return os.read(read, 1).decode()
"""
    done = call(box, ("hear", []), ("hear", []), source=source)
    assert [result.data for result in done.results] == [b'"x"', b'"x"']


def test_a_budget_ends_the_series(tier_box: Sandbox) -> None:
    done = call(tier_box, *[("loop", [])] * 4, budget_s=0.45)
    assert statuses(done) == ["cpu_limit"] * 2


def test_calls_that_sleep_use_up_a_budget_too(tier_box: Sandbox) -> None:
    limits = Limits(cpu_s=0.2, wall_s=0.4)
    done = call(tier_box, *[("sleep", [])] * 9, budget_s=0.45, limits=limits)
    assert statuses(done) == ["wall_limit"] * 3
    assert done.spent


def test_one_call_is_made_whatever_loading_took(tier_box: Sandbox) -> None:
    burns = "import time\nwhile time.process_time() < 0.2: pass\n"
    limits = Limits(cpu_s=5)
    done = call(tier_box, ONE, ONE, source=burns + SOURCE, budget_s=0.05, limits=limits)
    assert (statuses(done), done.spent) == (["ok"], True)
    assert not call(tier_box, ONE, ONE).spent


CHATTER = """
import os, struct
def ready():
    for _ in range(100): os.write(60, struct.pack("<i", 0))
def nonsense():
    os.set_blocking(60, False)
    try:
        while True: os.write(60, b"x" * 4096)
    except OSError: return 1
def shut():
    import socket
    socket.socket(fileno=os.dup(60)).shutdown(socket.SHUT_RDWR)
"""


@pytest.mark.parametrize("name", ["ready", "nonsense", "shut"])
def test_what_a_copy_says_is_not_heard_from_the_next(sandbox_of: Any, name: str) -> None:
    done = call(sandbox_of("landlock"), ONE, (name, []), ONE, ONE, source=SOURCE + CHATTER)
    assert [result.data for result in done.results if result.data != b"null"][-2:] == [b"2", b"2"]


def test_no_call_reaches_the_process_that_it_is_a_copy_of(sandbox_of: Any) -> None:
    source = """
import os, sys
def reach():
    frame = sys._getframe()
    while frame.f_code.co_name != "be_stem":
        frame = frame.f_back
    orders, copy = frame.f_locals["orders"], frame.f_locals["copy"]
    found = []
    for attempt in (
        lambda: os.write(orders, bytes(4)),
        lambda: os.read(orders, 4),
        lambda: os.fork(),
        lambda: os.kill(os.getppid(), 9),
        lambda: [i for i in range(3, 60) if os.fstat(i)],
        lambda: open(f"/proc/{os.getppid()}/mem"),
    ):
        try: found.append(attempt())
        except OSError as error: found.append(error.errno)
    return found
"""
    done = call(sandbox_of("landlock"), ("reach", []), ("reach", []), source=source)
    assert [json.loads(result.data or b"") for result in done.results] == [[9, 9, 1, 1, 9, 13]] * 2


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_what_calls_are_copied_from_ends_with_its_lane(
    tier: Isolation, descendants: Any, eventually: Any, how: str
) -> None:
    with Sandbox(tier, workers=1) as box:
        call(box, ONE)
        idle = descendants(os.getpid())
        (lane,) = box._lanes._all
        limits = Limits(cpu_s=600, wall_s=600)
        thread = threading.Thread(target=_slept, args=(box, limits))
        thread.start()
        eventually(lambda: len(descendants(os.getpid()) - idle) == 2, 60, "the call sleeps")
        made = descendants(os.getpid()) - idle
        if how == "killed":
            os.kill(lane.pid, signal.SIGKILL)
        else:
            box.close()
        eventually(lambda: not any(map(_is_alive, made)), 60, "all of it is gone")
        box.close()
        thread.join()


def _slept(box: Sandbox, limits: Limits) -> None:
    with contextlib.suppress(SandboxError):
        call(box, ("sleep", []), limits=limits)


def _is_alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_files_are_there_for_calls(tier_box: Sandbox) -> None:
    source = "def read(): return open('data/x.txt').read()"
    done = call(tier_box, ("read", []), source=source, files={"data/x.txt": b"here"})
    assert done.results[0].data == b'"here"'


def test_many_calls_come_back_in_order(tier_box: Sandbox) -> None:
    done = call(tier_box, *[("add", [i, 0]) for i in range(700)])
    assert [int(r.data or -1) for r in done.results] == list(range(700))


def test_calls_know_nothing_of_other_orders(tier_box: Sandbox) -> None:
    call(tier_box, ("bump", []), source="import builtins; builtins.leak = 1\n" + SOURCE)
    done = call(tier_box, ("seen", []), source="def seen(): return 'leak' in dir(__builtins__)")
    assert done.results[0].data == b"false"


@pytest.mark.parametrize(
    "bad",
    [
        {"arguments": ["text"]},
        {"driver": b""},
        {"driver": "def load(:"},
        {"driver": "\ud800"},
        {"reply_kb": 0},
        {"reply_kb": 1 << 30},
        {"budget_s": 0},
        {"budget_s": float("nan")},
        {"seed": -1},
    ],
)
def test_senseless_calls_are_refused(box: Sandbox, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        box.calls(**{"driver": DRIVER, "source": "", "arguments": [b""], **bad})


TALK = """
import os, sys
os.write(3, b"ping")
print(os.read(3, 100).decode())
"""
ANSWER = """
import os, time
os.write(3, os.read(3, 100).replace(b"i", b"o"))
time.sleep(60)
"""


def test_two_programs_talk(tier_box: Sandbox) -> None:
    assert CHANNEL == 3
    first, second = tier_box.pair(Job(TALK), Job(ANSWER))
    assert (first.status, first.stdout) == ("ok", b"pong\n")
    assert (second.status, second.reason) == ("signal", "ended with its partner")
    assert second.wall_s < 30


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ("import os; os._exit(0)", "ok"),
        ("1 / 0", "runtime_error"),
        ("import os; os.kill(os.getpid(), 9)", "signal"),
        ("def (", "compile_error"),
    ],
)
def test_the_one_in_charge_sees_the_other_go(tier_box: Sandbox, second: str, status: str) -> None:
    waiting = "import os; print(os.read(3, 1))"
    first, other = tier_box.pair(Job(waiting), Job(second))
    assert (first.stdout, other.status) == (b"b''\n", status)


def test_partners_pass_words_but_no_descriptors(tier_box: Sandbox) -> None:
    send = """
import array, os, socket
channel = socket.socket(fileno=3)
fd = os.open("/dev/null", os.O_RDONLY)
try:
    channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    print("sent")
except OSError as error:
    print(error.errno)
channel.sendall(b"words")
"""
    hear = "import socket; print(socket.socket(fileno=3).recv(100))"
    first, second = tier_box.pair(Job(hear), Job(send))
    assert first.stdout == b"b'words'\n"
    assert second.stdout in (b"1\n", b"")


def test_pairs_need_no_more_workers_than_there_are(tier: Isolation) -> None:
    with Sandbox(tier, workers=1) as box:
        first, _ = box.pair(Job(TALK), Job(ANSWER))
        assert first.stdout == b"pong\n"
        assert box.map([Job("print(1)")] * 3)[2].stdout == b"1\n"
