"""Ways in which memory runs short, as torch and Python tell it."""

from __future__ import annotations

import torch


def cuda_like() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def the_processors() -> None:
    torch.empty(2**60, dtype=torch.uint8)  # torch's own allocator says no


def pythons() -> None:
    bytearray(2**60)
