"""What an escape does, seen from outside: never taken from what the program says of itself.

Programs name themselves (``prelude.txt``), so that their processes are found in ``/proc`` wherever
they run; what leaks is found because nobody told the program what it prints.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

from looking import link, meminfo, named, names, private_kib, read, told
from world import World

LIMITS: dict[str, float] = {
    "cpu_s": 1.0,
    "wall_s": 4.0,
    "memory_mb": 64,
    "processes": 8,
    "disk_mb": 8,
    "output_kb": 64,
}

LOST = "lost"
"""A run after which the sandbox is not made of the same processes as before."""


@dataclass(frozen=True)
class Case:
    """A hostile program; see ``README.md`` for the fields."""

    name: str
    effect: str
    source: str
    then: str = ""
    control: str = ""
    optional: str = ""
    users: tuple[str, ...] = ("root", "user")
    limits: dict[str, float] = field(default_factory=dict)
    links: str = ""
    writable: bool = False
    path_only: bool = False
    dirty: str = ""
    tried_mb: int = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of a run, outside or in a sandbox; ``status``: of whoever watched it."""

    output: bytes
    elapsed_s: float
    status: str = ""


class Effect:
    """One kind of effect, looked for while and after a program runs."""

    live: ClassVar[bool] = True
    every_s: ClassVar[float] = 0.01  # how often it is looked for
    noisy: ClassVar[bool] = False  # other processes of the machine may seem to have had it
    can_be_hidden: ClassVar[bool] = False  # by other processes of the machine
    limits: ClassVar[dict[str, float]] = {}

    def __init__(self, case: Case, world: World, tag: str, word: str) -> None:
        self.case, self.world, self.tag, self.word = case, world, tag, word
        self.limit = {**LIMITS, **self.limits, **case.limits}
        self.tasks = self.limit["processes"]
        self.found = False
        self.prepare()

    def prepare(self) -> None:
        """Before the program starts."""

    def look(self, pids: list[int]) -> None:
        """While its processes are there; sets ``found``."""

    def after(self, outcome: Outcome) -> None:
        """When it is over; sets ``found``."""


class Leaks(Effect):
    """It prints what it was not told."""

    live = False
    limits: ClassVar = {"output_kb": 4096}

    def after(self, outcome: Outcome) -> None:
        needles = [self.case.dirty] if self.case.dirty else [self.world.token, self.word]
        self.found = any(needle.encode() in outcome.output for needle in needles)


class Marks(Effect):
    """A file outside is made, changed or deleted."""

    live = False

    def after(self, outcome: Outcome) -> None:
        self.found = self.world.is_marked(self.tag)


class Reaches(Effect):
    """Somebody outside gets a connection, or bytes."""

    live = False

    def after(self, outcome: Outcome) -> None:
        time.sleep(0.01)
        self.found = self.world.was_reached()


class Types(Effect):
    """Something comes to the caller's terminal."""

    live = False

    def after(self, outcome: Outcome) -> None:
        self.found = self.world.has_typed()


class Tunes(Effect):
    """A setting of the kernel is another."""

    live = False

    def after(self, outcome: Outcome) -> None:
        self.found = self.world.is_tuned()


class Floods(Effect):
    """It gives more output than it may."""

    live = False

    def after(self, outcome: Outcome) -> None:
        # Both streams, each to its limit, are allowed.
        self.found = len(outcome.output) > 2 * int(self.limit["output_kb"]) << 10


class Lasts(Effect):
    """It is not over when it should be."""

    live = False
    noisy = True
    limits: ClassVar = {"wall_s": 0.3}

    def after(self, outcome: Outcome) -> None:
        self.found = outcome.elapsed_s > self.limit["wall_s"] + 1.0


class Outlives(Effect):
    """Processes of it are there when the run is over."""

    def after(self, outcome: Outcome) -> None:
        self.found = bool(named(self.tag) or told(self.tag))


class Hits(Effect):
    """Something was done to another process."""

    def look(self, pids: list[int]) -> None:
        self.found |= self.world.victim_is_hit()

    def after(self, outcome: Outcome) -> None:
        time.sleep(0.01)
        self.found |= self.world.victim_is_hit()


