"""What can go wrong in this room, as one tree under ``rewardkit.errors.RewardKitError``.

```
SandboxError
├── SandboxUnavailable     judged code cannot be isolated here (and what would help)
├── WorkerTimeout          a call ran past its limit; its process was killed
├── WorkerLost             the worker's process died twice over one call
├── WorkerLoadError        the worker could not import the function it was to call
├── WorkerRecursion        the caller's script asks for workers while a worker loads it
└── WorkerFunctionError    the function itself raised
```
"""

from __future__ import annotations

from typing import Literal

from rewardkit.errors import RewardKitError

__all__ = [
    "SandboxError",
    "SandboxUnavailable",
    "WorkerFunctionError",
    "WorkerLoadError",
    "WorkerLost",
    "WorkerRecursion",
    "WorkerTimeout",
]


class SandboxError(RewardKitError):
    """Root of this room's errors."""


class SandboxUnavailable(SandboxError):  # noqa: N818 - reads as the state it names
    """Judged code cannot be isolated here as was asked, so nothing was run."""


class WorkerTimeout(SandboxError):  # noqa: N818 - reads as the event it names
    """A call ran past its limit; its worker was killed and will be replaced.

    Attributes:
        limit: ``"cpu"`` (processor seconds), ``"wall"`` (clock seconds) or ``"load"`` (clock
            seconds for importing the function's module, before the call itself).
        seconds: the limit that was passed.
    """

    def __init__(self, limit: Literal["cpu", "wall", "load"], seconds: float) -> None:
        super().__init__(f"the call ran past its {limit} limit of {seconds:g} s and was killed")
        self.limit: Literal["cpu", "wall", "load"] = limit
        self.seconds = seconds

    def __reduce__(
        self,
    ) -> tuple[type[WorkerTimeout], tuple[Literal["cpu", "wall", "load"], float]]:
        return type(self), (self.limit, self.seconds)


class WorkerRecursion(SandboxError):  # noqa: N818 - reads as the state it names
    """A worker that loads the caller's script was asked, by that script, for workers of its own."""


class WorkerLost(SandboxError):  # noqa: N818 - reads as the event it names
    """The worker's process died during the call, and so did the fresh one that tried again.

    Attributes:
        exit_code: as ``subprocess.Popen.returncode``: negative for a signal; ``None`` if unknown.
        log: the last words of the process on its stderr (at most 2000 characters).
    """

    def __init__(self, exit_code: int | None, log: str = "") -> None:
        said = f"; it said: {log}" if log else ""
        super().__init__(f"the worker process died (exit code {exit_code}){said}")
        self.exit_code = exit_code
        self.log = log

    def __reduce__(self) -> tuple[type[WorkerLost], tuple[int | None, str]]:
        return type(self), (self.exit_code, self.log)


class _RemoteError(SandboxError):
    """An exception of the other process, as text: the original need not be picklable."""

    def __init__(self, type_name: str, message: str, traceback_text: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text

    def __reduce__(self) -> tuple[type[_RemoteError], tuple[str, str, str]]:
        return type(self), (self.type_name, self.message, self.traceback_text)


class WorkerLoadError(_RemoteError):
    """The worker could not import the function, though its caller could.

    Attributes:
        type_name, message, traceback_text: of the exception that was raised there.
    """


class WorkerFunctionError(_RemoteError):
    """The function raised in the worker, or returned what cannot be pickled.

    Attributes:
        type_name: the exception's class name, e.g. ``"ZeroDivisionError"``.
        message: ``str()`` of it.
        traceback_text: the formatted traceback of the worker's process.
    """
