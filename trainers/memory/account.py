"""An exact account of the storages that operations make, by side, cause and time."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["Account", "Book"]


class Book:
    """Bytes alive on one side.

    Attributes:
        now: how many there are.
        peak: how many there were at most.
        at_peak: those by cause.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0
        self.at_peak: dict[str, int] = {}
        self._by: dict[str, int] = {}

    def add(self, cause: str, count: int) -> None:
        """A new storage, or (negative) one that is gone."""
        self.now += count
        self._by[cause] = self._by.get(cause, 0) + count
        if self.now > self.peak:
            self.peak, self.at_peak = self.now, dict(self._by)

    def move(self, before: str, after: str, count: int) -> None:
        """What was booked under one cause belongs to another."""
        self._by[before] -= count
        self._by[after] = self._by.get(after, 0) + count

    def begin(self) -> None:
        """Peaks from here on."""
        self.peak, self.at_peak = self.now, dict(self._by)


class Account(TorchDispatchMode):
    """Books the storages that operations make while it is on, real ones and fake ones alike.

    Args:
        known: tensors that were there before, which are not booked however they are viewed.

    Attributes:
        device: the book of the device.
        host: the book of what is made within :meth:`on_host`.
        cause: under which a new storage is booked.
    """

    def __init__(self, known: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.host = Book(), Book()
        self.cause = "activations"
        self._current = self.device
        # Held, so that no address is used a second time.
        self._known = {_key(t): t for t in known}
        self._live: dict[int, list[Any]] = {}

    @contextmanager
    def on_host(self) -> Iterator[None]:
        """What is made in here is in host memory."""
        self._current, before = self.host, self._current
        try:
            yield
        finally:
            self._current = before

    @contextmanager
    def caused_by(self, cause: str) -> Iterator[None]:
        """What is made in here has this cause."""
        self.cause, before = cause, self.cause
        try:
            yield
        finally:
            self.cause = before

    def assign(self, tensor: torch.Tensor, cause: str) -> None:
        """Give a tensor that was booked another cause."""
        entry = self._live.get(_key(tensor))
        if entry is not None and entry[1] != cause:
            entry[0].move(entry[1], cause, entry[2])
            entry[1] = cause

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor)
        return out

    def _note(self, tensor: torch.Tensor) -> None:
        key = _key(tensor)
        if key in self._live or key in self._known:
            return
        storage = tensor.untyped_storage()
        count = storage.nbytes()
        self._live[key] = [self._current, self.cause, count]
        self._current.add(self.cause, count)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        book, cause, count = self._live.pop(key)
        book.add(cause, -count)


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
