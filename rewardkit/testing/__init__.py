"""Rewards under test: fixture files, checked from Python, the command line and pytest.

- :func:`check_fixtures`: check a whole file, get a :class:`Report`.
- :func:`load_fixtures`: read a file; :class:`Checker`: check single rows of it.
- ``rewardkit.testing.plugin``: the pytest plugin.

Nothing is imported before it is used: pytest loads the plugin, and with it this package, in every
project of an environment that rewardkit is installed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardkit._lazy import lazy

if TYPE_CHECKING:
    from rewardkit.testing.check import Checker, Failure, Report, check_fixtures
    from rewardkit.testing.fixtures import Expect, Fixture, Fixtures, load_fixtures

__all__ = [
    "Checker",
    "Expect",
    "Failure",
    "Fixture",
    "Fixtures",
    "Report",
    "check_fixtures",
    "load_fixtures",
]

__getattr__ = lazy(
    __name__,
    {
        "rewardkit.testing.check": ("Checker", "Failure", "Report", "check_fixtures"),
        "rewardkit.testing.fixtures": ("Expect", "Fixture", "Fixtures", "load_fixtures"),
    },
)
