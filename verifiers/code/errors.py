"""What is wrong with tests, or with where they would run: never the judged code's fault."""

from __future__ import annotations

from rewardkit.verdict import Fault

__all__ = ["CasesError"]


class CasesError(ValueError):
    """Tests that cannot be run, or could not be passed by anybody.

    Attributes:
        fault: whose it is; the dataset's, unless the sandbox lacks what the tests need.
    """

    def __init__(self, message: str, fault: Fault = "dataset") -> None:
        super().__init__(message)
        self.fault = fault
