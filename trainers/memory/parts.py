"""The cutting of rows into parts, in one place, so that a simulation need not go through them all.

Parts of equal size take equal memory, one after another: the first shows what one takes, the second
what one takes beside what the first left, the last what is different at the end. On fake tensors,
which compute nothing anyway, the others would only take time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["few_parts", "parts"]

_FEW = False


def parts(count: int, size: int) -> Iterator[slice]:
    """``range(count)`` in slices of at most ``size``; few of them within :func:`few_parts`."""
    starts = range(0, count, size)
    chosen = [starts[0], starts[1], starts[-1]] if _FEW and len(starts) > 3 else starts
    for start in chosen:
        yield slice(start, min(start + size, count))


@contextmanager
def few_parts() -> Iterator[None]:
    """Within this, :func:`parts` gives the first, the second and the last."""
    global _FEW
    before, _FEW = _FEW, True
    try:
        yield
    finally:
        _FEW = before
