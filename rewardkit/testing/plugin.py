"""pytest plugin: ``*.rewards.jsonl`` (``.yaml``, ``.yml``) files are test files, rows are tests.

In tests of one's own: the fixture ``rubric``, and ``reward_row`` for rows that the marker
``rewards`` names. pytest imports this module in every project of an environment, so it imports
nothing of rewardkit before any of these is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric
    from rewardkit.testing.check import Checker
    from rewardkit.testing.failure import Failure
    from rewardkit.testing.fixtures import Fixtures
    from rewardkit.testing.row import Fixture

__all__ = ["FixtureError", "RewardRow", "RewardsFile", "RewardsItem"]

_ENDINGS = (".rewards.jsonl", ".rewards.yaml", ".rewards.yml")
_STALE = "rewards_accepted_under"
_RUBRICS = ("rubric.yaml", "rubric.yml", "rubric.json")


class FixtureError(AssertionError):
    """A row did not come out as expected; the text shows how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known."""
    config.addinivalue_line(
        "markers", "rewards(*rows): fixtures, or the paths of fixture files, for `reward_row`"
    )
    config.addinivalue_line("markers", "rubric(path): what the fixture `rubric` loads")


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
            if row.is_test:
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
            raise FixtureError(failure)
        if self.checker.stale(self.row) and self.row.recorded:
            # By way of the report, which also comes from a process of xdist, and goes into JUnit.
            self.user_properties.append((_STALE, self.row.recorded.rubric))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation alone: the traceback of a wrong score leads nowhere."""
        if isinstance(excinfo.value, FixtureError):
            return _Shown(excinfo.value.failure, self.path, self.row.line)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line (from 0) and name."""
        return self.path, self.row.line - 1, self.row.id


class _Shown(TerminalRepr):
    """A failure in colours, where the terminal has them."""

    def __init__(self, failure: Failure, path: Path, line: int) -> None:
        self._lines = list(failure.lines())
        self.reprcrash = ReprFileLocation(str(path), line, failure.message)

    def toterminal(self, tw: TerminalWriter) -> None:
        for line, sign in self._lines:
            tw.line(line, green=sign == "-", red=sign == "+")

    def __str__(self) -> str:
        return "\n".join(line for line, _ in self._lines)


class RewardRow:
    """One row of those that ``@pytest.mark.rewards(...)`` names."""

    def __init__(self, fixtures: Fixtures, row: Fixture) -> None:
        self._fixtures, self.row = fixtures, row

    def check(self, rubric: Rubric) -> None:
        """Score it, and what it is ordered against. Raises ``FixtureError``."""
        from rewardkit.testing.check import Checker

        __tracebackhide__ = True
        failure = Checker(self._fixtures, rubric).check(self.row)
        if failure is not None:
            raise FixtureError(failure)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``reward_row`` runs once for each row that its marker names."""
    if "reward_row" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("rewards")
    if marker is None or not marker.args:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid} takes reward_row: say which rows, as in "
            f'@pytest.mark.rewards(fixture("right", ...), ...) or '
            f'@pytest.mark.rewards("sums.rewards.jsonl")'
        )
    rows = list(_rows_of(marker.args, metafunc.definition.path.parent))
    metafunc.parametrize("reward_row", rows, ids=[reward.row.id for reward in rows])


def _rows_of(named: tuple[Any, ...], folder: Path) -> Iterator[RewardRow]:
    from rewardkit.errors import RewardKitError
    from rewardkit.testing.check import made_of
    from rewardkit.testing.fixtures import load_fixtures

    try:
        paths = [each for each in named if isinstance(each, str | Path)]
        files = [load_fixtures(folder / path) for path in paths]
        own = [each for each in named if not isinstance(each, str | Path)]
        for fixtures in [*files, *([made_of(own)] if own else [])]:
            yield from (RewardRow(fixtures, row) for row in fixtures.rows if row.is_test)
    except RewardKitError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def rubric(request: pytest.FixtureRequest) -> Rubric:
    """The rubric that ``@pytest.mark.rubric("path.yaml")`` names, from the test file's folder;
    without the marker, the ``rubric.yaml`` beside the test file."""
    from rewardkit.rubric import Rubric

    folder = request.path.parent
    marker = request.node.get_closest_marker("rubric")
    names = marker.args if marker else [name for name in _RUBRICS if (folder / name).exists()]
    if not names:
        raise pytest.UsageError(
            f"no rubric for {request.node.nodeid}: mark the test with "
            f'@pytest.mark.rubric("path.yaml"), put a rubric.yaml beside {request.path.name}, or '
            f"define a fixture called rubric"
        )
    return Rubric.load(
        folder / names[0], allow_code=bool(request.config.getoption("rewards_allow_code"))
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how many recorded rows were accepted under another rubric than the one that is there."""
    stale = [
        report
        for report in terminalreporter.getreports("passed")
        if any(name == _STALE for name, _ in report.user_properties)
    ]
    if stale:
        files = ", ".join(sorted({report.nodeid.partition("::")[0] for report in stale}))
        terminalreporter.section("rewards")
        terminalreporter.line(
            f"{len(stale)} recorded rows come out as accepted, but were accepted under another "
            f"rubric ({files}): rewardkit record --accept FILE"
        )
