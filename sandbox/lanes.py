"""The pool of lanes of one sandbox: lent one at a time, replaced when they misbehave."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator

from rewardkit.sandbox.errors import SandboxError
from rewardkit.sandbox.lane import Lane
from rewardkit.sandbox.nursery import Nursery
from rewardkit.sandbox.profiles import Profile

__all__ = ["Lanes"]

_pools: weakref.WeakSet[Lanes] = weakref.WeakSet()


class Lanes:
    """At most ``most`` lanes, made at first need; whoever finds none free waits.

    A forked process starts with none: its parent's are its parent's.
    """

    def __init__(self, tier: str, most: int, profile: Profile, writable: bool) -> None:
        self.tier, self.most = tier, most
        self._profile, self._writable = profile, writable
        self._closed = False
        self._renew()
        _pools.add(self)

    def _renew(self) -> None:
        self._owner = os.getpid()
        self._changed = threading.Condition()
        self._free: list[Lane] = []
        self._all: weakref.WeakSet[Lane] = weakref.WeakSet()
        self._lent = 0
        self._nursery: Nursery | None = None

    @contextlib.contextmanager
    def lend(self) -> Iterator[Lane]:
        """A lane, back in the pool afterwards; after an exception it is ended instead.

        Raises:
            SandboxError: the pool is closed.
            LaneFailed, OSError: no lane can be made.
        """
        lanes = self._take(1)
        try:
            yield lanes[0]
        except BaseException:
            self._give(lanes, good=False)
            raise
        self._give(lanes, good=True)

    @contextlib.contextmanager
    def lend_two(self) -> Iterator[tuple[Lane, Lane]]:
        """Two at once, so that nobody waits with one for another. As :meth:`lend`."""
        first, second = lanes = self._take(2)
        try:
            yield first, second
        except BaseException:
            self._give(lanes, good=False)
            raise
        self._give(lanes, good=True)

    def _take(self, count: int) -> list[Lane]:
        if self._owner != os.getpid():
            self._forget()
        most = max(self.most, count)
        with self._changed:
            while not self._closed and self._lent + count > most:
                self._changed.wait()
            if self._closed:
                raise SandboxError("this Sandbox is closed")
            self._lent += count
            lanes = [self._free.pop() for _ in range(min(count, len(self._free)))]
        try:
            while len(lanes) < count:
                lanes.append(self._make())
        except BaseException:
            self._give(lanes, good=True, lent=count)
            raise
        return lanes

    def _give(self, lanes: list[Lane], *, good: bool, lent: int | None = None) -> None:
        with self._changed:
            self._lent -= len(lanes) if lent is None else lent
            keep = good and not self._closed
            if keep:
                self._free += lanes
            nursery = self._nursery
            self._changed.notify_all()
        if not keep:
            for lane in lanes:
                nursery.end(lane) if nursery is not None else lane.close()

    def _make(self) -> Lane:
        with self._changed:
            if self._nursery is None or not self._nursery.is_alive():
                self._drop_nursery()
                self._nursery = Nursery(self._profile)
            nursery = self._nursery
        lane = nursery.lane(self.tier, self._writable)
        self._all.add(lane)
        return lane

    def _drop_nursery(self) -> None:
        """It and its lanes are gone."""
        for lane in self._free:
            lane.close()
        self._free.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def _forget(self) -> None:
        """After a fork: the locks may be held by nobody, the lanes are the parent's."""
        for lane in self._all:
            lane.forget()
        if self._nursery is not None:
            self._nursery.forget()
        self._renew()

    def close(self) -> None:
        """End all lanes; whoever waits for one, or for an answer of one, is told."""
        if self._owner != os.getpid():
            self._forget()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._drop_nursery()


def _after_fork() -> None:
    for pool in _pools:
        pool._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
