"""What the tests of the sandbox share: one sandbox per tier, and sandboxes of other users."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import rewardkit.errors
import rewardkit.sandbox
from rewardkit.sandbox import Isolation, Sandbox, SandboxUnavailable

TIERS: tuple[Isolation, ...] = ("namespaces", "landlock")

ORDINARY_USER = 40_000 + os.getpid() % 20_000
"""A user that nobody else is: what is done to all of a user's processes is done to ours alone."""

SYSTEM_PYTHON = "/usr/bin/python3"

SandboxOf = Callable[[Isolation], Sandbox]


@pytest.fixture(scope="session")
def sandbox_of() -> Iterator[SandboxOf]:
    """The sandbox of a tier, made once; skips the test where the tier does not work."""
    made: dict[str, Sandbox] = {}

    def of(isolation: Isolation) -> Sandbox:
        if isolation not in made:
            try:
                made[isolation] = Sandbox(isolation, workers=2)
            except SandboxUnavailable as error:
                pytest.skip(f"{isolation}: {error}")
        return made[isolation]

    yield of
    for box in made.values():
        box.close()


@pytest.fixture
def box(sandbox_of: SandboxOf) -> Sandbox:
    """The strongest tier that works here."""
    return sandbox_of("auto")


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> Isolation:
    """Each tier in turn."""
    name: Isolation = request.param
    return name


@pytest.fixture
def tier_box(sandbox_of: SandboxOf, tier: Isolation) -> Sandbox:
    """A sandbox of each tier in turn."""
    return sandbox_of(tier)


@pytest.fixture(scope="session")
def ordinary_user() -> int:
    """A user id that is not root's."""
    return os.geteuid() or ORDINARY_USER


@dataclass(frozen=True)
class Run:
    """What another process's sandbox said of one run; ``elapsed_s`` is what its caller waited."""

    status: str
    stdout: bytes
    stderr: bytes
    reason: str
    elapsed_s: float
    cpu_s: float


def _environment() -> dict[str, str]:
    """Of another process: what it needs to find the package."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "PYTHONSAFEPATH": "1"}


_HELPER = r"""
import base64, json, sys, time
from rewardkit.sandbox import Limits, Sandbox, SandboxUnavailable

def say(**words):
    print(json.dumps(words), flush=True)

try:
    box = Sandbox(sys.argv[1], workers=1)
except SandboxUnavailable as error:
    say(unavailable=str(error))
    sys.exit()
say(report=box.report().as_dict())
for line in sys.stdin:
    told = json.loads(line)
    limits = Limits(**told["limits"])
    start = time.monotonic()
    result = box.run(told["source"], stdin=told["stdin"].encode(), limits=limits)
    elapsed = time.monotonic() - start
    said = {n: base64.b64encode(getattr(result, n)).decode() for n in ("stdout", "stderr")}
    say(status=result.status, reason=result.reason, elapsed_s=elapsed, cpu_s=result.cpu_s, **said)
box.close()
"""


class Caller:
    """Another process, of any user, that holds a sandbox of one lane; ``under`` is a command that
    starts the rest of its arguments."""

    def __init__(
        self,
        python: str,
        isolation: Isolation,
        user: int,
        *,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        under: Sequence[str] = (),
    ) -> None:
        self._process = subprocess.Popen(
            [*under, python, "-c", _HELPER, isolation, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**_environment(), **(env or {})},
            pass_fds=pass_fds,
            start_new_session=True,
            **_as_user(user),
        )
        first = self._hear()
        self.unavailable: str = first.get("unavailable", "")
        self.report: dict[str, Any] = first.get("report", {})

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def run(self, source: str, *, stdin: str = "", **limits: float) -> Run:
        """One run in its sandbox."""
        assert self._process.stdin is not None
        told = {"source": source, "stdin": stdin, "limits": limits}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        said = self._hear()
        for name in ("stdout", "stderr"):
            said[name] = base64.b64decode(said[name])
        return Run(**said)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the caller of the sandbox died: {self._process.wait(30)}"
        said: dict[str, Any] = json.loads(line)
        return said

    def kill(self) -> None:
        """End it as the kernel would."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self.kill()


CallerOf = Callable[..., Caller]


@pytest.fixture(scope="session")
def caller_of(
    python_of: Callable[[int], str], room_of: Callable[[int], dict[str, str]]
) -> Iterator[CallerOf]:
    """Makes a :class:`Caller` of a tier and a user; skips where that cannot be."""
    made: list[Caller] = []

    def make(isolation: Isolation, user: int, **options: Any) -> Caller:
        env = {**room_of(user), **options.pop("env", {})}
        caller = Caller(python_of(user), isolation, user, env=env, **options)
        made.append(caller)
        if caller.unavailable:
            pytest.skip(caller.unavailable)
        return caller

    yield make
    for caller in made:
        caller.close()


def _as_user(user: int) -> dict[str, Any]:
    if user == os.geteuid():
        return {}
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    return {"user": user, "group": user, "extra_groups": []}


@pytest.fixture(scope="session")
def as_user() -> Callable[[int], dict[str, Any]]:
    """Arguments of ``Popen`` that start a process of a user; skips where that cannot be."""
    return _as_user


