"""What one execution may use."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields

from rewardkit.errors import UsageError

__all__ = ["Limits", "usable_cpus"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution of judged code may use. Every value is a hard bound.

    Args:
        wall_s: clock seconds, the generous backstop for code that sleeps. ``None``: three times
            ``cpu_s`` and five more, so that a busy machine fails no honest program. In namespaces,
            seconds in which the program's first thread waited for a processor do not count, as
            long as it all takes no more than five times as many.
        cpu_s: processor seconds of the program and all its descendants together; *the* time limit.
        memory_mb: MiB of private and shared memory, of all its processes together.
        processes: processes and threads at once, the program itself included.
        disk_mb: MiB of files it may keep, and the largest size of any one file.
        output_kb: KiB of stdout, and again of stderr; more is the status ``"output"``.

    Raises:
        UsageError: a value is not a positive number (counts: whole numbers).

    Example:
        >>> Limits(cpu_s=2).wall_seconds
        11.0
    """

    wall_s: float | None = None
    cpu_s: float = 5.0
    memory_mb: int = 1024
    processes: int = 32
    disk_mb: int = 64
    output_kb: int = 1024

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name.endswith("_s"):
                _check_seconds(item.name, value)
            else:
                _check_count(item.name, value)
        if self.memory_mb < _LEAST_MEMORY_MB:
            raise UsageError(
                f"memory_mb must be at least {_LEAST_MEMORY_MB} (the interpreter needs it), "
                f"got {self.memory_mb}"
            )

    @property
    def wall_seconds(self) -> float:
        """The wall limit that holds."""
        return float(self.wall_s if self.wall_s is not None else 3 * self.cpu_s + 5)


_LEAST_MEMORY_MB = 32
_MOST_SECONDS = 7 * 86400.0
_MOST_COUNT = 1 << 30  # in KiB or MiB that is still far from overflowing an rlimit


def _check_seconds(name: str, value: object) -> None:
    if name == "wall_s" and value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(value)) or not 0 < float(value) <= _MOST_SECONDS:  # type: ignore[arg-type]
        raise UsageError(f"{name} must be seconds in (0, {_MOST_SECONDS:g}], got {value!r}")


def _check_count(name: str, value: object) -> None:
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or not 1 <= value <= _MOST_COUNT:  # type: ignore[operator]
        raise UsageError(f"{name} must be a whole number from 1 to {_MOST_COUNT}, got {value!r}")


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity and its cgroup's quota, where there are such."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(count or 1, _quota()))


_NO_QUOTA = 1 << 20
_CGROUPS = "/sys/fs/cgroup"


def _quota() -> int:
    """Whole CPUs that the cgroups around us allow, version 2 or 1."""
    least = _NO_QUOTA
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = _CGROUPS if not controllers else f"{_CGROUPS}/cpu"
        while True:
            least = min(least, _quota_at(mount + path.rstrip("/")))
            if path in ("", "/"):
                break
            path = os.path.dirname(path)
    return least


def _quota_at(folder: str) -> int:
    words = _read(f"{folder}/cpu.max").split()
    if not words:
        words = [_read(f"{folder}/cpu.cfs_{which}_us").strip() for which in ("quota", "period")]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or nothing there
        return _NO_QUOTA
    return max(1, quota // period) if quota > 0 and period > 0 else _NO_QUOTA


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
