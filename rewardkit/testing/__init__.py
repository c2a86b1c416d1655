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
    from rewardkit.testing.check import Checker, Failure, Report, check_fixtures, check_rows
    from rewardkit.testing.expect import Expect
    from rewardkit.testing.fixtures import Fixtures, load_fixtures
    from rewardkit.testing.row import Fixture, fixture

__all__ = [
    "Checker",
    "Expect",
    "Failure",
    "Fixture",
    "Fixtures",
    "Report",
    "check_fixtures",
    "check_rows",
    "fixture",
    "load_fixtures",
]

__getattr__ = lazy(
    __name__,
    {
        "rewardkit.testing.check": ("Checker", "Failure", "Report", "check_fixtures", "check_rows"),
        "rewardkit.testing.fixtures": ("Fixtures", "load_fixtures"),
        "rewardkit.testing.expect": ("Expect",),
        "rewardkit.testing.row": ("Fixture", "fixture"),
    },
)
