"""The system-call filters say what their tables say, for every call and whatever its arguments."""

from __future__ import annotations

import errno
import re
import signal
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit.sandbox.inside import bpf, seccomp
from rewardkit.sandbox.inside.rights import (
    CLOCK_AT,
    DESCRIPTOR_AT,
    END,
    IN_ITS_PLACE,
    SIGNAL_AT,
)
from rewardkit.sandbox.inside.syscalls import ABSENT, ALLOWED, CHECKED, LAST_KNOWN, NUMBERS

X86_64, I386 = 0xC000003E, 0x40000003
ALLOW, KILL = 0x7FFF0000, 0x80000000
DENY, MISSING, PRETEND, NO_TERMINAL = (
    0x00050000 | number for number in (errno.EPERM, errno.ENOSYS, 0, errno.ENOTTY)
)
words = st.integers(0, 2**64 - 1)
arguments = st.lists(words, min_size=6, max_size=6)
PAGE = DESCRIPTOR_AT & ~4095

COMMON = seccomp.common()
ALONE = {may: seccomp.alone(may_signal=may) for may in (False, True)}


def verdict(program: bytes, number: int, *given: int, arch: int = X86_64) -> int:
    """What a filter says, by a machine of our own that knows its six instructions."""
    given = (*given, *(0,) * (6 - len(given)))
    data = struct.pack("<IIQ6Q", number, arch, 0, *(word & (2**64 - 1) for word in given))
    lines = list(struct.iter_unpack("<HBBI", program))
    at, register = 0, 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (register,) = struct.unpack_from("<I", data, value)
        elif code == 0x05:
            at += value
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: register == value, 0x35: register >= value, 0x45: register & value}
            at += yes if holds[code] else no


def test_every_call_gets_its_verdict() -> None:
    free = {number for group in ALLOWED.values() for number in group.values()}
    for number in range(LAST_KNOWN + 200):
        if number in CHECKED.values():
            continue
        expected = DENY if number <= LAST_KNOWN else MISSING
        if number in free:
            expected = ALLOW
        if number in ABSENT.values():
            expected = MISSING
        assert verdict(COMMON, number) == expected, number


@given(st.integers(0, 2**32 - 1), arguments)
def test_calls_of_another_architecture_are_deadly(number: int, given_: list[int]) -> None:
    assert verdict(COMMON, number, *given_, arch=I386) == KILL


@given(st.integers(2**30, 2**32 - 1), arguments)
def test_x32_does_not_exist(number: int, given_: list[int]) -> None:
    assert verdict(COMMON, number, *given_) == MISSING


@given(arguments)
def test_no_huge_pages_are_mapped(given_: list[int]) -> None:
    for flags in (given_[3], given_[3] | 0x40000, given_[3] & ~0x40000):
        expected = DENY if flags & 0x40000 else ALLOW
        assert verdict(COMMON, NUMBERS["mmap"], *given_[:3], flags) == expected


@given(arguments)
def test_clone_makes_no_namespaces(given_: list[int]) -> None:
    makes_new = given_[0] & 0x7E020000 or given_[0] & 0x2000
    expected = DENY if makes_new else ALLOW
    assert verdict(COMMON, NUMBERS["clone"], *given_) == expected


@given(arguments)
@pytest.mark.parametrize("name", ["prlimit64", "sched_setaffinity"])
def test_only_ones_own_limits_and_processors(name: str, given_: list[int]) -> None:
    for first in (0, 1, given_[0]):
        expected = ALLOW if first & 0xFFFFFFFF == 0 else DENY
        assert verdict(COMMON, NUMBERS[name], first, *given_[1:]) == expected


@given(arguments, st.sampled_from([0, 1, 1 << 32, 0xDEADBEEF << 32]))
def test_nothing_is_sent_to_an_address(given_: list[int], address: int) -> None:
    given_[4] = address
    expected = ALLOW if address == 0 else DENY
    assert verdict(COMMON, NUMBERS["sendto"], *given_) == expected


