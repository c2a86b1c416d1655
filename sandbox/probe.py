"""Trying to break out of a lane, before any judged program gets it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files

from rewardkit.sandbox.execution import Request, start_program
from rewardkit.sandbox.lanes import Lanes
from rewardkit.sandbox.limits import Limits

__all__ = ["Findings", "ProbeFailed", "probe"]

_MEMORY_MB, _DISK_MB = 128, 2
_LIMITS = Limits(cpu_s=20.0, memory_mb=_MEMORY_MB, disk_mb=_DISK_MB)
_DAEMON_LOOKS_S = 0.02


class ProbeFailed(Exception):  # noqa: N818 - reads as the event it names
    """The tier works, but not as it must."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out: per promise whether it held, and the kernel's Landlock version."""

    holds: dict[str, bool]
    landlock: int


def probe(lanes: Lanes) -> Findings:
    """Run attempts at breaking out in a lane, as judged code is run.

    Raises:
        ProbeFailed: the attempts could not be made.
        LaneFailed, LaneLost, OSError: the lane does not work.
    """
    with ExitStack() as stack:
        told = _bait(stack)
        request = Request(_source(), json.dumps(told).encode(), limits=_LIMITS)
        lane = stack.enter_context(lanes.lend())
        running = stack.enter_context(start_program(lane, request))
        result = running.result()
        grew = running.grows_within(_DAEMON_LOOKS_S)
    if result.status != "ok":
        said = result.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ProbeFailed(f"{result.reason or result.status}{f' ({said})' if said else ''}")
    through: dict[str, bool] = json.loads(result.stdout.split(b"\n")[0])
    holds = {name: not got for name, got in through.items()}
    holds["descendants"] = not grew
    return Findings(holds, lane.landlock)


def _source() -> bytes:
    return files(__package__ or "").joinpath("attempts.py").read_bytes()


def _bait(stack: ExitStack) -> dict[str, object]:
    """Things outside that a free program could reach, and how it would find them."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rewardkit-probe-"))
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    os.chmod(folder, 0o777)
    paths = {name: os.path.join(folder, name) for name in ("secret", "public", "marker")}
    for name, mode in (("secret", 0o600), ("public", 0o644)):
        with open(paths[name], "w") as file:
            file.write("x")
        os.chmod(paths[name], mode)
    with open("/proc/self/environ", "rb") as environment:
        checksum = zlib.crc32(environment.read())
    return {
        "port": listener.getsockname()[1],
        "caller": os.getpid(),
        "environment": checksum,
        "memory_mb": _MEMORY_MB,
        "disk_mb": _DISK_MB,
        **paths,
    }
