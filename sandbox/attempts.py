"""Attempts at breaking out of a sandbox; run in one, not imported. Prints what succeeded.

Each is a function that returns something true if it got through; told is what is outside.
"""

import ctypes
import json
import os
import socket
import sys
import time
import zlib
from collections.abc import Callable

told = json.loads(sys.stdin.read())
libc = ctypes.CDLL(None, use_errno=True)


def network() -> object:
    with socket.create_connection(("127.0.0.1", told["port"]), 2):
        return True


def secret_file() -> object:
    return open(told["secret"]).read()


def public_file() -> object:
    return open(told["public"]).read()


def writing() -> object:
    return open(told["marker"], "w").write("x")


def caller_in_sight() -> object:
    return open(f"/proc/{told['caller']}/status").read()


def signal() -> object:
    os.kill(told["caller"], 0)
    return True


def environment() -> object:
    return zlib.crc32(open(f"/proc/{told['caller']}/environ", "rb").read()) == told["environment"]


def capabilities() -> object:
    with open("/proc/self/status") as file:
        words = dict(line.split(":", 1) for line in file)
    return any(int(words[name], 16) for name in ("CapPrm", "CapEff", "CapAmb"))


def become_root() -> object:
    os.setuid(0)
    return True


def new_namespaces() -> object:
    return libc.unshare(0x10000000) == 0


def trace() -> object:
    return libc.ptrace(16, told["caller"], 0, 0) == 0


def uncounted_memory() -> object:
    return libc.memfd_create(b"x", 0) >= 0


def rings() -> object:
    return libc.syscall(425, 8, ctypes.create_string_buffer(200)) >= 0


def memory() -> object:
    return len(bytearray(2 * told["memory_mb"] << 20))


def disk() -> object:
    for number in range(told["disk_mb"] + 1):
        with open(f"file{number}", "wb") as file:
            file.write(bytes(1 << 20))
    return True


PROMISES = {
    "network": (network,),
    "reading": (secret_file, public_file),
    "writing": (writing,),
    "processes": (caller_in_sight, signal),
    "environment": (environment,),
    "privileges": (capabilities, become_root, new_namespaces),
    "system_calls": (trace, uncounted_memory, rings),
    "memory": (memory,),
    "disk_total": (disk,),
}


def succeeds(attempt: Callable[[], object]) -> bool:
    try:
        return bool(attempt())
    except (OSError, MemoryError):
        return False


print(json.dumps({name: any(map(succeeds, tries)) for name, tries in PROMISES.items()}), flush=True)
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                os.write(1, b".")
                time.sleep(0.002)
        os._exit(0)
    os.wait()
except OSError:
    pass  # it may not even start a process
