"""Sandboxes that a whole process shares: made at first need, one per kind."""

from __future__ import annotations

import os
import threading

from rewardkit.sandbox.box import Sandbox
from rewardkit.sandbox.profiles import Preload
from rewardkit.sandbox.tiers import Isolation

__all__ = ["shared_sandbox"]

_Key = tuple[str, Preload]


class _Shared:
    """Not mere globals: the lock must be made anew in a forked process, where the thread that held
    it may not exist."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandboxes: dict[_Key, Sandbox] = {}

    def renew(self) -> None:
        self.lock = threading.Lock()


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.renew)


def shared_sandbox(isolation: Isolation = "auto", preload: Preload = "stdlib") -> Sandbox:
    """One sandbox per process and pair of arguments, with a worker per usable CPU.

    Shared, so that its bound on programs at once holds for all its users together. Nobody need
    close it.

    Raises:
        SandboxUnavailable: no isolation works here as asked.
        UsageError: arguments that make no sense.
    """
    key = (isolation, preload if isinstance(preload, str) else tuple(preload))
    with _shared.lock:
        if key not in _shared.sandboxes:
            _shared.sandboxes[key] = Sandbox(isolation, preload=preload)
        return _shared.sandboxes[key]
