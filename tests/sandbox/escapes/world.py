"""The world outside that hostile programs are told about, and the victims in it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)

_VICTIM = r"""
import ctypes, os, sys, time
token, secret = sys.argv[1:]
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # whoever may at all, may trace it
ctypes.CDLL(None).unshare(0x4000000)  # for whoever wants to follow; only root can
buffer = ctypes.create_string_buffer(token.encode(), 8192)
print(ctypes.addressof(buffer), os.open(secret, os.O_RDONLY), flush=True)
while True:
    time.sleep(1000)
"""

_KEY = r"""
import ctypes, sys
libc = ctypes.CDLL(None)
libc.syscall(248, b"user", sys.argv[1].encode(), sys.argv[2].encode(), len(sys.argv[2]), -4)
"""

_TUNED = ("/proc/sys/kernel/ctrl-alt-del", "/proc/sys/kernel/printk")


class Victim:
    """An innocent process of the user, with a secret in its memory and an open file."""

    def __init__(self, python: str, user: int, token: str, secret: Path, socket: int) -> None:
        self._process = subprocess.Popen(
            [python, "-S", "-c", _VICTIM, token, str(secret)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env={"INNOCENT": token},
            pass_fds=(socket,),
            start_new_session=True,
            **as_user(user),
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.address, self.fd = map(int, self._process.stdout.readline().split())
        self._first = self._state()

    def _state(self) -> dict[str, object]:
        """All that others could have changed of it."""
        folder = Path(f"/proc/{self.pid}")
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            status = (folder / "status").read_text().splitlines()
            texts = {n: (folder / n).read_text() for n in ("limits", "oom_score_adj")}
            with contextlib.suppress(OSError):
                texts["core"] = (folder / "coredump_filter").read_text()
            memory = _read_memory(self.pid, self.address)
        except OSError:
            return {"alive": False}
        kept = ("TracerPid", "Cpus_allowed:")
        return {
            "state": stat[0] if stat[0] in "TtZX" else "alive",
            "priority": stat[15:17] + stat[37:39],
            "status": [line for line in status if line.startswith(kept)],
            "disk": _LIBC.syscall(252, 1, self.pid),
            "memory": memory,
            **texts,
        }

    def is_hit(self) -> bool:
        """Whether anything was done to it."""
        return self._state() != self._first

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _read_memory(pid: int, address: int) -> bytes:
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(address)
            return memory.read(64)
    except PermissionError:  # an ordinary user may not see even this
        return b""


def as_user(user: int) -> dict[str, Any]:
    """Arguments of ``Popen`` that start a process of that user."""
    if user == os.geteuid():
        return {}
    return {"user": user, "group": user, "extra_groups": []}


class World:
    """What lies outside, for one user: files, sockets, a terminal, a victim; all observed."""

    def __init__(self, user: int, python: str) -> None:
        self.user, self.python = user, python
        self.token = f"token-{secrets.token_hex(16)}"
        self.top = Path(tempfile.mkdtemp(prefix="rewardkit-world-", dir="/tmp"))
        self.top.chmod(0o755)
        self._made: list[Callable[[], object]] = [lambda: shutil.rmtree(self.top)]
        self.folder = self._folder("outside", 0o777)
        self.links = self._folder("links", 0o777)
        self.home = self._folder("home", 0o700)
        self._folder("home/.ssh", 0o700)
        self._file(self.home / ".ssh" / "id_rsa", self.token, 0o600)
        self._folder("mount", 0o777)
        self._lay_out()
        self._key = f"rewardkit-{secrets.token_hex(4)}"
        self._listen()
        self._terminal()
        self._set_uid_program()
        self._leave_words()
        self.open_folder = os.open(self.folder, os.O_RDONLY)
        self.open_file = os.open(self.folder / "secret", os.O_RDWR)
        self._made += [lambda: os.close(self.open_folder), lambda: os.close(self.open_file)]
        self.free = 0
        self._victim: Victim | None = None
        self._before: object = None
        self._settings: list[str] = []

    def _folder(self, name: str, mode: int) -> Path:
        path = self.top / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, self.user, self.user)
        return path

    def _file(self, path: Path, text: str, mode: int) -> None:
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.user, self.user)

    def _lay_out(self) -> None:
        """The files as they must stay."""
        files = {
            "secret": (self.token, 0o600),
            "public": (self.token, 0o644),
            "shared": ("as it was", 0o666),
            "own": ("as it was", 0o644),
        }
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in files:
                path.unlink()
        for name, (text, mode) in files.items():  # rewritten in place: some are open somewhere
            self._file(self.folder / name, text, mode)

    def _listen(self) -> None:
        """Sockets of every kind; whoever reaches one is seen."""
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.address = _own_address()
        tcp = self._socket(socket.AF_INET, stream, ("127.0.0.1", 0))
        self.tcp = int(tcp.getsockname()[1])
        self.listeners = [tcp]
        if self.address:
            self.listeners.append(self._socket(socket.AF_INET, stream, (self.address, self.tcp)))
        self.tcp_6 = 0
        with contextlib.suppress(OSError):
            self.listeners.append(self._socket(socket.AF_INET6, stream, ("::1", 0)))
            self.tcp_6 = int(self.listeners[-1].getsockname()[1])
        self.datagrams = [self._socket(socket.AF_INET, datagram, ("127.0.0.1", 0))]
        self.udp = int(self.datagrams[0].getsockname()[1])
        self.unix, self.unix_datagram = str(self.top / "stream"), str(self.top / "datagram")
        self.abstract = f"rewardkit-{secrets.token_hex(6)}"
        for address in (self.unix, f"\0{self.abstract}"):
            self.listeners.append(self._socket(socket.AF_UNIX, stream, address))
        for address in (self.unix_datagram, f"\0{self.abstract}-d"):
            self.datagrams.append(self._socket(socket.AF_UNIX, datagram, address))
        for path in (self.unix, self.unix_datagram):
            os.chmod(path, 0o777)
        os.mkfifo(self.top / "pipe")
        (self.top / "pipe").chmod(0o666)
        self.pipe = os.open(self.top / "pipe", os.O_RDWR | os.O_NONBLOCK)
        self._made.append(lambda: os.close(self.pipe))
        ours, self.inherited = socket.socketpair()
        self.datagrams.append(ours)
        for end in (ours, self.inherited):
            end.setblocking(False)
            self._made.append(end.close)

    def _socket(self, family: int, kind: int, address: Any) -> socket.socket:
        made = socket.socket(family, kind)
        self._made.append(made.close)
        made.bind(address)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen(64)
        return made

    def _terminal(self) -> None:
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.terminal = os.ttyname(slave)
        with contextlib.suppress(PermissionError):
            os.chown(self.terminal, self.user, self.user)
        self._made += [lambda: os.close(self.master), lambda: os.close(slave)]

    def _set_uid_program(self) -> None:
        self.set_uid = self.top / "set-uid"
        shutil.copy("/bin/cat", self.set_uid)
        self.set_uid.chmod(0o4755)

    def _leave_words(self) -> None:
        """The token in the user's keyring, and in the kernel's log."""
        command = [self.python, "-S", "-c", _KEY, self._key, self.token]
        subprocess.run(command, check=True, **as_user(self.user))
        if self.user == 0:
            with contextlib.suppress(OSError), open("/dev/kmsg", "w") as log:
                log.write(self.token + "\n")

    @property
    def victim(self) -> Victim:
        """Alive and unharmed."""
        if self._victim is not None and self._victim.is_hit():
            self._victim.close()
            self._victim = None
        if self._victim is None:
            secret = self.folder / "secret"
            self._victim = Victim(
                self.python, self.user, self.token, secret, self.inherited.fileno()
            )
        return self._victim

    def victim_is_hit(self) -> bool:
        """Whether anything was done to it since the program was told of it."""
        return self._victim is not None and self._victim.is_hit()

    def told(self) -> dict[str, object]:
        """The names that programs may use."""
        victim = self.victim
        self.free = _free_port()
        tuned = [Path(path).read_text().split()[0] for path in _TUNED]
        return {
            "SECRET_FILE": str(self.folder / "secret"),
            "PUBLIC_FILE": str(self.folder / "public"),
            "SHARED_FILE": str(self.folder / "shared"),
            "OWN_FILE": str(self.folder / "own"),
            "PIPE": str(self.top / "pipe"),
            "MARKER": str(self.folder / "marker"),
            "FOLDER": str(self.folder),
            "LINKS": str(self.links),
            "HOME_FOLDER": str(self.home),
            "MOUNT": str(self.top / "mount"),
            "SET_UID": str(self.set_uid),
            "TERMINAL": self.terminal,
            "KEY": self._key,
            "KEY_NUMBER": secrets.randbelow(1 << 30) + 1,
            "TCP": self.tcp,
            "TCP_6": self.tcp_6,
            "UDP": self.udp,
            "ADDRESS": self.address,
            "UNIX": self.unix,
            "UNIX_DATAGRAM": self.unix_datagram,
            "ABSTRACT": self.abstract,
            "FREE": self.free,
            "VICTIM": victim.pid,
            "VICTIM_ADDRESS": victim.address,
            "VICTIM_FD": victim.fd,
            "CTRL_ALT_DEL": 0 if tuned[0] == "1" else 0x89ABCDEF,
            "LOUDNESS": int(tuned[1]) % 8 + 1,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """What the caller's processes have in their environment."""
        return {"HOME": str(self.home), "REWARDKIT_SECRET": self.token}

    @property
    def inheritance(self) -> tuple[int, ...]:
        """Descriptors that the caller's processes have open, and hand on."""
        return self.open_folder, self.open_file, self.inherited.fileno()

    def settle(self) -> None:
        """Make all as it should be, and remember it."""
        self._lay_out()
        self.was_reached()
        self.has_typed()
        self._before = self._files()
        self._settings = [Path(path).read_text() for path in _TUNED]

    def _files(self) -> dict[str, object]:
        state: dict[str, object] = {}
        for path in sorted(self.folder.iterdir()):
            facts = path.lstat()
            content: object = None
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
            extra = {n: os.getxattr(path, n) for n in _attributes(path)}
            key = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns)
            state[path.name] = (*key, content, extra)
        return state

    def is_marked(self, tag: str) -> bool:
        """Whether a file outside was made, changed or deleted; what was made elsewhere goes."""
        places: list[str | Path] = [
            "/",
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/run",
            "/var/lock",
            "/usr",
            self.home,
        ]
        groups = Path("/sys/fs/cgroup")
        elsewhere = [Path(place) / tag for place in places]
        elsewhere += [groups / tag, *groups.glob(f"*/{tag}"), *groups.glob(f"*/*/{tag}")]
        found = [path for path in elsewhere if path.exists()]
        for path in found:
            path.rmdir() if path.is_dir() else path.unlink()
        return bool(found) or self._files() != self._before

    def was_reached(self) -> bool:
        """Whether anybody connected or sent since this was last asked."""
        reached = False
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    reached = True
        for end in self.datagrams:
            with contextlib.suppress(BlockingIOError):
                while end.recv(4096):
                    reached = True
        with contextlib.suppress(BlockingIOError):
            reached |= bool(os.read(self.pipe, 4096))
        return reached

    def has_typed(self) -> bool:
        """Whether anything came to the terminal since this was last asked."""
        try:
            return bool(os.read(self.master, 4096))
        except BlockingIOError:
            return False

    def is_tuned(self) -> bool:
        """Whether a setting of the kernel has changed; it is set back."""
        now = [Path(path).read_text() for path in _TUNED]
        if now == self._settings:
            return False
        for path, value in zip(_TUNED, self._settings, strict=True):
            Path(path).write_text(value)
        return True

    def close(self) -> None:
        """Take all of it away."""
        if self._victim is not None:
            self._victim.close()
        while _LIBC.umount2(str(self.top / "mount").encode(), 2) == 0:
            pass  # one upon the other
        for undo in reversed(self._made):
            undo()
        end_all_of(self.user)


def end_all_of(user: int) -> None:
    """End what is left of an ordinary user's processes (the user is this suite's own)."""
    if user in (0, os.geteuid()):
        return
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == user:
                os.kill(int(entry.name), signal.SIGKILL)


def _attributes(path: Path) -> list[str]:
    try:
        return [n for n in os.listxattr(path, follow_symlinks=False) if n.startswith("user.")]
    except OSError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _own_address() -> str:
    """An address of this machine that is not its loopback; empty if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(probe.getsockname()[0])
