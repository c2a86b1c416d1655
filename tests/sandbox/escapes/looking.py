"""What the machine says of processes, from outside; nothing is ever asked of the processes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effects import Effect


class Watch:
    """Looks for a program's processes all the time, from a thread, until it is over."""

    def __init__(self, effect: Effect, tag: str) -> None:
        self._effect, self._tag = effect, tag
        self._old = set(names("/proc"))
        self._ours: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen = 0
        self.error: Exception | None = None

    def __enter__(self) -> Watch:
        if self._effect.live:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._effect.live:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                # Also those that have taken another name by becoming another program.
                self._ours |= set(named(self._tag, self._old))
                alive = [pid for pid in self._ours if os.path.exists(f"/proc/{pid}/stat")]
                self._ours &= set(alive)
                if alive:
                    self.seen += 1
                    self._effect.look(alive)
                self._over.wait(self._effect.every_s)
        except Exception as error:  # a thread's exception would be lost
            self.error = error


def named(tag: str, without: set[str] | frozenset[str] = frozenset()) -> list[int]:
    """Living processes of that name."""
    found = []
    for name in names("/proc"):
        if name.isdigit() and name not in without:
            stat_line = read(f"/proc/{name}/stat")
            if f"({tag})".encode() in stat_line and b") Z " not in stat_line:
                found.append(int(name))
    return found


def told(tag: str) -> list[int]:
    """Living processes with that word in their command."""
    numbers = [int(name) for name in names("/proc") if name.isdigit()]
    return [pid for pid in numbers if tag.encode() in read(f"/proc/{pid}/cmdline")]


def read(path: str) -> bytes:
    """The file's bytes; none if it is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def names(path: str) -> list[str]:
    """What is in a folder; nothing if it is gone."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def link(path: str) -> str:
    """Where a link leads; nowhere if it is gone."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _kib(text: bytes, *names: str) -> int:
    wanted = tuple(f"{name}:".encode() for name in names)
    return sum(int(line.split()[1]) for line in text.split(b"\n") if line.startswith(wanted))


def meminfo(name: str) -> int:
    """KiB of the machine's memory by what the kernel says of it."""
    return _kib(read("/proc/meminfo"), name)


def private_kib(pid: int) -> int:
    """KiB that would come back if it ended."""
    return _kib(read(f"/proc/{pid}/smaps_rollup"), "Pss_Anon", "Pss_Shmem")