@pytest.fixture(scope="session")
def room_of() -> Iterator[Callable[[int], dict[str, str]]]:
    """What must be in a user's environment for the package to be imported."""
    rooms: list[Path] = []

    def of(user: int) -> dict[str, str]:
        if _can_import(user):
            return {}
        if not rooms:
            rooms.append(_room_for_all())
        return {"PYTHONPATH": str(rooms[0])}

    yield of
    for room in rooms:
        shutil.rmtree(room)


@pytest.fixture(scope="session")
def python_of() -> Callable[[int], str]:
    """An interpreter that a user can start."""
    return lambda user: sys.executable if _can_import(user) else SYSTEM_PYTHON


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which everybody may write (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="rewardkit-open-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


_FORBID = r"""
import ctypes, json, os, resource, struct, sys
denied, absent, capabilities = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)

def line(code, value, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, value)

allow, deny, enosys = (line(6, value) for value in (0x7FFF0000, 0x00050001, 0x00050026))
code = [line(0x20, 0)]
for number in denied:
    code += [line(0x15, number, 0, 1), deny]
for number in absent:
    code += [line(0x15, number, 0, 1), enosys]
if denied:  # new namespaces by clone, too; and calls that the tables do not know
    code += [line(0x15, 56, 0, 4), line(0x20, 16), line(0x45, 0x7E020000, 0, 1), deny, allow]
    code += [line(0x35, 450, 0, 1), deny]
code = b"".join([*code, allow])
if capabilities is not None:
    for number in set(range(64)) - set(capabilities):
        libc.prctl(24, number, 0, 0, 0)
    mask = sum(1 << number for number in capabilities)
    data = struct.pack("6I", *[mask & 0xFFFFFFFF] * 2, 0, *[mask >> 32] * 2, 0)
    if libc.capset(struct.pack("Ii", 0x20080522, 0), data):
        raise OSError(ctypes.get_errno(), "capset")
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    raise OSError(ctypes.get_errno(), "seccomp")
os.execv(sys.argv[2], sys.argv[2:])
"""

# What Docker's default profile keeps from a container without CAP_SYS_ADMIN (x86_64); clone3 is
# said not to exist, so that the C library asks with clone, whose flags the profile can read.
_DOCKER = (
    *(103, 134, 136, 139, 153, 155, 156, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172),
    *(173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 212, 227, 236, 237, 238),
    *(239, 246, 248, 249, 250, 256, 272, 279, 298, 300, 304, 308, 312, 313, 320, 321, 323, 425),
    *(426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443),
)
_DOCKER_ROOT = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)  # its capabilities

Forbidding = Callable[..., list[str]]


@pytest.fixture(scope="session")
def forbidding(python_of: Callable[[int], str]) -> Forbidding:
    """A command that starts another without some system calls and capabilities."""

    def command(
        denied: Sequence[int] = (),
        absent: Sequence[int] = (),
        capabilities: Sequence[int] | None = None,
        user: int = os.geteuid(),
    ) -> list[str]:
        told = json.dumps([list(denied), list(absent), capabilities and list(capabilities)])
        return [python_of(user), "-S", "-c", _FORBID, told]

    return command


@pytest.fixture(scope="session")
def docker(forbidding: Forbidding) -> Callable[[int], list[str]]:
    """A command that starts another as in a container of Docker's, by its default profile."""
    return lambda user: forbidding(_DOCKER, (435,), None if user else _DOCKER_ROOT, user)


@cache
def _can_import(user: int) -> bool:
    """Whether that user can reach this very interpreter and package (not under root's home)."""
    if user == os.geteuid():
        return True
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import os, rewardkit.sandbox; print(os.__file__)"],
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **_as_user(user),
        )
    except PermissionError:
        return False
    # An interpreter that cannot read its own library may find another one's.
    return bool(done.stdout.strip() == os.__file__)


def _room_for_all() -> Path:
    """This room's files where any user may read them, as a package without dependencies."""
    version = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=False)
    if version.returncode or [int(n) for n in version.stdout.split()[1].split(".")[:2]] < [3, 11]:
        pytest.skip("needs a system-wide interpreter of Python 3.11 or later")
    room = Path(tempfile.mkdtemp(prefix="rewardkit-room-", dir="/tmp"))  # pytest's are private
    package = room / "rewardkit"
    source = Path(str(rewardkit.sandbox.__file__)).parent
    shutil.copytree(source, package / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(str(rewardkit.errors.__file__), package / "errors.py")
    (package / "__init__.py").touch()
    room.chmod(0o755)
    return room


def _children(pid: int) -> set[int]:
    """Ids of all processes below one."""
    found: set[int] = set()
    queue = [pid]
    while queue:
        try:
            lists = [p.read_text() for p in Path(f"/proc/{queue.pop()}/task").glob("*/children")]
        except OSError:  # gone in the meantime
            continue
        below = {int(word) for text in lists for word in text.split()} - found
        found |= below
        queue += below
    return found


@pytest.fixture(scope="session")
def descendants() -> Callable[[int], set[int]]:
    """The function that finds all processes below one."""
    return _children


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Waits for a condition; fails if it does not come about."""

    def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.01)

    return wait
