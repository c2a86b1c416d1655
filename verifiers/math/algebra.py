"""The last tier: computer algebra on a tree of ours, in a worker that can be killed."""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rewardkit.errors import MissingExtraError
from rewardkit.verifiers.math.tree import Node, plain, walk

if TYPE_CHECKING:
    from rewardkit.sandbox import WorkerPool

__all__ = ["Algebra", "Busy", "OutOfTime"]

SHARE = 0.6
"""Part of the processor time that algebra gets; the rest is for our own tiers and for the import of
sympy in a worker that replaces a killed one."""
MAX_NODES = 400
"""Largest pair of trees that is sent to algebra."""
WALL_FACTOR = 20
"""The backstop in clock seconds for one CPU second of algebra: a busy machine must not decide."""


MEMORY_MB = 512
"""Memory of one worker: ``x^{10^9}`` would else fill the machine."""
MAX_WORKERS = 4

_lock = threading.Lock()
_made: list[WorkerPool] = []


def _renew_lock() -> None:
    """After a fork: a thread that did not come along may have held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _pool() -> WorkerPool:
    """Workers of our own, since the shared ones may hold users' functions of any size."""
    from rewardkit.sandbox import WorkerPool

    with _lock:
        if not _made:
            _made.append(WorkerPool(min(os.cpu_count() or 1, MAX_WORKERS), memory_mb=MEMORY_MB))
        return _made[0]


class OutOfTime(Exception):  # noqa: N818 - a limit that the completion ran into
    """Not decided within the processor time."""


class Busy(Exception):  # noqa: N818
    """The clock ran out, or the worker was lost, which no completion can bring about."""


class Algebra:
    """Asks sympy whether two values are equal. All questions of one answer share its CPU time."""

    def __init__(self, cpu_s: float) -> None:
        self._cpu_s = cpu_s
        self._asked = 0

    def __call__(self, a: Node, g: Node) -> bool | None:
        """True or False if it can be proved, else ``None``. Raises ``OutOfTime``, ``Busy``."""
        from rewardkit.sandbox import (
            FunctionRef,
            WorkerFunctionError,
            WorkerLost,
            WorkerTimeout,
        )

        if find_spec("sympy") is None:
            raise MissingExtraError("MathVerifier for irrational answers", "math", "sympy")
        if sum(1 for tree in (a, g) for _ in walk(tree)) > MAX_NODES:
            return None
        self._asked += 1
        if self._asked > 3:  # a list of a hundred hard parts must not take a hundred budgets
            return None
        # By name, so that sympy is imported in the worker and never here.
        where = "rewardkit.verifiers.math.symbolic"
        function = FunctionRef(where, "same_value", modules=((where, ""),))
        cpu_s = SHARE * self._cpu_s / (1 << (self._asked - 1))
        for last in (False, True):
            try:
                same = _pool().call(
                    function, (plain(a), plain(g)), cpu_s=cpu_s, wall_s=WALL_FACTOR * cpu_s
                )
                return None if same is None else bool(same)
            except WorkerTimeout as error:
                if error.limit == "cpu":
                    message = f"not decided within {self._cpu_s:g} s of processor time"
                    raise OutOfTime(message) from None
                if last:
                    raise Busy(f"algebra: {error}") from None
            except WorkerFunctionError:
                return None
            except WorkerLost as error:
                if last:
                    raise Busy(f"algebra: {error}") from None
        return None
