"""How much memory a call takes: tensors alive at a time, and what the process grew by."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

MIB = 2**20


class _Live(TorchDispatchMode):
    """Bytes of the storages that operations make, from their making to their end."""

    def __init__(self, before: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._before = {t.untyped_storage()._cdata for t in before}
        self._sizes: dict[int, int] = {}
        self._now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return out

    def _note(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._sizes or key in self._before:
            return
        self._sizes[key] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self._now -= self._sizes.pop(key)


def tracked_peak(call: Callable[[], object], before: Iterable[torch.Tensor], device: str) -> float:
    """MiB that tensors made by a call take at most at one time: on a CPU of the storages that
    operations return (what one needs within itself is not seen), on a GPU by its allocator.

    Args:
        call: what to measure.
        before: the tensors that are there already, which views of theirs do not make again.
        device: ``cpu`` or ``cuda``.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        start = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - start) / MIB
    with _Live(before) as live:
        call()
    return live.peak / MIB  # type: ignore[no-any-return]


def process_peak(call: Callable[[], object]) -> float | None:
    """MiB by which the process grew at most during a call, its libraries' own memory included;
    ``None`` where Linux does not tell."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed before must not be there to reuse
        clear.write_text("5")  # VmHWM begins anew at what is resident now
        start = _field(status, "VmRSS")
        call()
        return _field(status, "VmHWM") - start
    except OSError:
        return None


def _field(status: Path, name: str) -> float:
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
