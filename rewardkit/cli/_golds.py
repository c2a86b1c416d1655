"""Which rows a rubric's verifiers cannot judge, whatever is written in answer; and the report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewardkit._escape import one_line
from rewardkit.errors import DataError, MissingColumnError, UsageError, brief
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier

__all__ = ["GoldReport", "Problem", "Source", "problems_in"]

_NO_GOLD = frozenset({"prompt", "completion"})


@dataclass(frozen=True, slots=True)
class Source:
    """Rows under a name: that of the file, or the run's key (``data``, ``eval_data``)."""

    name: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that a part cannot judge, whatever the completion says."""

    source: str
    row: int
    part: str
    gold: Mapping[str, Any]
    verdict: Verdict


def problems_in(source: Source, verifiers: Mapping[str, Verifier]) -> Iterator[Problem]:
    """Every row and part that do not go together, row by row.

    Raises:
        DataError: for a row that lacks a column, or is no sample.
    """
    for index, row in enumerate(source.rows):
        sample = _sample(source, index, row, verifiers)
        for part, verifier in verifiers.items():
            verdict = verifier.check_gold(sample)
            if verdict is not None:
                names = verifier.columns - _NO_GOLD or {"answer"}
                gold = {name: sample.get(name, wanted_by=part) for name in sorted(names)}
                yield Problem(source.name, index, part, gold, verdict)


def _sample(
    source: Source, index: int, row: Mapping[str, Any], verifiers: Mapping[str, Verifier]
) -> Sample:
    where = f"{source.name}: row {index}"
    for part, verifier in verifiers.items():
        for column in sorted(verifier.columns - row.keys() - {"completion"}):
            raise DataError(str(MissingColumnError(column, row, f"{where}: part {part!r}")))
    try:
        return Sample.from_row(row, completion="")
    except UsageError as error:
        raise DataError(f"{where}: {error}") from None


class GoldReport:
    """What was found, for people and for programs."""

    def __init__(
        self,
        rubric: Rubric,
        verifiers: Mapping[str, Verifier],
        sources: Sequence[Source],
        problems: Sequence[Problem],
    ) -> None:
        self._sources, self._problems = sources, problems
        self._unasked = _unasked(rubric, verifiers)
        self._rows = sum(len(source.rows) for source in sources)
        self._bad = len({(problem.source, problem.row) for problem in problems})
        self._reasons = Counter(
            (p.part, p.verdict.fault or "verifier", _kind(p.verdict.reason)) for p in problems
        )

    def data(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "rows": self._rows,
            "cannot_be_judged": self._bad,
            "reasons": [
                {"part": part, "fault": fault, "reason": reason, "rows": count}
                for (part, fault, reason), count in self._reasons.most_common()
            ],
            "problems": [
                {
                    "source": p.source,
                    "row": p.row,
                    "part": p.part,
                    "gold": dict(p.gold),
                    "fault": p.verdict.fault,
                    "reason": p.verdict.reason,
                }
                for p in self._problems
            ],
            "not_asked": self._unasked,
        }

    def text(self, most: int) -> str:
        """The rows, the counts by reason, and what was not asked."""
        return "\n".join([*self._listed(max(0, most)), *self._summary()])

    def _listed(self, most: int) -> Iterator[str]:
        several = len(self._sources) > 1
        for p in self._problems[:most]:
            source = f"{one_line(p.source)}: " if several else ""
            reason = one_line(p.verdict.reason, 160)
            yield f"{source}row {p.row}: {one_line(p.part)}: {_shown(p.gold)}: {reason}"
        if len(self._problems) > most:
            yield f"... and {len(self._problems) - most} more (--show N, or --json for all)"
        if self._problems:
            yield ""

    def _summary(self) -> Iterator[str]:
        if not self._bad:
            yield f"{self._rows} rows, every gold can be judged"
        else:
            yield f"{self._rows} rows (counted from 0), {self._bad} cannot be judged:"
        for (part, fault, reason), count in self._reasons.most_common():
            yield f"  {count} × {one_line(part)} ({fault}): {one_line(reason, 160)}"
        for part, why in self._unasked.items():
            yield f"not asked: {one_line(part)} ({why})"


def _unasked(rubric: Rubric, verifiers: Mapping[str, Verifier]) -> dict[str, str]:
    """Parts that cannot tell, and why."""
    found = {name: "it is no verifier" for name in rubric.parts if name not in verifiers}
    for name, verifier in verifiers.items():
        if not verifier.checks_gold:
            found[name] = "it may ask a service, and has no check_gold of its own"
    return found


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def _kind(reason: str) -> str:
    """A reason without the text that it quotes, so that like ones are counted together."""
    return _QUOTED.sub("…", reason)


def _shown(gold: Mapping[str, Any]) -> str:
    """The gold on one line: the answer alone, or every column by its name."""
    if gold.keys() == {"answer"}:
        return one_line(brief(gold["answer"]))
    return ", ".join(f"{one_line(name)}={one_line(brief(value))}" for name, value in gold.items())