def test_sockets_are_connected_pairs_of_the_unix_family() -> None:
    for family in range(64):
        expected = ALLOW if family == 1 else DENY
        assert verdict(COMMON, NUMBERS["socketpair"], family, 1, 0) == expected
    assert not {"socket", "connect", "bind", "listen", "accept", "accept4"} & NUMBERS.keys()
    assert not {"sendmsg", "sendmmsg"} & NUMBERS.keys()  # they carry addresses, and descriptors


@given(st.integers(0, 2**32 - 1))
def test_terminals_cannot_be_driven(command: int) -> None:
    harmless = {0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451}
    for tried in (command, 0x5412, 0x541C, *harmless):  # TIOCSTI types into a terminal
        expected = ALLOW if tried in harmless else NO_TERMINAL
        assert verdict(COMMON, NUMBERS["ioctl"], 0, tried) == expected


@given(st.integers(0, 2**32 - 1))
def test_the_kernel_sends_no_signals_in_ones_name_and_makes_no_pipe_larger(command: int) -> None:
    harmless = {*range(8), 36, 37, 38, 1030, 1032, 1033, 1034}
    for tried in (command, 8, 10, 15, 1024, 1026, 1031, *harmless):
        expected = ALLOW if tried in harmless else DENY
        assert verdict(COMMON, NUMBERS["fcntl"], 3, tried) == expected


def test_what_ends_an_orphan_cannot_be_taken_back() -> None:
    for number in range(65):
        expected = ALLOW if number == signal.SIGKILL else DENY
        assert verdict(COMMON, NUMBERS["prctl"], 1, number) == expected


def test_no_filter_is_added() -> None:
    assert verdict(COMMON, NUMBERS["prctl"], 22, 2) == DENY


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 64))
@pytest.mark.parametrize("name", ["kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"])
def test_a_process_alone_sends_signals_only_where_landlock_keeps_them(
    name: str, target: int, number: int
) -> None:
    assert verdict(ALONE[True], NUMBERS[name], target, number) == ALLOW
    assert verdict(ALONE[False], NUMBERS[name], target, number) == DENY


@given(arguments)
def test_a_process_alone_signals_by_the_page_of_rights(given_: list[int]) -> None:
    for pointer in (given_[2], SIGNAL_AT, SIGNAL_AT + (1 << 32), SIGNAL_AT + 4096):
        expected = ALLOW if pointer == SIGNAL_AT else DENY
        number = NUMBERS["rt_sigqueueinfo"]
        assert verdict(ALONE[False], number, *given_[:2], pointer) == expected


clocks = st.integers(-(2**31), 2**31 - 1)
OF_OTHERS = ((~1 << 3) | 2, (~4321 << 3) | 6)


@given(clocks)
@pytest.mark.parametrize("name", ["clock_getres", "clock_nanosleep", "timer_create"])
def test_a_process_alone_has_no_clock_of_another(name: str, clock: int) -> None:
    for tried in (clock, *range(12), *OF_OTHERS):
        expected = ALLOW if tried >= 0 else DENY
        assert verdict(ALONE[True], NUMBERS[name], tried, CLOCK_AT) == expected


@given(clocks, words)
def test_a_process_alone_reads_clocks_of_others_by_the_page_of_rights(
    clock: int, pointer: int
) -> None:
    for tried in (clock, *range(12), *OF_OTHERS):
        for to in (pointer, CLOCK_AT, CLOCK_AT + (1 << 32), DESCRIPTOR_AT):
            expected = ALLOW if tried >= 0 or to == CLOCK_AT else DENY
            assert verdict(ALONE[True], NUMBERS["clock_gettime"], tried, to) == expected


@given(arguments)
def test_a_process_alone_forks_by_the_page_of_rights(given_: list[int]) -> None:
    for flags in (given_[0] | 0x10000, given_[0] & ~0x11000, given_[0] & ~0x10000 | 0x1000):
        for pointer in (given_[2], DESCRIPTOR_AT, DESCRIPTOR_AT + (1 << 32), CLOCK_AT):
            may = flags & 0x10000 or (flags & 0x1000 and pointer == DESCRIPTOR_AT)
            expected = ALLOW if may else DENY
            assert verdict(ALONE[True], NUMBERS["clone"], flags, 0, pointer) == expected
    names = "fork vfork tkill pidfd_open pidfd_send_signal truncate execve execveat arch_prctl"
    for name in names.split():
        assert verdict(ALONE[True], NUMBERS[name], *given_) == DENY


