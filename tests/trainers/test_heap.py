"""Promise: what tensors leave free on a CPU goes back to the system, unless the user set how."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rewardkit.trainers.memory.heap import THRESHOLD, give_back_freed

MIB = 2**20


def resident() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def test_what_is_freed_between_what_lives_goes_back() -> None:
    if not give_back_freed():
        pytest.skip("the C library is not glibc, or its threshold is set from outside")
    torch.empty(8 * MIB).fill_(1.0)  # glibc's own threshold would rise by this to 32 MiB
    blocks = [torch.ones(MIB) for _ in range(64)]  # of 4 MiB each
    assert blocks[0].nbytes > THRESHOLD
    before = resident()
    del blocks[::2]  # every other one, so that no end of a heap is free
    assert before - resident() > 32 * 4 * 0.9


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "65536"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=65536")],
)
def test_a_threshold_of_the_users_own_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert not give_back_freed()
