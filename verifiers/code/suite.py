"""All that judging one piece of code needs to know of its tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rewardkit.verifiers.code.cases import Case, Given, Kind, check_cases
from rewardkit.verifiers.code.compare import Compare
from rewardkit.verifiers.code.errors import CasesError
from rewardkit.verifiers.code.script import Plan, Script, plan_script

__all__ = ["Suite", "check_suite", "suite_of"]


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one row.

    Attributes:
        kind: how they are run.
        cases: for ``"call"`` and ``"stdin"``.
        script: for ``"assert"``.
        entry: name of the function that is called.
        own: names that are the judged code's even where Python has something of that name.
        prelude: code that runs before the judged code.
        continues: the judged code may be the rest of the prelude.
        compare: the rule of the row's format, where the verifier has none of its own.
        checker: code that decides instead; see ``CodeVerifier``.
    """

    kind: Kind
    cases: tuple[Case, ...] = ()
    script: Script | None = None
    entry: str | None = None
    own: tuple[str, ...] = ()
    prelude: str = ""
    continues: bool = False
    compare: Compare = "auto"
    checker: str = ""

    def first(self, most: int | None) -> Suite:
        """The same with only the first tests. Scripts stay whole."""
        return self if most is None else replace(self, cases=self.cases[:most])

    def with_checker(self, checker: str) -> Suite:
        """The same, decided by other code."""
        if self.kind == "assert":
            raise CasesError("a checker is for tests that are called or read stdin")
        return replace(self, checker=checker)

    @property
    def plan(self) -> Plan:
        """The script made ready. Raises ``CasesError``."""
        if self.script is None:
            raise CasesError("these tests are no script")
        return plan_script(self.script, self.entry, self.own, self.prelude)


def suite_of(given: Given, kind: Kind, entry: str | None) -> Suite:
    """A suite of tests that were read. Raises ``CasesError`` if they are of another kind."""
    if kind == "assert":
        if not isinstance(given, Script):
            raise CasesError('kind="assert" needs tests that are Python text, or a list of texts')
        return Suite(kind, script=given, entry=entry)
    if isinstance(given, Script):
        raise CasesError(
            f"tests are text that is no JSON (kind={kind!r} needs [[given, expected], ...]; Python "
            f'text is for kind="assert"): {given.text!r:.60}'
        )
    return Suite(kind, given, entry=entry)


def check_suite(suite: Suite, how: Compare, most: int) -> None:
    """Raises ``CasesError`` for tests that do not fit their kind, or that nobody could pass.

    Args:
        suite: the tests.
        how: how results are compared.
        most: bytes that the judged code may write.
    """
    if suite.kind == "assert":
        _ = suite.plan
    else:
        check_cases(suite.cases, suite.kind, how, most)
