"""What tensors freed on a CPU, given back to the system at once.

glibc takes blocks over a threshold from the system one by one, and the others from its heap, which
shrinks only from its end. The threshold rises by itself to 32 MiB as blocks are freed, and then the
activations of a step, some of which live long and some of which do not, leave the heap in gaps: a
process was seen to grow by 713 MiB in a step whose tensors took 262 at most. A threshold that is
set stays where it is.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["THRESHOLD", "give_back_freed"]

THRESHOLD = 2**20
"""Bytes from which on a block is the system's own: smaller ones fill gaps well."""
_M_MMAP_THRESHOLD = -3
_OWN = "MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold"


def give_back_freed() -> bool:
    """Set the threshold of this process, unless the user has set one in its environment.

    Returns:
        Whether it is set now: not where the C library is another than glibc.
    """
    if _OWN[0] in os.environ or _OWN[1] in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, THRESHOLD))
