"""What it looks like when there is too little memory, and what can be had back then."""

from __future__ import annotations

import gc

import torch

__all__ = ["free", "out_of_memory"]

_TOLD = ("defaultcpuallocator", "out of memory", "alloc_failed", "can't allocate memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether the allocator of the device, of the processor or of Python has failed."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error).lower() for words in _TOLD)


def free() -> None:
    """Give back what nobody holds any more, the frames of an error above all."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
