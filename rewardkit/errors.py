"""Every error that rewardkit raises on purpose, as one tree.

```
RewardKitError
├── UsageError (also a ValueError)      a mistake of the caller; the message names the mend
│   ├── RubricError                     a rubric that cannot mean what it says
│   ├── SpecError                       a YAML/JSON spec that cannot be read
│   ├── ConfigError                     a trainer or run configuration
│   └── DataError                       rows that are missing, empty or malformed
│       └── MissingColumnError          a row lacks a column that a reward asks for
├── MissingExtraError (also ImportError)  an optional part is not installed
├── RewardError                         a user's reward function failed (raised, NaN, wrong length)
└── TooManyUnscorableError              a training batch in which too much could not be judged
RewardKitWarning (a UserWarning)        something legal that is probably not meant
```

Errors of the sandbox are in :mod:`rewardkit.sandbox`; they descend from ``RewardKitError`` too.
What cannot be judged is no error: it is a verdict with status ``"unscorable"``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "HalfStepError",
    "MissingColumnError",
    "MissingExtraError",
    "RewardError",
    "RewardKitError",
    "RewardKitWarning",
    "RubricError",
    "SpecError",
    "TooManyUnscorableError",
    "UsageError",
]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class RewardKitError(Exception):
    """Root of the tree."""


class RewardKitWarning(UserWarning):
    """Something legal that is probably not meant."""


class UsageError(RewardKitError, ValueError):
    """A mistake of the caller, found before anything ran."""


class RubricError(UsageError):
    """A rubric that cannot mean what it says: names that clash, gates in a circle, a NaN weight."""


class SpecError(UsageError):
    """A YAML or JSON spec that cannot be read, or an object that cannot be written as one."""


class ConfigError(UsageError):
    """A run or trainer configuration that is refused."""


class DataError(UsageError):
    """Rows that are missing, empty or malformed."""


class MissingColumnError(DataError):
    """A row lacks a column that a reward or verifier asks for.

    Attributes:
        column: the name asked for.
        available: the names the row has.
    """

    def __init__(self, column: str, available: Iterable[str], wanted_by: str) -> None:
        self.column = column
        self.available = tuple(sorted(available))
        self.wanted_by = wanted_by
        have = ", ".join(self.available) or "none"
        called = {"text": "completion", "response": "completion", "question": "prompt"}
        hint = f" (the {called[column]} is called {called[column]!r})" if column in called else ""
        super().__init__(
            f"{wanted_by} needs the column {column!r}{hint}, which this row does not have. "
            f"Columns there are: {have}. Rename the column in the data, or map it "
            f"(--columns {column}=THEIRS, or columns in a configuration), or give the argument a "
            f"default."
        )

    def __reduce__(self) -> tuple[type[MissingColumnError], tuple[str, tuple[str, ...], str]]:
        return type(self), (self.column, self.available, self.wanted_by)


class MissingExtraError(RewardKitError, ImportError):
    """An optional part is not installed; the message is the command that mends it."""

    def __init__(self, what: str, extra: str, module: str) -> None:
        super().__init__(
            f"{what} needs the package {module!r}, which is not installed. "
            f"Run: pip install 'rewardkit[{extra}]'"
        )
        self.extra = extra
        self.module = module


class HalfStepError(RewardKitError):
    """The optimizer failed in the midst of changing the weights, which are now neither those before
    the step nor those after it. The last checkpoint is good."""


class RewardError(RewardKitError):
    """A user's reward function raised, returned NaN, or returned the wrong number of values.

    Attributes:
        part: the name of the part of the rubric (or of the function where it has none yet).
    """

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(f"reward {part!r} {problem}")
        self.part = part
        self.problem = problem

    def __reduce__(self) -> tuple[type[RewardError], tuple[str, str]]:
        return type(self), (self.part, self.problem)


class TooManyUnscorableError(RewardKitError):
    """More of a training batch could not be judged than the run allows."""


def must_be_raised(error: Exception) -> bool:
    """Whether an error met while judging is raised rather than turned into "cannot be judged".

    Only what no judged text can cause and what every row would meet again: a column that is not
    there, an extra that is not installed, a sandbox that this machine cannot give. Whatever else
    goes wrong (an impossible verdict built from the text, say) must not stop a training run.
    """
    if isinstance(error, MissingColumnError | MissingExtraError):
        return True
    if not isinstance(error, RewardKitError):
        return False
    from rewardkit.sandbox.errors import SandboxUnavailable, WorkerRecursion

    return isinstance(error, SandboxUnavailable | WorkerRecursion)


def told(error: BaseException) -> str:
    """An error's class and message, at most 400 characters; its ``__str__`` may itself fail."""
    try:
        message = str(error)
    except Exception:
        message = "(its message cannot be read)"
    return f"{type(error).__name__}: {message}"[:400]


def brief(value: object) -> str:
    """What was got, in at most 80 characters: a plain repr would first build the text of all of it,
    gigabytes perhaps, and may itself fail."""
    try:
        return _SHORT.repr(value)[:80]
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"
