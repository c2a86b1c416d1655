"""What a judged process is, as the machine sees it from outside while it runs."""

from __future__ import annotations

import os
import secrets
import threading
import time
from pathlib import Path

import pytest

from rewardkit.sandbox import ExecutionResult, Isolation, Sandbox

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts")


class Seen:
    """One judged process, looked at from outside while it runs."""

    def __init__(self, folder: Path) -> None:
        lines = (folder / "status").read_text().splitlines()
        self.status = {name: rest.strip() for name, _, rest in (x.partition(":") for x in lines)}
        stat = (folder / "stat").read_text().rpartition(")")[2].split()
        self.session, self.terminal = int(stat[3]), int(stat[4])
        self.namespaces = {kind: os.readlink(folder / "ns" / kind) for kind in NAMESPACES}
        self.descriptors = {int(p.name): os.readlink(p) for p in (folder / "fd").iterdir()}
        self.environment = (folder / "environ").read_bytes()
        self.mounts = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
        root = f"{folder}/root"
        self.rooms = {
            m[4]: os.statvfs(root + m[4]) for m in self.mounts if os.path.isdir(root + m[4])
        }


_seen: dict[str, Seen] = {}


@pytest.fixture
def seen(tier_box: Sandbox, tier: Isolation) -> Seen:
    """A program of the tier that sleeps, found by the name that it gives itself."""
    if os.geteuid() != 0:
        pytest.skip("only root may look into other users' processes")
    if tier not in _seen:
        _seen[tier] = _look(tier_box)
    return _seen[tier]


def _look(box: Sandbox) -> Seen:
    tag = f"rk{secrets.token_hex(5)}"
    name = f"ctypes.CDLL(None).prctl(15, {tag!r}.encode(), 0, 0, 0)"
    results: list[ExecutionResult] = []
    source = f"import ctypes, time\n{name}\ntime.sleep(1)"
    thread = threading.Thread(target=lambda: results.append(box.run(source)))
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for entry in os.scandir("/proc"):
                if entry.name.isdigit() and _name(entry.path) == tag:
                    return Seen(Path(entry.path))
            time.sleep(0.005)
        raise AssertionError(f"it was never seen: {results}")
    finally:
        thread.join()


def _name(folder: str) -> str:
    try:
        return Path(folder, "comm").read_text().strip()
    except OSError:
        return ""


def test_it_has_no_rights_and_can_gain_none(seen: Seen) -> None:
    rights = ("CapInh", "CapPrm", "CapEff", "CapAmb")
    assert {seen.status[name] for name in rights} == {"0" * 16}
    assert seen.status["NoNewPrivs"] == "1"
    assert seen.status["Seccomp"] == "2"


def test_it_is_neither_root_nor_anybody_who_owns_anything(seen: Seen) -> None:
    users, groups = seen.status["Uid"].split(), seen.status["Gid"].split()
    assert "0" not in users + groups
    assert len(set(users)) == len(set(groups)) == 1
    assert seen.status["Groups"] in ("", groups[0])


def test_in_namespaces_it_shares_none(seen: Seen, tier: Isolation) -> None:
    if tier != "namespaces":
        pytest.skip("the other tier has none")
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES}
    assert not {kind for kind in NAMESPACES if ours[kind] == seen.namespaces[kind]}


def test_it_holds_no_descriptor_but_its_three(seen: Seen) -> None:
    """And those are memory files, or nothing: no pipe that somebody reads, no file of ours."""
    held = seen.descriptors
    assert set(held) == {0, 1, 2}
    assert all(target.startswith(("/memfd:", "/dev/null")) for target in held.values()), held


def test_it_has_another_session_than_the_caller_and_no_terminal(seen: Seen) -> None:
    assert seen.session != os.getsid(0)
    assert seen.terminal == 0


def test_it_was_started_with_nothing_of_the_callers_environment(seen: Seen) -> None:
    theirs = {line.partition(b"=")[0].decode() for line in seen.environment.split(b"\0") if line}
    plain = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHON", "MALLOC_", "LD_BIND_NOW")
    assert {
        n for n in theirs if not n.startswith(plain) and not n.endswith("_NUM_THREADS")
    } == set()


def test_it_can_write_to_a_bounded_scratch_alone(seen: Seen, tier: Isolation) -> None:
    if tier != "namespaces":
        pytest.skip("no mounts of its own in this tier")
    writable = {m[4]: m for m in seen.mounts if "rw" in m[5].split(",") and m[4] in seen.rooms}
    kinds = {path: m[m.index("-") + 1] for path, m in writable.items()}
    assert set(kinds.values()) <= {"tmpfs", "proc"}, kinds
    for path, kind in kinds.items():
        assert {"nosuid", "nodev"} <= set(writable[path][5].split(","))
        if kind == "tmpfs":
            room = seen.rooms[path]
            assert room.f_blocks * room.f_frsize <= 64 << 20  # Limits().disk_mb
            assert room.f_files < 100_000
