"""Rows of well-known datasets, read as they are.

Each format names the column that holds the tests and reads a row into a :class:`Suite`. Formats
only: no row of theirs stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from rewardkit.verifiers.code.formats import apps, codeforces, humaneval, livecodebench, mbpp
from rewardkit.verifiers.code.suite import Suite

__all__ = ["FORMATS", "Format", "RowFormat"]

Format = Literal["humaneval", "mbpp", "apps", "livecodebench", "codeforces"]
"""Layouts of rows.

- ``"humaneval"``: ``test`` defines ``check(candidate)``, ``entry_point`` names the function; the
  code may be the whole function or the rest of the ``prompt``.
- ``"mbpp"``: ``test_list`` holds asserts; ``test_setup_code``, ``test_imports`` and ``code`` (whose
  names are those that the tests mean) are used if they are there.
- ``"apps"`` (TACO, PRIME): ``input_output`` holds ``inputs``, ``outputs`` and perhaps ``fn_name``.
- ``"livecodebench"``: ``public_test_cases`` and ``private_test_cases``, compressed or not;
  ``metadata`` names the function.
- ``"codeforces"`` (open-r1): ``official_tests`` and, where there is one, ``generated_checker``.
"""


class RowFormat(NamedTuple):
    """A layout of rows.

    Attributes:
        column: where the tests are.
        needs: further columns without which nothing can be judged.
        read: the suite of a row, given its tests; raises ``CasesError``.
    """

    column: str
    needs: tuple[str, ...]
    read: Callable[[Any, Mapping[str, Any]], Suite]


FORMATS: dict[str, RowFormat] = {
    "humaneval": RowFormat("test", ("entry_point",), humaneval.read),
    "mbpp": RowFormat("test_list", (), mbpp.read),
    "apps": RowFormat("input_output", (), apps.read),
    "livecodebench": RowFormat("private_test_cases", (), livecodebench.read),
    "codeforces": RowFormat("official_tests", (), codeforces.read),
}
