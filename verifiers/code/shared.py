"""The sandbox of every verifier that was given none: made at first need, one per process."""

from __future__ import annotations

import os
import threading

from rewardkit.sandbox import Sandbox

__all__ = ["default_sandbox"]


class _Shared:
    """Not a mere global: the lock must be made anew in a forked process, where the thread that
    held it may not exist."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandbox: Sandbox | None = None

    def renew(self) -> None:
        self.lock = threading.Lock()


_shared = _Shared()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.renew)


def default_sandbox() -> Sandbox:
    """The strongest isolation that works here; shared, so that its bound on programs at once holds
    for all verifiers together.

    Raises:
        SandboxUnavailable: none works (and nothing weaker is chosen silently).
    """
    with _shared.lock:
        if _shared.sandbox is None:
            _shared.sandbox = Sandbox()
        return _shared.sandbox
