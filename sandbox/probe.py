"""What isolation holds on this machine, found out by trying to break it.

What a system call returns proves little (Ubuntu lets ``unshare`` succeed and then withholds the
rights that go with it), so a program of ours is run exactly as judged code is, and tries.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from rewardkit.sandbox.errors import SandboxUnavailable
from rewardkit.sandbox.execution import Request, execute
from rewardkit.sandbox.inside.job import NAMESPACES, PROCESS
from rewardkit.sandbox.limits import Limits
from rewardkit.sandbox.result import ExecutionResult

__all__ = ["SandboxReport", "probe", "require"]


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What holds, and how it is known.

    Attributes:
        isolation: ``"namespaces"`` or ``"process"``.
        holds: per promise, whether it holds here. Found out by trying (in brackets what the
            probing program could not do): ``network`` (reach a listener of ours), ``reading``
            (read files outside), ``writing`` (write outside), ``processes`` (be in the caller's
            process namespace), ``environment`` (read the caller's variables), ``descendants``
            (leave a daemon behind). Known from what is set: ``disk_total`` (the scratch as a
            whole is bounded, not only each file), ``system_calls`` (a filter is installed).
        notes: what else a reader of the figures should know.
        python, kernel, machine: what it was found on.
    """

    isolation: str
    holds: Mapping[str, bool]
    notes: tuple[str, ...]
    python: str
    kernel: str
    machine: str

    @property
    def broken(self) -> tuple[str, ...]:
        """The promises that do not hold."""
        return tuple(name for name, held in self.holds.items() if not held)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the record of a run."""
        return {**asdict(self), "notes": list(self.notes)}


_ATTEMPTS = r"""
import json, os, sys, time, zlib
told, through = json.loads(sys.stdin.read()), {}

def attempt(name):
    def run(try_it):
        try:
            through[name] = bool(try_it())
        except OSError:
            through[name] = False
    return run

@attempt("network")
def _():
    import socket
    with socket.create_connection(("127.0.0.1", told["port"]), 2):
        return True

@attempt("reading")
def _():
    return open(told["secret"]).read()

@attempt("reading_public")
def _():
    return open(told["public"]).read()

@attempt("writing")
def _():
    return open(told["marker"], "w").write("x")

@attempt("processes")
def _():
    return os.readlink("/proc/self/ns/pid") == told["namespace"]

@attempt("environment")
def _():
    return zlib.crc32(open(f"/proc/{told['pid']}/environ", "rb").read()) == told["environment"]

print(json.dumps(through), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            os.write(1, b".")
            time.sleep(0.002)
    os._exit(0)
os.wait()
"""

_DAEMON_LOOKS_S = 0.03

_known: dict[tuple[str, int], SandboxReport] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked process the thread that held the lock may not exist."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def require(isolation: str) -> SandboxReport:
    """The report for an isolation that works here; probed once per process and user.

    Raises:
        SandboxUnavailable: it does not work, with what was tried and what would help.
    """
    key = (isolation, os.geteuid())
    with _lock:
        if key not in _known:
            _known[key] = probe(isolation)
        return _known[key]


def probe(isolation: str) -> SandboxReport:
    """Try it, and say what holds. Raises :class:`SandboxUnavailable` as :func:`require`."""
    if sys.platform != "linux":
        raise SandboxUnavailable(
            f"judged code can be isolated on Linux only, and this is {platform.system()}. Run "
            "the judging on Linux: in a container, a virtual machine or WSL 2."
        )
    try:
        result, grew = _attempt(isolation)
    except OSError as error:
        raise SandboxUnavailable(f"the sandbox could not even be tried: {error}") from error
    if result.status != "ok":
        raise SandboxUnavailable(_refusal(isolation, result.reason or result.status, result))
    through = json.loads(result.stdout.split(b"\n")[0])
    through["reading"] |= through.pop("reading_public")
    holds = {name: not got for name, got in through.items()}
    holds["descendants"] = not grew
    holds["disk_total"] = isolation == NAMESPACES
    holds["system_calls"] = platform.machine() == "x86_64"
    report = SandboxReport(
        isolation,
        holds,
        _notes(isolation),
        platform.python_version(),
        platform.release(),
        platform.machine(),
    )
    tolerated = {"system_calls"} if isolation == NAMESPACES else set(holds)
    if broken := [name for name in report.broken if name not in tolerated]:
        raise SandboxUnavailable(_refusal(isolation, f"did not hold: {', '.join(broken)}", result))
    return report


def _attempt(isolation: str) -> tuple[ExecutionResult, bool]:
    """Run the attempts; also whether something of the program outlived it and went on writing."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rewardkit-probe-"))
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        told = {
            "port": listener.getsockname()[1],
            "namespace": os.readlink("/proc/self/ns/pid"),
            "pid": os.getpid(),
            "environment": zlib.crc32(_read("/proc/self/environ")),
            **_bait(folder),
        }
        sizes: list[int] = []

        def look_twice(stdout: int) -> None:
            for _ in range(2):
                sizes.append(os.fstat(stdout).st_size)
                time.sleep(_DAEMON_LOOKS_S)

        stdin = json.dumps(told).encode()
        request = Request(_ATTEMPTS.encode(), stdin, {}, Limits(cpu_s=20.0), isolation)
        result = execute(request, inspect=look_twice)
        return result, sizes[0] != sizes[1]


def _bait(folder: str) -> dict[str, str]:
    """Files that a free program could read or write: its owner's, and everybody's."""
    os.chmod(folder, 0o777)
    paths = {name: os.path.join(folder, name) for name in ("secret", "public", "marker")}
    for name, mode in (("secret", 0o600), ("public", 0o644)):
        with open(paths[name], "w") as file:
            file.write("x")
        os.chmod(paths[name], mode)
    return paths


def _notes(isolation: str) -> tuple[str, ...]:
    if isolation == PROCESS:
        return (
            "Weak isolation: limits and a scratch folder, but the machine's files can be read as "
            "far as the user that the program runs as may read them.",
        )
    return ("The kernel is shared: against holes in it only the system-call filter stands.",)


def _refusal(isolation: str, why: str, result: ExecutionResult) -> str:
    said = result.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    lines = [f"isolation={isolation!r} does not work here: {why}{f' ({said})' if said else ''}."]
    if isolation == NAMESPACES:
        lines += _hints()
        lines.append(
            "Nothing was run. To run judged code with limits alone (it can then read whatever "
            "its user can read), say so twice: "
            'Sandbox(isolation="process", accept_weak_isolation=True).'
        )
    return "\n".join(lines)


def _hints() -> list[str]:
    """What on this machine is known to forbid namespaces."""
    settings = {
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "user/max_user_namespaces": ("0", "10000"),
    }
    hints = [
        f"Forbidden by a setting: sysctl {path.replace('/', '.')}={mend} would help."
        for path, (bad, mend) in settings.items()
        if _read(f"/proc/sys/{path}").strip().decode() == bad
    ]
    if any(os.path.exists(path) for path in ("/.dockerenv", "/run/.containerenv")):
        hints.append(
            "In a container: starting it with --security-opt seccomp=unconfined --security-opt "
            "systempaths=unconfined (or under Podman) allows namespaces."
        )
    return hints


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
