"""Promise: what tells a zygote from the processes that it forks cannot be had by those."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rewardkit.sandbox import Limits, Sandbox

INSIDE = Path(__file__).parents[2] / "sandbox"

PRELUDE = """
import ctypes, errno, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(*arguments):
    result = libc.syscall(*map(ctypes.c_long, arguments))
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]
PAGE, PARENT = 1 << 20, os.getppid()
"""


@pytest.fixture
def alone(sandbox_of: Any) -> Sandbox:
    box: Sandbox = sandbox_of("landlock")
    return box


def said(box: Sandbox, program: str) -> str:
    return box.run(PRELUDE + program).stdout.decode().strip()


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("call(56, 0x1000 | 17, 0, PAGE, 0, 0)", "EFAULT"),  # fork as a zygote does
        ("call(56, 0x8000 | 0x1000 | 17, 0, PAGE, 0, 0)", "EFAULT"),
        ("call(56, 0x4000 | 0x1000 | 17, 0, PAGE, 0, 0)", "EFAULT"),
        ("call(129, PARENT, 9, PAGE + 128)", "EFAULT"),
        ("call(228, (~PARENT << 3) | 2, PAGE + 64)", "EFAULT"),
        ("call(56, 17, 0, PAGE, 0, 0)", "EPERM"),
        ("call(228, (~PARENT << 3) | 2, id(PAGE))", "EPERM"),
        ("call(59, 0, 0, 0)", "EPERM"),
        ("call(9, PAGE, 4096, 3, 0x32, -1, 0)", "EPERM"),
        ("call(9, PAGE, 4096, 0, 0x31, -1, 0)", "EPERM"),
        ("call(10, PAGE, 4096, 3)", "EPERM"),
        ("call(10, PAGE - 4096, 8192, 3)", "EPERM"),
        ("call(11, PAGE, 4096)", "EPERM"),
        ("call(11, 0, PAGE << 1)", "EPERM"),
        ("call(25, PAGE, 4096, 8192, 1, 0)", "EPERM"),
        ("call(28, PAGE, 4096, 9)", "EINVAL"),  # MADV_REMOVE: of shared memory it empties the page
        ("(call(28, PAGE, 4096, 4), call(56, 0x1000 | 17, 0, PAGE, 0, 0))", "(0, 'EFAULT')"),
        ("(call(9, PAGE, 4096, 0, 0x32, -1, 0), call(56, 0x1011, 0, PAGE, 0, 0))[1]", "EFAULT"),
    ],
)
def test_judged_code_has_no_rights(alone: Sandbox, what: str, answer: str) -> None:
    assert said(alone, f"print({what})") == answer


def test_nor_in_another_thread(alone: Sandbox) -> None:
    program = """
thread = threading.Thread(target=lambda: print(call(56, 0x1000 | 17, 0, PAGE, 0, 0)))
thread.start(); thread.join()
"""
    assert said(alone, program) == "EFAULT"


def test_nor_in_calls(alone: Sandbox) -> None:
    driver = """
names = {}
def load(source): exec(source, names)
def call(argument): return str(eval(argument, names)).encode()
"""
    wanted = b"call(56, 0x1000 | 17, 0, PAGE, 0, 0)"
    calls = alone.calls(driver, PRELUDE, [wanted, b"os.kill(PARENT, 9)", wanted])
    assert [result.data for result in calls.results] == [b"EFAULT", None, b"EFAULT"]
    assert [result.status for result in calls.results] == ["ok", "runtime_error", "ok"]


# One page, that holds no memory, every so often: for who then asks for as much as lies between two
# the kernel has no room but the lowest.
BARRIERS = """
import resource
room = (resource.getrlimit(resource.RLIMIT_AS)[0] - (288 << 20)) & ~0xfffff
for address in range(room + 0x80000, 1 << 47, room): call(9, address, 4096, 0, 0x104022, -1, 0)
print(call(9, 0, room, 0, 0x4022, -1, 0))
print(call(10, PAGE, 4096, 3), flush=True)
made = call(56, 0x1000 | 17, 0, PAGE, 0, 0)
if made == 0: os._exit(0)
print(made)
"""


def test_no_gap_is_left_where_the_page_was(alone: Sandbox) -> None:
    outside = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32)){PRELUDE}"
    )
    command = [sys.executable, "-S", "-c", outside + BARRIERS]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split()
    if len(shown) != 3 or int(shown[0]) >= 1 << 20:
        pytest.skip("the interpreter lies low, or there may be few mappings: it shows nothing")
    assert (shown[1], shown[2].isdigit()) == ("0", True)
    done = alone.run(PRELUDE + BARRIERS, limits=Limits(memory_mb=4096))
    found = done.stdout.decode().split()
    assert found[1:] == ["EPERM", "EFAULT"], done


def test_a_thread_is_known_to_libc_by_its_own_number(alone: Sandbox) -> None:
    program = """
