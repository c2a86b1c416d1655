"""The system calls of x86_64 that judged code may make, as data; what is not here it may not.

Started from what containers commonly allow, minus what reaches other processes, namespaces, mounts,
keys, the network, memory that no limit counts, and kernel interfaces with a record of holes.
``seccomp`` turns the tables into a filter.
"""

from __future__ import annotations

__all__ = ["ABSENT", "ALLOWED", "CHECKED", "LAST_KNOWN", "NUMBERS"]

ALLOWED: dict[str, dict[str, int]] = {
    "files": {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6,
        "lseek": 8, "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21,
        "pipe": 22, "dup": 32, "dup2": 33, "sendfile": 40, "flock": 73, "fsync": 74,
        "fdatasync": 75, "truncate": 76, "ftruncate": 77, "getdents": 78, "getcwd": 79,
        "chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85,
        "link": 86, "unlink": 87, "symlink": 88, "readlink": 89, "chmod": 90, "fchmod": 91,
        "umask": 95, "utime": 132, "statfs": 137, "fstatfs": 138, "readahead": 187,
        "getxattr": 191, "lgetxattr": 192, "fgetxattr": 193, "listxattr": 194, "llistxattr": 195,
        "flistxattr": 196, "getdents64": 217, "fadvise64": 221, "utimes": 235, "openat": 257,
        "mkdirat": 258, "futimesat": 261, "newfstatat": 262, "unlinkat": 263, "renameat": 264,
        "linkat": 265, "symlinkat": 266, "readlinkat": 267, "fchmodat": 268, "faccessat": 269,
        "sync_file_range": 277, "utimensat": 280, "fallocate": 285, "dup3": 292, "pipe2": 293,
        "preadv": 295, "pwritev": 296, "renameat2": 316, "copy_file_range": 326,
        "preadv2": 327, "pwritev2": 328, "statx": 332, "close_range": 436, "openat2": 437,
        "faccessat2": 439, "fchmodat2": 452,
    },
    "waiting": {
        "poll": 7, "select": 23, "epoll_create": 213, "epoll_wait": 232, "epoll_ctl": 233,
        "pselect6": 270, "ppoll": 271, "epoll_pwait": 281, "signalfd": 282, "timerfd_create": 283,
        "eventfd": 284, "timerfd_settime": 286, "timerfd_gettime": 287, "signalfd4": 289,
        "eventfd2": 290, "epoll_create1": 291, "epoll_pwait2": 441,
    },
    # Of sockets only pairs that are connected at birth: what asyncio and multiprocessing stand on.
    "pairs": {
        "recvfrom": 45, "recvmsg": 47, "shutdown": 48, "getsockname": 51, "getpeername": 52,
        "getsockopt": 55,
    },
    "memory": {
        "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "msync": 26,
        "mincore": 27, "madvise": 28, "membarrier": 324,
    },
    "processes": {
        "sched_yield": 24, "getpid": 39, "fork": 57, "vfork": 58, "execve": 59, "exit": 60,
        "wait4": 61, "uname": 63, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100,
        "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "setpgid": 109,
        "getppid": 110, "getpgrp": 111, "setsid": 112, "getgroups": 115, "getresuid": 118,
        "getresgid": 120, "getpgid": 121, "getsid": 124, "capget": 125, "getpriority": 140,
        "sched_getparam": 143, "sched_getscheduler": 145, "sched_get_priority_max": 146,
        "sched_get_priority_min": 147, "arch_prctl": 158, "setrlimit": 160, "gettid": 186,
        "futex": 202, "sched_getaffinity": 204, "set_tid_address": 218, "exit_group": 231,
        "waitid": 247, "set_robust_list": 273, "getcpu": 309, "execveat": 322, "rseq": 334,
        "pidfd_open": 434, "landlock_restrict_self": 446, "futex_waitv": 449, "futex_wake": 454,
        "futex_wait": 455, "futex_requeue": 456,
    },
    "signals": {
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pause": 34, "kill": 62,
        "rt_sigpending": 127, "rt_sigtimedwait": 128, "rt_sigqueueinfo": 129,
        "rt_sigsuspend": 130, "sigaltstack": 131, "tkill": 200, "restart_syscall": 219,
        "tgkill": 234, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424,
    },
    "time": {
        "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "gettimeofday": 96,
        "time": 201, "timer_create": 222, "timer_settime": 223, "timer_gettime": 224,
        "timer_getoverrun": 225, "timer_delete": 226, "clock_gettime": 228, "clock_getres": 229,
        "clock_nanosleep": 230, "getrandom": 318,
    },
}  # fmt: skip
"""Allowed whatever their arguments, by what they are about: name and number."""

CHECKED = {
    "mmap": 9, "ioctl": 16, "sendto": 44, "socketpair": 53, "clone": 56, "fcntl": 72, "prctl": 157,
    "sched_setaffinity": 203, "prlimit64": 302,
}  # fmt: skip
"""Allowed with some arguments only; ``seccomp`` says which."""

ABSENT = {"clone3": 435}
"""Said not to exist: their arguments lie in memory, out of a filter's sight, and libraries fall
back to an older call whose arguments do not."""

LAST_KNOWN = 470
"""Calls up to this number are refused (``EPERM``); beyond it they do not exist yet (``ENOSYS``)."""

NUMBERS = {name: number for group in ALLOWED.values() for name, number in group.items()} | CHECKED
"""All that may be made, by name."""
