"""Which of several processes this is, as launchers tell it. Without torch: a rubric is read and a
configuration checked before that is loaded, or without."""

from __future__ import annotations

import os

__all__ = ["launched", "launched_rank"]

_TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What ``accelerate launch`` and ``torchrun`` set for each process."""


def launched() -> bool:
    """Whether a launcher started this process, with others perhaps."""
    return all(name in os.environ for name in _TOLD)


def launched_rank() -> int:
    """The number of this process, from 0; 0 without a launcher."""
    return int(os.environ["RANK"]) if launched() else 0