low = st.integers(0, END - 1)


@given(st.one_of(words, low), words, words)
def test_nothing_is_mapped_at_the_page_of_rights_or_below(
    address: int, size: int, flags: int
) -> None:
    wished = flags & ~0x100110
    for tried in (address, PAGE, PAGE - 4096, END - 1, 1, END, 1 << 32, (1 << 32) + PAGE, 0):
        for how in (wished, wished | 0x10, wished | 0x100000):
            high = tried >= END or (tried == 0 and how == wished)
            expected = ALLOW if high else DENY
            assert verdict(ALONE[True], NUMBERS["mmap"], tried, size, 3, how) == expected
            assert verdict(ALONE[True], NUMBERS["mmap"], tried, size, 3, how | 0x100) == DENY


@given(low, words, words)
def test_but_what_nobody_can_use(address: int, rights: int, flags: int) -> None:
    mmap = NUMBERS["mmap"]
    assert verdict(ALONE[True], mmap, max(address, 1), 4096, 0, IN_ITS_PLACE) == ALLOW
    for asked, how in ((rights | 1, IN_ITS_PLACE), (0, flags | 1), (2, flags), (4, IN_ITS_PLACE)):
        assert verdict(ALONE[True], mmap, max(address, 1), 4096, asked, how) == DENY


@given(st.one_of(words, low), words)
@pytest.mark.parametrize("name", ["munmap", "mprotect", "mremap"])
def test_and_that_stays(name: str, address: int, size: int) -> None:
    for tried in (address, 0, PAGE, PAGE - 4096, END - 1, END, (1 << 32) + PAGE):
        expected = ALLOW if tried >= END else DENY
        assert verdict(ALONE[True], NUMBERS[name], tried, size, size, 0) == expected


@given(arguments)
def test_nothing_is_moved_to_an_address(given_: list[int]) -> None:
    for flags in (0, 1, 2, 3, 4, 5, given_[3]):
        expected = ALLOW if flags & (2**32 - 1) < 2 else DENY
        assert verdict(ALONE[True], NUMBERS["mremap"], END, *given_[1:3], flags) == expected


def test_a_process_alone_changes_no_mode_and_no_time() -> None:
    for name in ("chmod", "fchmod", "fchmodat", "fchmodat2", "utimensat", "utime", "utimes"):
        assert verdict(ALONE[True], NUMBERS[name]) == PRETEND


def test_what_escapes_are_made_of_is_not_in_the_tables() -> None:
    names = "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp mount umount2 pivot_root \
        chroot unshare setns bpf perf_event_open userfaultfd io_uring_setup io_uring_enter add_key \
        request_key keyctl memfd_create memfd_secret shmget shmat msgget semget mq_open setuid \
        setgid setresuid capset personality init_module kexec_load reboot setxattr splice vmsplice \
        open_by_handle_at setpriority sched_setscheduler process_madvise seccomp landlock_add_rule"
    assert not set(names.split()) & NUMBERS.keys()


def test_the_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    found = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    latest = max(map(int, found.values()))
    ours = {**NUMBERS, **ABSENT}
    known = {name: number for name, number in ours.items() if number <= latest}
    assert known == {name: int(found[name]) for name in known}
    assert len(set(ours.values())) == len(ours)


def test_jumps_that_cannot_be_are_refused() -> None:
    far = [bpf.give(0)] * 256
    for lines, problem in (
        ([bpf.jump("x")], "no label"),
        ([bpf.label("x"), bpf.jump("x")], "back"),
        ([bpf.label("x"), bpf.label("x")], "twice"),
        ([bpf.equal(1, "x"), *far, bpf.label("x")], "256"),
    ):
        with pytest.raises(ValueError, match=problem):
            bpf.assemble(lines)
    assert len(bpf.assemble([bpf.jump("x"), *far, bpf.label("x"), bpf.give(1)])) == 8 * 258
