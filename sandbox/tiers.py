"""How judged code can be kept apart on this machine: the strongest tier that works, or none at all.

What a system call returns proves little (Ubuntu lets ``unshare`` succeed and then withholds the
rights that go with it), so a program of ours is run exactly as judged code is, in the very lane
that judged code will get, and tries to break out. See ``probe`` for what it tries.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rewardkit.errors import RewardKitWarning, UsageError
from rewardkit.sandbox.errors import SandboxUnavailable
from rewardkit.sandbox.inside.seccomp import MACHINES
from rewardkit.sandbox.inside.wire import LANDLOCK, NAMESPACES, NONE
from rewardkit.sandbox.lane import LaneFailed, LaneLost
from rewardkit.sandbox.lanes import Lanes
from rewardkit.sandbox.probe import Findings, ProbeFailed, probe
from rewardkit.sandbox.profiles import Profile

__all__ = ["Isolation", "SandboxReport", "check_isolation", "open_lanes"]

Isolation = Literal["auto", "namespaces", "landlock", "none"]


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What holds, by what, and how it is known.

    Attributes:
        isolation: the tier: ``"namespaces"``, ``"landlock"`` or ``"none"``.
        holds: per promise, whether a program of ours, run as judged code is, failed to break it:
            ``network`` (reach a listener of ours), ``reading`` (read files outside), ``writing``
            (write outside), ``processes`` (see or signal the caller), ``environment`` (read the
            caller's variables), ``privileges`` (hold or gain a right), ``system_calls`` (reach
            kernel interfaces that no judged program needs), ``memory`` (hold twice what it may),
            ``disk_total`` (keep more files than it may), ``descendants`` (leave a daemon behind).
        means: per promise, what keeps it.
        landlock: the kernel's Landlock version; 0: none.
        notes: what else a reader of the figures should know.
        python, kernel, machine: what it was found on.
    """

    isolation: str
    holds: Mapping[str, bool]
    means: Mapping[str, str]
    landlock: int
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


def check_isolation(isolation: str, accept_none: bool) -> None:
    """Raises ``UsageError`` for a tier that there is not, or that nobody has agreed to."""
    if isolation not in get_args(Isolation):
        known = ", ".join(map(repr, get_args(Isolation)))
        raise UsageError(f"isolation must be one of {known}, got {isolation!r}")
    if isolation == NONE and not accept_none:
        raise UsageError(
            'isolation="none" isolates nothing: judged code can do whatever its user can do. If '
            "that is meant, say accept_no_isolation=True as well."
        )


def open_lanes(
    isolation: Isolation, most: int, profile: Profile, scratch: bool | None
) -> tuple[Lanes, SandboxReport]:
    """Lanes of the strongest tier that is asked for and works.

    Args:
        isolation: a tier, or ``"auto"``.
        most: how many lanes there may be.
        profile: what they are warm with.
        scratch: whether judged code may write files; ``None``: where they can be bounded.

    Raises:
        SandboxUnavailable: none works, with what was tried and what would help.
    """
    _check_machine()
    refusals: dict[str, str] = {}
    for tier in (NAMESPACES, LANDLOCK) if isolation == "auto" else (isolation,):
        lanes = Lanes(tier, most, profile, tier == NONE or bool(scratch))
        try:
            report = _known_report(lanes, bool(scratch))
        except (ProbeFailed, LaneFailed, LaneLost, OSError) as error:
            lanes.close()
            refusals[tier] = str(error)
        except BaseException:
            lanes.close()
            raise
        else:
            if tier == NONE:
                warnings.warn(_NO_ISOLATION, RewardKitWarning, stacklevel=4)
            return lanes, report
    raise SandboxUnavailable(_refusal(refusals))


_NO_ISOLATION = (
    'Sandbox(isolation="none"): judged code runs with limits alone and can read, write and reach '
    "whatever its user can."
)

_reports: dict[tuple[str, int, bool], SandboxReport] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked process the thread that held the lock may not exist."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _known_report(lanes: Lanes, scratch: bool) -> SandboxReport:
    """The report of a tier; probed once per process and user."""
    key = (lanes.tier, os.geteuid(), scratch)
    with _lock:
        if key not in _reports:
            _reports[key] = _report(lanes.tier, probe(lanes), scratch)
        return _reports[key]