class Listens(Effect):
    """It can be connected to from outside."""

    def look(self, pids: list[int]) -> None:
        port = self.world.links / "port"
        ports = [self.world.free, int(port.read_text() or 0) if port.exists() else 0]
        addresses: list[tuple[int, Any]] = [(socket.AF_INET, ("127.0.0.1", p)) for p in ports]
        addresses.append((socket.AF_UNIX, f"\0{self.tag}"))
        for family, address in addresses:
            with socket.socket(family) as caller:
                caller.settimeout(0.5)
                self.found |= caller.connect_ex(address) == 0

    def after(self, outcome: Outcome) -> None:
        (self.world.links / "port").unlink(missing_ok=True)


class Crowds(Effect):
    """It is more processes and threads at once than it may be."""

    def look(self, pids: list[int]) -> None:
        tasks = sum(len(names(f"/proc/{pid}/task")) for pid in pids)
        self.found |= tasks > self.tasks


class Gathers(Effect):
    """One process has more than a thousand open descriptors."""

    def look(self, pids: list[int]) -> None:
        self.found |= any(len(names(f"/proc/{pid}/fd")) > 1024 for pid in pids)


class Burns(Effect):
    """It uses more processor time than it may."""

    noisy = True
    limits: ClassVar = {"cpu_s": 0.05, "wall_s": 6.0}

    def prepare(self) -> None:
        self._used: dict[int, float] = {}

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            if fields:
                self._used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.found = sum(self._used.values()) > self.limit["cpu_s"] + 0.25


class Hoards(Effect):
    """It has far more memory than it may, in its processes or in files of the kernel's."""

    limits: ClassVar = {"cpu_s": 4.0, "wall_s": 15.0}
    noisy = True
    every_s = 0.03  # adding up a process's memory takes its time

    def prepare(self) -> None:
        self._shared = meminfo("Shmem")

    def look(self, pids: list[int]) -> None:
        own = sum(private_kib(pid) for pid in pids)
        shared = meminfo("Shmem") - self._shared
        self.found |= max(own, shared) > 2.4 * (int(self.limit["memory_mb"]) << 10)


class Pins(Effect):
    """The machine has far less memory while it runs, whoever is said to have it."""

    limits: ClassVar = {"cpu_s": 4.0, "wall_s": 15.0}
    noisy = can_be_hidden = True

    def prepare(self) -> None:
        self._before = meminfo("MemAvailable")

    def look(self, pids: list[int]) -> None:
        taken = self._before - meminfo("MemAvailable")
        self.found |= taken > self.case.tried_mb << 9  # half of what is tried, in KiB


class _Disk(Effect):
    """Looks at the file system that the program works in, unless that is the machine's own."""

    limits: ClassVar = {"cpu_s": 4.0, "wall_s": 15.0}

    def prepare(self) -> None:
        self._first: int | None = None
        self._own = {os.stat(path).st_dev for path in ("/", "/tmp", "/usr")}

    def used(self, pid: int) -> int | None:
        """Of what is counted, how much is used; ``None`` where nothing can be made."""
        path = f"/proc/{pid}/cwd"
        try:
            if os.stat(path).st_dev in self._own:
                return None
            return self.count(os.statvfs(path))
        except OSError:
            return None

    def count(self, facts: os.statvfs_result) -> int:
        """What is counted."""
        raise NotImplementedError

    def over(self, used: int) -> bool:
        """Whether that is more than allowed."""
        raise NotImplementedError

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            used = self.used(pid)
            if used is None:
                continue
            if self._first is None:
                self._first = used
            self.found |= self.over(used - self._first)


class Fills(_Disk):
    """Its files have more bytes than they may."""

    def count(self, facts: os.statvfs_result) -> int:
        return (facts.f_blocks - facts.f_bfree) * facts.f_frsize

    def over(self, used: int) -> bool:
        return used > 2 * int(self.limit["disk_mb"]) << 20


class Litters(_Disk):
    """It makes files without end."""

    def count(self, facts: os.statvfs_result) -> int:
        return facts.f_files - facts.f_ffree

    def over(self, used: int) -> bool:
        return used > 20_000


