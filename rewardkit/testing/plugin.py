"""pytest plugin: ``*.rewards.jsonl`` (``.yaml``, ``.yml``) files are test files, rows are tests.

pytest imports this module in every project of an environment, so it imports nothing of rewardkit
before such a file is collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rewardkit.testing.check import Checker
    from rewardkit.testing.fixtures import Fixture

__all__ = ["FixtureError", "RewardsFile", "RewardsItem"]

_ENDINGS = (".rewards.jsonl", ".rewards.yaml", ".rewards.yml")


class FixtureError(Exception):
    """A row did not come out as expected; the text shows how."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--rewards-allow-code``."""
    parser.getgroup("rewardkit").addoption(
        "--rewards-allow-code",
        action="store_true",
        help="let rubrics of *.rewards.* files name functions in Python files",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Takes fixture files."""
    if not file_path.name.endswith(_ENDINGS):
        return None
    collector: pytest.Collector = RewardsFile.from_parent(parent, path=file_path)
    return collector


class RewardsFile(pytest.File):
    """A fixture file."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item per row; the file and its rubric are read here, so their errors come once."""
        from rewardkit.errors import RewardKitError
        from rewardkit.testing.check import Checker
        from rewardkit.testing.fixtures import load_fixtures

        try:
            allow_code = bool(self.config.getoption("rewards_allow_code"))
            checker = Checker(load_fixtures(self.path), allow_code=allow_code)
        except RewardKitError as error:
            text = str(error).replace("--allow-code", "--rewards-allow-code")
            raise self.CollectError(f"{self.path.name}: {text}") from None
        for row in checker.fixtures.rows:
            yield RewardsItem.from_parent(self, name=row.id, checker=checker, row=row)


class RewardsItem(pytest.Item):
    """One row of a fixture file."""

    def __init__(self, *, checker: Checker, row: Fixture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checker, self.row = checker, row

    def runtest(self) -> None:
        """Score the row. Raises ``FixtureError``."""
        failure = self.checker.check(self.row)
        if failure is not None:
            raise FixtureError(str(failure))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation alone: the traceback of a wrong score leads nowhere."""
        if isinstance(excinfo.value, FixtureError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line (from 0) and name."""
        return self.path, self.row.line - 1, self.row.id
