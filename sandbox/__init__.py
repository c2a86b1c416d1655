"""Where code runs that must not harm anybody.

Two kinds, two rooms:

- :class:`Sandbox` runs **judged code**: hostile, isolated from the machine, judged from outside.
- :class:`WorkerPool` runs **trusted functions that may run away** (symbolic maths, reward
  functions): in a warm process that is killed when a limit is passed. It isolates nothing.

Linux only for the first; the second runs on any POSIX system. Neither uses a signal handler, an
alarm, a fork of the caller or a thread that is left running, so both work in any thread, next to
CUDA, in Ray and torch workers, and after a fork.

Example:
    >>> Sandbox().run("print(6 * 7)").stdout
    b'42\\n'
"""

from rewardkit.sandbox.box import Sandbox
from rewardkit.sandbox.errors import (
    SandboxError,
    SandboxUnavailable,
    WorkerFunctionError,
    WorkerLoadError,
    WorkerLost,
    WorkerRecursion,
    WorkerTimeout,
)
from rewardkit.sandbox.limits import Limits, usable_cpus
from rewardkit.sandbox.pool import WorkerPool, shared_pool
from rewardkit.sandbox.program import CHANNEL, Executor, Job, Program
from rewardkit.sandbox.reference import FunctionRef
from rewardkit.sandbox.result import CallResult, Calls, ExecutionResult, ExecutionStatus
from rewardkit.sandbox.shared import shared_sandbox
from rewardkit.sandbox.tiers import Isolation, SandboxReport

__all__ = [
    "CHANNEL",
    "CallResult",
    "Calls",
    "ExecutionResult",
    "ExecutionStatus",
    "Executor",
    "FunctionRef",
    "Isolation",
    "Job",
    "Limits",
    "Program",
    "Sandbox",
    "SandboxError",
    "SandboxReport",
    "SandboxUnavailable",
    "WorkerFunctionError",
    "WorkerLoadError",
    "WorkerLost",
    "WorkerPool",
    "WorkerRecursion",
    "WorkerTimeout",
    "shared_pool",
    "shared_sandbox",
    "usable_cpus",
]
