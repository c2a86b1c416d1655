"""From the caller's ``exec`` to the program's end: the order of things.

```
caller ── Popen ──> launcher ── fork ──> first process ── fork ──> program
                    new namespaces       builds the root,          gives everything up,
                    waits                watches, kills, reaps     runs the judged source
```

Without namespaces (``PROCESS``) the launcher itself is the one that watches; it adopts what
daemonises. Nothing secret is in any of these processes: expected values never come here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from . import confine, linux, namespaces, program, root
from .job import NAMESPACES, PROGRAM, Job, Report, read_report
from .watch import Watch

__all__ = ["main"]


class _Handles:
    """The descriptors the launcher was started with, in the order of its arguments."""

    def __init__(self, job: int, stdin: int, stdout: int, stderr: int, *ours: int) -> None:
        self.job = job
        self.stdio = (stdin, stdout, stderr)
        self.report, self.lifeline = ours


def main() -> Callable[[], None]:
    """Set everything up. Returns only in the program's process: with what there is to run."""
    sys.dont_write_bytecode = True
    # A virtual environment's link is not shown inside; programs may start themselves again.
    sys.executable = os.path.realpath(sys.executable)
    folder, *numbers = sys.argv[1:]
    handles = _Handles(*map(int, numbers))
    report = Report(handles.report)
    try:
        job = _read_job(handles.job)
        nobody = namespaces.nobody_for(os.getpid())
        job.ids_are_fresh = nobody is not None
        _separate(job, nobody)
        started = _start(job, handles, nobody, report, folder)
        if started is not None:
            return started
    except BaseException as error:  # whatever it is, the caller must hear of it
        report.failed(f"{type(error).__name__}: {error}")
        os._exit(1)
    os._exit(0)


def _read_job(fd: int) -> Job:
    with open(fd, "rb", closefd=False) as file:
        return Job.load(file.read())


def _separate(job: Job, nobody: int | None) -> None:
    """Put a world, or at least ourselves, between the caller and the program."""
    if job.isolation != NAMESPACES:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        return
    namespaces.leave(nobody)
    first = os.fork()
    if first:
        # Waits until the kernel has emptied the process namespace: then nothing is left.
        os.waitpid(first, 0)
        os._exit(0)
    # To the first process of a namespace only signals with a handler get through: have none.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    root.build(job.disk_mb)
    root.close()
    if nobody is not None:
        namespaces.become_nobody(nobody)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(
    job: Job, handles: _Handles, nobody: int | None, report: Report, folder: str
) -> Callable[[], None] | None:
    """Start the program and see it to its end; in its own process, return what there is to run."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)  # our memory and descriptors are not the program's
    trouble, trouble_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        return _be_program(job, handles, nobody, report, trouble_in, folder)
    os.close(trouble_in)
    with open(trouble, "rb") as pipe:
        said = pipe.read()  # ends when the program's process has let go of everything of ours
    if said or not read_report(handles.report).armed:
        raise RuntimeError(said.decode("utf-8", "replace") or "the program's process died at birth")
    watch = Watch(job, pid, handles.stdio[1:], handles.lifeline)
    watch.run(nobody)
    report.done(watch.cause, watch.wait_status, watch.cpu_s, watch.wall_s, watch.peak_mb)
    return None


def _be_program(
    job: Job, handles: _Handles, nobody: int | None, report: Report, trouble: int, folder: str
) -> Callable[[], None]:
    try:
        run = program.prepare(job.source, os.path.join(job.scratch, PROGRAM), folder)
        confine.enter(job, handles.stdio, nobody, report)
        return run
    except BaseException as error:
        os.write(trouble, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace"))
        os._exit(1)
