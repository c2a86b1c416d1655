"""Running a hostile program: outside, where it must succeed, and in a sandbox, where it must not."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from effects import EFFECTS, LOST, Case, Effect, Outcome
from looking import Watch, named, read
from world import World, as_user

PRELUDE = (Path(__file__).parent / "prelude.txt").read_text()

_IN_PROCESS = """
import sys, traceback
for path in sys.argv[1:]:
    try:
        exec(compile(open(path).read(), path, "exec"), sys.modules["__main__"].__dict__)
    except BaseException:
        traceback.print_exc()
"""

# A judge as many are: it starts the program, waits, and is the worse for it if it can be harmed.
_JUDGE = """
import os, resource, subprocess, sys
def facts():
    limits = [resource.getrlimit(i) for i in range(16)]
    return os.getpriority(0, 0), os.sched_getscheduler(0), os.sched_getaffinity(0), limits
r, w = os.pipe()
os.set_inheritable(w, True)
before = facts()
subprocess.run([sys.executable, "-S", "-B", *sys.argv[1:]], close_fds=False, timeout=5)
os.close(w)
if facts() == before and not os.read(r, 100):
    os.write(2, b"judge: unharmed")
"""

_MOST_S = 8.0

_BOUNDS = {  # what is hostile outside must not harm the suite's own machine
    resource.RLIMIT_AS: 3 << 30,
    resource.RLIMIT_CPU: 10,
    resource.RLIMIT_CORE: 0,
}


def _bounds(case: Case) -> dict[int, int]:
    return {**_BOUNDS, resource.RLIMIT_FSIZE: (600 if case.effect == "hoards" else 64) << 20}


HEALTH = """
import os, resource, sys
print(os.getpriority(0, 0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)))
limits = {i: resource.getrlimit(i) for i in range(16) if i != resource.RLIMIT_NPROC}
names = sorted(os.environ)
print(limits, [(name, os.environ[name]) for name in names if os.environ[name] != os.getcwd()])
paths = [path for path in sys.path if path != os.getcwd()]
print(os.umask(0o22), sys.stdin.read() == "", len(sys.modules), paths, int("7") + 1)
try: print(sorted(os.listdir(".")))
except OSError: pass
room = os.statvfs(".")
if room.f_blocks < 1 << 16: print(room.f_bfree, room.f_ffree)  # not the machine's own disk
"""
"""What a program finds of its world: the same at every run, whatever ran before."""


class Caller(Protocol):
    """A process that holds a sandbox."""

    @property
    def pid(self) -> int: ...

    def run(self, source: str, **limits: float) -> Run: ...


class Run(Protocol):
    """What it says of a run."""

    status: str
    stdout: bytes
    stderr: bytes
    elapsed_s: float


@dataclass(frozen=True)
class Inside:
    """Whether the effect was seen, whether the program itself was, and what was said of the runs."""

    escaped: bool
    was_seen: bool
    runs: tuple[Run, ...]


class Script:
    """One program with all that it is told, as source text."""

    def __init__(self, case: Case, world: World, **more: object) -> None:
        self.tag = f"rk{secrets.token_hex(5)}"
        self.word = f"word-{secrets.token_hex(16)}"
        self.kind = EFFECTS[case.effect]
        told = {**world.told(), "TAG": self.tag, "LIVE": self.kind.live, **more}
        head = "".join(f"{name} = {value!r}\n" for name, value in told.items())
        first = f"WORD = {self.word!r}\n{head}{PRELUDE}\n{case.source}"
        self.sources = [first]
        if case.then:  # this one is not told the word that would give the first away
            self.sources.append(f"{head}{PRELUDE}\n{case.then}")


def outside(case: Case, world: World) -> bool:
    """Whether the program is seen to do what it is meant to do where nothing holds it."""
    world.settle()
    script = Script(case, world, CALLER=world.victim.pid, BOUNDS=_bounds(case))
    effect = script.kind(case, world, script.tag, script.word)
    folder = Path(tempfile.mkdtemp(prefix="escapes-outside-", dir="/dev/shm"))
    os.chown(folder, world.user, world.user)
    try:
        with Watch(effect, script.tag):
            outcome = _bare(case, world, script, effect, folder)
            effect.after(outcome)
        return effect.found  # what was over before anybody looked is tried again
    finally:
        _end(script.tag)
        shutil.rmtree(folder)


def _bare(case: Case, world: World, script: Script, effect: Effect, folder: Path) -> Outcome:
    paths = []
    for number, source in enumerate(script.sources):
        paths.append(folder / f"program{number}.py")
        paths[-1].write_text(source)
    if case.control == "in_process":
        commands = [["-c", _IN_PROCESS, *map(str, paths)]]
    elif case.effect == "breaks":
        commands = [["-c", _JUDGE, str(paths[0])]]
    else:
        commands = [[str(path)] for path in paths]
    start = time.monotonic()
    with open(folder / ".output", "wb+") as output:
        os.chmod(folder / ".output", 0o666)
        for command in commands:
            _start(command, world, script, effect, folder, output)
        elapsed = time.monotonic() - start
        output.seek(0)
        text = output.read(1 << 23)  # it may still be growing
    status = ""
    if case.effect == "breaks" and b"judge: unharmed" not in text:
        status = "infrastructure_error"
    return Outcome(text, elapsed, status)


def _start(
    command: list[str], world: World, script: Script, effect: Effect, folder: Path, output: Any
) -> None:
    """One process, until it ends, has been seen to do what it is meant to, or has no time left."""
    environment = {"PATH": os.environ["PATH"], **world.environment, "REWARDKIT_RUN": script.tag}
    process = subprocess.Popen(
        [world.python, "-S", "-B", *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        cwd=folder,
        env=environment,
        pass_fds=world.inheritance,
        start_new_session=True,
        **as_user(world.user),
    )
    with process:
        most = 1.5 if _is_short(effect) else _MOST_S
        end = time.monotonic() + most
        while _is_there(process, effect) and time.monotonic() < end:
            if effect.found or _is_enough(effect, process.pid, output):
                break
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()


def _is_there(process: subprocess.Popen[bytes], effect: Effect) -> bool:
    """Whether it runs, or has handed over to others."""
    if process.poll() is None:
        return True
    # More than once: while one looks, it may hand over again.
    return effect.case.effect == "burns" and any(named(effect.tag) for _ in range(4))


def _is_enough(effect: Effect, pid: int, output: Any) -> bool:
    """Whether there is nothing to wait for: a judge that was stopped, or a flood."""
    if effect.case.effect == "breaks":
        return any(state in read(f"/proc/{pid}/stat") for state in (b") T ", b") t "))
    return effect.case.effect != "hoards" and os.fstat(output.fileno()).st_size > 1 << 23


def _is_short(effect: Effect) -> bool:
    """Whether it need only be there a little longer than allowed."""
    return effect.limits.get("wall_s", _MOST_S) < 1


_SPARE_TASKS = 512


def inside(case: Case, world: World, caller: Caller, *, counts_apart: bool) -> Inside:
    """What the program achieves, and is said to have come to, in a sandbox.

    Args:
        case: the program.
        world: what lies outside.
        caller: who has the sandbox.
        counts_apart: its processes are counted by themselves; else together with all that their
            user runs, so that the limit on them can only be a rough one.
    """
    world.settle()
    script = Script(case, world, CALLER=caller.pid, BOUNDS={})
    effect = script.kind(case, world, script.tag, script.word)
    if not counts_apart:
        effect.tasks = len(os.listdir("/proc")) + _SPARE_TASKS
    lanes = family(caller.pid)
    with Watch(effect, script.tag) as watch:
        runs = [caller.run(source, **effect.limit) for source in script.sources]
        output = b"".join(run.stdout + run.stderr for run in runs)
        broken = [run.status for run in runs if run.status == "infrastructure_error"]
        elapsed = max(run.elapsed_s for run in runs)
        if not broken and family(caller.pid) != lanes:
            broken = [LOST]
        effect.after(Outcome(output, elapsed, "".join(broken)))
    return Inside(effect.found, bool(watch.seen) or not effect.live, tuple(runs))


def family(pid: int) -> set[int]:
    """All processes below one."""
    found: set[int] = set()
    queue = [pid]
    while queue:
        parent = queue.pop()
        for task in os.listdir(f"/proc/{parent}/task") if os.path.exists(f"/proc/{parent}") else ():
            below = {int(w) for w in read(f"/proc/{parent}/task/{task}/children").split()}
            queue += below - found
            found |= below
    return found


def _end(tag: str) -> None:
    """End all that is left of a program, whatever it calls itself."""
    mark = f"REWARDKIT_RUN={tag}".encode()
    for _ in range(200):
        left = set(named(tag))
        for name in os.listdir("/proc"):
            if name.isdigit() and mark in read(f"/proc/{name}/environ"):
                left.add(int(name))
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    raise AssertionError(f"cannot end {left}")
