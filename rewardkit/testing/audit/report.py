"""What an audit found, as data; the texts for people are in ``text`` and ``page``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rewardkit.testing.audit.attack import Attack
from rewardkit.testing.audit.bench import Case
from rewardkit.testing.audit.earning import Earned
from rewardkit.testing.audit.forms import Form

__all__ = ["KINDS", "AuditReport", "Finding", "Kind", "Trial"]

Kind = Literal["crashed", "hung", "failed", "out-earns", "form-alone", "abstained"]
"""What an attack did: ended the process of the reward; ran past its limit; made it raise or return
what is no finite number; earned more than an honest wrong answer; said nothing and earned nearly
what a right answer does; made it abstain, where honest answers have a score."""

KINDS: tuple[Kind, ...] = get_args(Kind)
_MEANINGS: Mapping[str, str] = {
    "crashed": "ends the process of the reward",
    "hung": "runs past the limit",
    "failed": "makes the reward fail",
    "out-earns": "earns more than an honest wrong answer",
    "form-alone": "says nothing, and is paid like a right answer",
    "abstained": "makes the reward abstain",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack on one row.

    Attributes:
        row: the row's number, from 0.
        completion: the text that did it.
        earned: what it came to.
        wrong: what the honest wrong answer earned.
        right: what the honest right answer earned, where one is known.
        excess: 0 where it earned as a wrong answer, 1 as a right one; ``None`` without a total.
        kind: what is wrong; ``None``: nothing.
    """

    row: int
    completion: str
    earned: Earned
    wrong: float
    right: float | None
    excess: float | None
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One attack on all rows.

    Attributes:
        attack: the attack.
        trials: one for each row on which it made sense.
    """

    attack: Attack
    trials: tuple[Trial, ...]

    @property
    def worst(self) -> Trial:
        """The trial that shows it best."""
        return min(self.trials, key=_rank)

    @property
    def kind(self) -> Kind | None:
        """What is wrong at worst; ``None``: nothing."""
        return self.worst.kind

    @property
    def hits(self) -> int:
        """Rows on which something was wrong."""
        return sum(trial.kind is not None for trial in self.trials)

    @property
    def rank(self) -> tuple[int, float]:
        """Worst first."""
        return _rank(self.worst)

    @property
    def meaning(self) -> str:
        """What is wrong, in words."""
        return _MEANINGS[self.kind] if self.kind else ""


def _rank(trial: Trial) -> tuple[int, float]:
    order = KINDS.index(trial.kind) if trial.kind else len(KINDS)
    return order, -(trial.excess if trial.excess is not None else 0.0)


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Attributes:
        subject: what was audited.
        fingerprint: of the rubric.
        form: the form in which it reads answers.
        cases: the rows, with their honest completions.
        left_out: why other rows could not be used, by their number.
        findings: every attack, worst first.
        ignored: names of attacks, families and kinds that raise no alarm.
    """

    subject: str
    fingerprint: str
    form: Form
    cases: tuple[Case, ...]
    left_out: Mapping[int, str]
    findings: tuple[Finding, ...]
    ignored: frozenset[str] = frozenset()

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The attacks that got through and are not ignored, worst first."""
        return tuple(f for f in self.findings if f.kind and not self._is_ignored(f))

    @property
    def ok(self) -> bool:
        """True if there is no alarm."""
        return not self.alarms

    @property
    def blind(self) -> bool:
        """True if a wrong answer earns as much as a right one on every row: the reward judges the
        form, or the form in which it reads answers was not found."""
        return all(case.blind for case in self.cases)

    @property
    def right(self) -> float | None:
        """What honest right answers earned, on average; ``None`` if none is known."""
        found = [case.right[1] for case in self.cases if case.right is not None]
        return sum(found) / len(found) if found else None

    @property
    def wrong(self) -> float:
        """What honest wrong answers earned, on average."""
        return sum(case.wrong[1] for case in self.cases) / len(self.cases)

    @property
    def for_nothing(self) -> float | None:
        """The most that a text without any answer earned, as a share of the way from the least
        that honest completions earn to a right answer; ``None`` where that has no meaning."""
        shares = [
            (t.earned.total - low) / (t.right - low)
            for f in self.findings if f.attack.void
            for t in f.trials if t.earned.total is not None and t.right is not None
            if t.right > (low := min(t.wrong, _refusal(self.cases, t.row))) + 1e-9
        ]  # fmt: skip
        return max(shares, default=None)

    def _is_ignored(self, finding: Finding) -> bool:
        names = (finding.attack.name, finding.attack.family, finding.kind)
        return any(name in self.ignored for name in names)

    def __str__(self) -> str:
        """The report as text."""
        from rewardkit.testing.audit.text import text

        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, every attack with its worst completion."""
        return {
            "subject": self.subject,
            "fingerprint": self.fingerprint,
            "ok": self.ok,
            "form": self.form.template,
            "blind": self.blind,
            "right": self.right,
            "wrong": self.wrong,
            "rows": [_case_dict(case) for case in self.cases],
            "left_out": {str(row): why for row, why in self.left_out.items()},
            "attacks": [_finding_dict(f, self._is_ignored(f)) for f in self.findings],
        }

    def write_html(self, path: str | Path) -> None:
        """Write one page that needs nothing else. Raises ``UsageError``."""
        from rewardkit.testing.audit.page import write_html

        write_html(self, path)


def _refusal(cases: tuple[Case, ...], row: int) -> float:
    return next(case.refusal for case in cases if case.row == row)


def _case_dict(case: Case) -> dict[str, Any]:
    right = None if case.right is None else {"completion": case.right[0], "total": case.right[1]}
    wrong = {"completion": case.wrong[0], "total": case.wrong[1]}
    return {"row": case.row, "right": right, "wrong": wrong, "refusal": case.refusal}


def _finding_dict(finding: Finding, ignored: bool) -> dict[str, Any]:
    attack, worst = finding.attack, finding.worst
    return {
        "attack": attack.name,
        "family": attack.family,
        "about": attack.about,
        "policy": attack.policy,
        "kind": finding.kind,
        "ignored": ignored,
        "rows": len(finding.trials),
        "hits": finding.hits,
        "worst": {
            "row": worst.row,
            "completion": worst.completion,
            "total": worst.earned.total,
            "wrong": worst.wrong,
            "right": worst.right,
            "excess": worst.excess,
            "why": worst.earned.why,
        },
    }
