"""What the program gives up before its first instruction."""

from __future__ import annotations

import os
import resource
import signal

from . import linux, namespaces
from .job import NAMESPACES, PROGRAM, Job, Report
from .seccomp import filter_for

__all__ = ["enter"]

_OPEN_FILES = 256
_SHOWN_SOURCE = 1 << 18


def enter(job: Job, stdio: tuple[int, int, int], nobody: int | None, report: Report) -> None:
    """Turn this process into the program's: afterwards only the source is left to run.

    Raises:
        OSError: some step failed; nothing of the program has run.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, fd in enumerate(stdio):
        os.dup2(fd, target)
    os.chdir(job.scratch)
    if nobody is not None and job.isolation != NAMESPACES:
        os.chown(".", nobody, nobody)
        namespaces.drop_root(nobody)
        _check_reachable()
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else its own /proc/self/fd would be closed to it
    _die_first()
    _write_files(job)
    _limit(job)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    alone = job.isolation == NAMESPACES
    code = filter_for(os.uname().machine, alone=alone, pid=os.getpid())
    if code is not None:
        linux.set_filter(code)
    report.armed()
    _close_all_but_stdio()


def _check_reachable() -> None:
    """Root's own interpreter (say, under /root) cannot be read by the user that we became."""
    if not os.access(os.__file__, os.R_OK):
        raise PermissionError(
            f"the standard library at {os.__file__} cannot be read by ordinary users, and the "
            "program must not run as root; use an interpreter outside of root's home"
        )


def _die_first() -> None:
    """If the machine runs out of memory, let the kernel choose this process, not the trainer."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _write_files(job: Job) -> None:
    # The source too, so that tracebacks show lines; what runs is the copy in memory. Not a huge
    # one: it must not fill the disk, for before the start that would be a failure of ours.
    shown = job.source if len(job.source) <= _SHOWN_SOURCE else b""
    for name, data in {**job.files, PROGRAM: shown}.items():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)


def _limit(job: Job) -> None:
    """Bounds that the kernel keeps, behind those that the watch keeps."""
    mib = 1 << 20
    seconds = int(job.cpu_s) + 2  # whole seconds; the watch is finer
    largest = max(job.disk_mb * mib, job.output_kb << 10)
    bounds = {
        resource.RLIMIT_CPU: seconds,
        # DATA is the limit; AS has room for address space that threads reserve and never use.
        resource.RLIMIT_DATA: job.memory_mb * mib,
        resource.RLIMIT_AS: (job.memory_mb + 4096) * mib,
        resource.RLIMIT_FSIZE: largest + (64 << 10),
        resource.RLIMIT_NPROC: _own_processes(job) + job.processes,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 1 << 16,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for which, bound in bounds.items():
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            bound = min(bound, hard)
        resource.setrlimit(which, (bound, bound))


def _own_processes(job: Job) -> int:
    """How many of those that count against the program's limit are not its own."""
    if job.isolation == NAMESPACES:
        # This process is counted as one of the program's; the others of ours are those in the
        # same user namespace: the first process, and an ordinary user's launcher.
        return 1 if job.ids_are_fresh else 2
    uid, count = os.getuid(), -1
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue  # it ended meanwhile
    return max(count, 0)


def _close_all_but_stdio() -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor that listed the folder