class Holds(Effect):
    """One of its descriptors is of a kind that it may not have."""

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            for fd in names(f"/proc/{pid}/fd"):
                self.found |= self._is_it(f"/proc/{pid}/fd/{fd}", f"/proc/{pid}/fdinfo/{fd}")

    def _is_it(self, path: str, facts: str) -> bool:
        try:
            target = os.readlink(path)
            flags = int(read(facts).split(b"flags:")[1].split()[0], 8)
            if target.startswith("/dev/") and not stat.S_ISREG(os.stat(path).st_mode):
                target = target.split(" ")[0]
        except (OSError, IndexError):
            return False
        if self.case.writable and flags & os.O_ACCMODE == os.O_RDONLY:
            return False
        if self.case.path_only and not flags & os.O_PATH:
            return False
        return re.fullmatch(self.case.links, target) is not None


class _Changes(Effect):
    """Looks for anything that is otherwise than when the program started."""

    def prepare(self) -> None:
        self._first: dict[str, object] = {}

    def facts(self, pid: int) -> dict[str, object]:
        """What must not change, nor differ between its processes."""
        raise NotImplementedError

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            for name, value in self.facts(pid).items():
                self.found |= self._first.setdefault(name, value) != value


class Enters(_Changes):
    """It is in other namespaces than at first."""

    def facts(self, pid: int) -> dict[str, object]:
        kinds = ("user", "mnt", "net", "ipc", "uts", "pid", "cgroup")
        return {kind: place for kind in kinds if (place := link(f"/proc/{pid}/ns/{kind}"))}


class Mounts(_Changes):
    """It sees other mounts than at first."""

    def facts(self, pid: int) -> dict[str, object]:
        lines = read(f"/proc/{pid}/mountinfo").split(b"\n")
        # Identifiers change with a namespace, and say nothing.
        return {"mounts": sorted(line.split(b" ", 2)[-1] for line in lines)} if lines[0] else {}


class Moves(_Changes):
    """It has another root than at first."""

    def facts(self, pid: int) -> dict[str, object]:
        root = link(f"/proc/{pid}/root")
        return {"root": root} if root else {}


class Raises(Effect):
    """It has a higher limit than it once had."""

    def prepare(self) -> None:
        self._least: list[float] = []

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            lines = read(f"/proc/{pid}/limits").decode().splitlines()[1:]
            hard = [float(line[47:68].replace("unlimited", "inf")) for line in lines]
            pairs = list(zip(hard, self._least or hard, strict=False))
            self.found |= any(now > least for now, least in pairs)
            self._least = [min(pair) for pair in pairs] or self._least


class Rises(Effect):
    """It is root, has a right that others have not, or goes before others."""

    def look(self, pids: list[int]) -> None:
        for pid in pids:
            text = read(f"/proc/{pid}/status").decode()
            facts = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            if "Uid" not in facts or not fields:
                continue
            rights = ("CapInh", "CapPrm", "CapEff", "CapAmb")
            self.found |= any(int(facts[name], 16) for name in rights)
            self.found |= "0" in facts["Uid"].split() + facts["Gid"].split()
            self.found |= int(fields[16]) < 0 or int(fields[38]) in (1, 2)
            score = read(f"/proc/{pid}/oom_score_adj")
            self.found |= bool(score) and int(score) < 0


class Breaks(Effect):
    """Whoever runs it is harmed: it no longer works, or not as before."""

    live = False
    limits: ClassVar = {"wall_s": 2.0}

    def after(self, outcome: Outcome) -> None:
        self.found = outcome.status in ("infrastructure_error", LOST)


EFFECTS: dict[str, type[Effect]] = {
    kind.__name__.lower(): kind
    for kind in (
        *(Leaks, Marks, Reaches, Types, Tunes, Floods, Lasts, Outlives, Hits, Listens),
        *(Crowds, Gathers, Burns, Hoards, Pins, Fills, Litters, Holds, Enters, Mounts),
        *(Moves, Raises, Rises, Breaks),
    )
}