found = []
signal.signal(signal.SIGUSR1, lambda *_: found.append(1))
main = threading.main_thread().ident
thread = threading.Thread(target=lambda: signal.pthread_kill(main, signal.SIGUSR1))
thread.start(); thread.join(); time.sleep(0.01)
print(found)
"""
    assert said(alone, program) == "[1]"


def test_a_driver_that_ends_in_between_is_no_verdict(alone: Sandbox) -> None:
    """Nor is it waited for: it is not judged code that failed."""
    driver = """
import signal, time
signal.setitimer(signal.ITIMER_REAL, 0.2)
def load(source): return None
def call(argument):
    time.sleep(0.4)
    return argument
"""
    calls = alone.calls(driver, "", [b"a"] * 3, limits=Limits(wall_s=30))
    assert calls.loaded.status == "infrastructure_error"
    assert "ended" in calls.loaded.reason


def test_no_call_sees_what_another_replied(alone: Sandbox) -> None:
    driver = """
import os
def load(source): return None
def call(argument):
    try: return os.pread(62, 100, 0)
    except OSError as error: return str(error.errno).encode()
"""
    calls = alone.calls(driver, "", [b""] * 2)
    assert [result.data for result in calls.results] == [b"9", b"9"]  # EBADF: not open for reading


def test_it_signals_itself_and_nobody_else(alone: Sandbox) -> None:
    assert alone.run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)").signal == 15
    program = """
def tried(target):
    try: return os.kill(target, 0)
    except OSError as error: return errno.errorcode[error.errno]
print(tried(os.getpid()), tried(PARENT), tried(1), signal.raise_signal(signal.SIGCHLD))
"""
    assert said(alone, program) == "None EPERM EPERM None"


def test_what_a_driver_leaves_open_is_closed(alone: Sandbox) -> None:
    """The descriptors of a process that runs one are the zygote's as well, which has few."""
    driver = """
import os
kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]
def load(source): return None
def call(argument): return argument
"""
    for number in range(25):
        calls = alone.calls(driver, "", [b"a", b"b"])
        assert [result.data for result in calls.results] == [b"a", b"b"], number


OPEN = """
def opened():
    found = []
    for fd in range(256):
        try: os.fstat(fd)
        except OSError: continue
        found.append(fd)
    return found
"""


def test_nothing_of_ours_is_open_in_judged_processes(alone: Sandbox) -> None:
    """No descriptor of a process, of a ruleset, or to the caller; also after others have run."""
    driver = """
import os
names = {"os": os}
def load(source): exec(source, names)
def call(argument): return str(names["opened"]()).encode()
"""
    for _ in range(3):
        assert said(alone, OPEN + "print(opened())") == "[0, 1, 2]"
        calls = alone.calls(driver, OPEN, [b""] * 3)
        assert [result.data for result in calls.results] == [b"[0, 1, 2, 60, 61, 62]"] * 3


BEFORE_SCOPES = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from inside import landlock, linux, seccomp
from inside.worlds import Alone

landlock.version = lambda: 5
world = Alone()
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
for program in (seccomp.alone(may_signal=world.may_signal), seccomp.common()):
    linux.filter_calls(program)

def judged(does):
    pid = world.fork()
    if pid == 0:
        world.enter()
        try:
            does()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return pid

for does in (lambda: os.kill(os.getpid(), 9), lambda: os.kill(os.getppid(), 9), os.fork):
    print(os.waitpid(judged(does), 0)[1] >> 8)
sleeper = judged(lambda: time.sleep(60))
print(world.clock_s(sleeper) < 60)
world.kill(sleeper)
print(os.waitpid(sleeper, 0)[1])
"""


def test_before_landlock_knew_signals_none_is_sent() -> None:
    """Linux before 6.12: not even to itself. The zygote still ends what it has forked."""
    command = [sys.executable, "-S", "-c", BEFORE_SCOPES, str(INSIDE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "1", "1", "True", "9"], done