def _check_machine() -> None:
    if sys.platform != "linux":
        raise SandboxUnavailable(
            f"judged code can be isolated on Linux only, and this is {platform.system()}. Run "
            "the judging on Linux: in a container, a virtual machine or WSL 2."
        )
    if platform.machine() not in MACHINES:
        raise SandboxUnavailable(
            f"judged code can be isolated on {' and '.join(MACHINES)} only so far, and this is "
            f"{platform.machine()}: its system calls have other numbers, and a filter that was "
            "never tried there would be a guess."
        )


_BY = {
    NAMESPACES: {
        "network": "network namespace, system-call filter",
        "reading": "mount namespace with a root of its own, Landlock",
        "writing": "read-only mounts, Landlock",
        "processes": "process namespace",
        "environment": "process namespace, an environment of its own",
        "privileges": "user namespace, no capabilities, no_new_privs",
        "system_calls": "system-call filter (allowlist)",
        "memory": "rlimits per process, watch over the sum",
        "disk_total": "memory file system of a fixed size",
        "descendants": "process namespace: all are killed at one stroke",
    },
    LANDLOCK: {
        "network": "system-call filter, Landlock",
        "reading": "Landlock",
        "writing": "Landlock",
        "processes": "Landlock, system-call filter",
        "environment": "Landlock, an environment of its own",
        "privileges": "no capabilities, no_new_privs, no root where it can be dropped",
        "system_calls": "system-call filter (allowlist)",
        "memory": "rlimits of the one process that there is",
        "disk_total": "there is nothing to write to",
        "descendants": "system-call filter: nothing can be started",
    },
}
_FOLDER_ONLY = "a folder that is emptied after each run, each file with a bound"


def _report(tier: str, findings: Findings, scratch: bool) -> SandboxReport:
    means = dict(_BY.get(tier, {}))
    if not findings.landlock:
        means = {name: by.replace(", Landlock", "") for name, by in means.items()}
    notes = ["The kernel is shared: against holes in it only the system-call filter stands."]
    tolerated: set[str] = set()
    if tier == LANDLOCK:
        notes.append("No process can be started and no file be written; calls load anew each time.")
        if scratch:
            means["disk_total"] = _FOLDER_ONLY
            tolerated = {"disk_total"}
    if tier == NONE:
        notes = ["No isolation: judged code can do whatever its user can do."]
        means = {"memory": "rlimits per process, watch over the sum", "disk_total": _FOLDER_ONLY}
        tolerated = set(findings.holds)
    report = SandboxReport(
        tier,
        findings.holds,
        means,
        findings.landlock,
        tuple(notes),
        platform.python_version(),
        platform.release(),
        platform.machine(),
    )
    if broken := [name for name in report.broken if name not in tolerated]:
        raise ProbeFailed(f"did not hold: {', '.join(broken)}")
    return report


def _refusal(refusals: Mapping[str, str]) -> str:
    lines = [f"isolation={tier!r} does not work here: {why}." for tier, why in refusals.items()]
    if NONE in refusals:
        return "\n".join(lines)
    lines += _hints(refusals)
    lines.append(
        "Nothing was run. To run judged code with limits alone (it can then do whatever its user "
        'can do), say so twice: Sandbox(isolation="none", accept_no_isolation=True).'
    )
    return "\n".join(lines)


def _hints(refusals: Mapping[str, str]) -> list[str]:
    """What on this machine is known to forbid what was tried."""
    settings = {
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "user/max_user_namespaces": ("0", "10000"),
    }
    hints = [
        f"Namespaces are forbidden by a setting: sysctl {path.replace('/', '.')}={mend} would help."
        for path, (bad, mend) in settings.items()
        if NAMESPACES in refusals and _read(f"/proc/sys/{path}").strip() == bad
    ]
    if any(os.path.exists(path) for path in ("/.dockerenv", "/run/.containerenv")):
        hints.append(
            "In a container: starting it with --security-opt seccomp=unconfined --security-opt "
            "systempaths=unconfined (or under Podman) allows namespaces."
        )
    modules = _read("/sys/kernel/security/lsm")
    if LANDLOCK in refusals and modules and "landlock" not in modules:
        hints.append(
            f"Landlock is not among the kernel's security modules ({modules.strip()}): it needs "
            "Linux 5.13 or later, started with landlock in lsm=."
        )
    return hints


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
