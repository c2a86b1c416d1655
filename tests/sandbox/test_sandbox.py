"""Programs, honest, failing and hostile: judged code gets nothing but what it may have."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

import rewardkit.errors
import rewardkit.sandbox
from rewardkit.sandbox import (
    Limits,
    Sandbox,
    SandboxUnavailable,
)

ROOM = Path(str(rewardkit.sandbox.__file__)).parent
SYSTEM_PYTHON = "/usr/bin/python3"
ORDINARY_USER = 65534


@dataclass(frozen=True)
class Case:
    """A program and what must come of it; see ``programs.yaml``."""

    name: str
    source: str
    status: str = "ok"
    stdout: str | None = None
    stdin: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    weak: bool = True


_TABLE = yaml.safe_load((Path(__file__).parent / "programs.yaml").read_text())
HOSTILE = [Case(**row) for row in _TABLE["hostile"]]
LARGE = Case(
    "large_stdin",
    "import sys; print(len(sys.stdin.read()))",
    stdin="x" * 8_000_000,
    stdout="8000000\n",
)
ALL = [*(Case(**row) for row in _TABLE["honest"] + _TABLE["failing"]), LARGE, *HOSTILE]


class World:
    """What hostile programs are told about: things outside that they must not reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcp, self.unix = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
        self.abstract = f"\0rewardkit-{os.getpid()}-{id(self)}"
        self.unix.bind(self.abstract)
        self.unix.listen()
        for name, mode in (("secret", 0o600), ("public", 0o644)):
            (folder / name).write_text("secret")
            (folder / name).chmod(mode)

    def source(self, case: Case) -> str:
        told = {
            "PORT": self.tcp.getsockname()[1],
            "ABSTRACT": self.abstract,
            "SECRET": str(self.folder / "secret"),
            "PUBLIC": str(self.folder / "public"),
            "MARKER": str(self.folder / "marker"),
            "CALLER": os.getpid(),
        }
        source = case.source
        for name, value in told.items():
            source = source.replace(name, repr(value))
        return source

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("outside"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        made = Sandbox()
    except SandboxUnavailable as error:
        pytest.skip(f"no namespaces here: {error}")
    with made:
        yield made


def check(case: Case, status: str, stdout: bytes, about: object) -> None:
    assert status == case.status, about
    if case.stdout is not None:
        assert stdout.decode() == case.stdout, about


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_programs_in_namespaces(box: Sandbox, world: World, case: Case) -> None:
    source = world.source(case)
    result = box.run(source, stdin=case.stdin.encode(), limits=Limits(**case.limits))
    check(case, result.status, result.stdout, result)


_HELPER = """
import json, sys
from rewardkit.sandbox import Limits, Sandbox, SandboxUnavailable
told = json.load(sys.stdin)
try:
    box = Sandbox(told["isolation"], accept_weak_isolation=told["isolation"] == "process")
except SandboxUnavailable as error:
    print(json.dumps({"unavailable": str(error)})); sys.exit()
results = []
for case in told["cases"]:
    r = box.run(case["source"], stdin=case["stdin"].encode(), limits=Limits(**case["limits"]))
    results.append([r.status, r.stdout.decode("latin-1")[:1000], repr(r)[:1000]])
print(json.dumps({"results": results, "report": box.report().as_dict()}))
"""


@pytest.fixture(scope="module")
def room_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The room's files where any user may read them, as a package without dependencies."""
    folder = Path(tmp_path_factory.mktemp("room"))
    package = folder / "rewardkit"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOM, package / "sandbox", ignore=ignore)
    shutil.copy(str(rewardkit.errors.__file__), package / "errors.py")
    (package / "__init__.py").touch()
    (folder / "helper.py").write_text(_HELPER)
    public = Path(f"/tmp/rewardkit-test-{os.getpid()}")  # pytest's own folders are private
    shutil.copytree(folder, public)
    public.chmod(0o755)
    yield public
    shutil.rmtree(public)


def as_user(
    room: Path, user: int, isolation: str, cases: list[Case], world: World
) -> dict[str, Any]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if not os.path.exists(SYSTEM_PYTHON) or not shutil.which("setpriv"):
        pytest.skip("needs a system-wide interpreter and setpriv")
    version = subprocess.run([SYSTEM_PYTHON, "-V"], capture_output=True, text=True, check=True)
    if tuple(map(int, version.stdout.split()[1].split(".")[:2])) < (3, 11):
        pytest.skip("the system-wide interpreter is older than 3.11")
    told = {
        "isolation": isolation,
        "cases": [{"source": world.source(c), "stdin": c.stdin, "limits": c.limits} for c in cases],
    }
    scratch = Path(tempfile.mkdtemp(dir=room))
    scratch.chmod(0o777)
    command = (
        f"setpriv --reuid={user} --regid={user} --clear-groups {SYSTEM_PYTHON} {room}/helper.py"
    )
    done = subprocess.run(
        command.split(),
        input=json.dumps(told),
        capture_output=True,
        text=True,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(room),
            "REWARDKIT_SECRET": "x",
            "TMPDIR": str(scratch),
        },
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    if "unavailable" in answer:
        pytest.skip(answer["unavailable"])
    assert not list(scratch.iterdir()), "something was left behind"
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("user", [0, ORDINARY_USER], ids=["root", "user"])
@pytest.mark.parametrize("isolation", ["namespaces", "process"])
def test_programs_as_another_user(
    room_for_all: Path, world: World, isolation: str, user: int
) -> None:
    strong = isolation == "namespaces"
    cases = [case for case in ALL if strong or case.weak]
    if not strong and user:
        # The count of processes is shared with all else that the user runs.
        cases = [case for case in cases if case.name != "fork_bomb"]
    answer = as_user(room_for_all, user, isolation, cases, world)
    for case, (status, stdout, about) in zip(cases, answer["results"], strict=True):
        check(case, status, stdout.encode("latin-1"), (case.name, about))
    assert all(answer["report"]["holds"].values()) == strong


def test_an_ordinary_user_gets_namespaces_too(room_for_all: Path, world: World) -> None:
    answer = as_user(room_for_all, ORDINARY_USER, "namespaces", HOSTILE, world)
    assert [status for status, _, _ in answer["results"]] == ["ok"] * len(HOSTILE)
