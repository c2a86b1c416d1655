"""An audit: every attack on every row, measured against honest completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewardkit._near import meant
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import DataError, UsageError
from rewardkit.rubric import Rubric
from rewardkit.testing.audit.attack import Attack, all_attacks, checked, said, samples_of
from rewardkit.testing.audit.bench import Bench, Case, set_up
from rewardkit.testing.audit.earning import LIMIT_S, Earned, earn
from rewardkit.testing.audit.report import AuditReport, Finding, Kind, Trial
from rewardkit.testing.audit.subject import Subject, as_subject

__all__ = ["MARGIN", "ROWS", "audit"]

ROWS = 8
"""Rows attacked unless said otherwise, spread over the data."""
MARGIN = 0.1
"""An attack must beat the honest wrong answer by this share of what right and wrong differ by."""
NEARLY_ALL = 0.9
"""A void text that earns this share of the way from a refusal to a right answer is paid for form
alone."""

Rows = str | Path | DataConfig | Sequence[Mapping[str, Any]]


def audit(
    what: Subject | str | Path,
    data: Rows,
    *,
    rows: int = ROWS,
    attacks: Iterable[Attack] | None = None,
    families: Iterable[str] = (),
    ignore: Iterable[str] = (),
    templates: Sequence[str] = (),
    margin: float = MARGIN,
    limit_s: float = LIMIT_S,
    allow_code: bool = False,
) -> AuditReport:
    """Attack a reward on rows of data.

    Every attack makes a completion for every row; the reward scores it. An attack raises an alarm
    where it earns more than an honest wrong answer, by a margin, or makes the reward fail, hang,
    crash or abstain.

    Args:
        what: a rubric, verifier, reward or function (TRL's form too), or where it is: a rubric
            file, the name of a verifier, ``module:attribute``, ``file.py:attribute``.
        data: rows with prompts and answers: a file, its configuration, or the rows themselves. The
            columns ``right`` and ``wrong``, where there are any, hold honest completions.
        rows: attack at most so many rows, spread over the data.
        attacks: these instead of all there are.
        families: only attacks of these families.
        ignore: names of attacks, families and kinds that raise no alarm.
        templates: the forms of an honest completion, with ``{answer}``; otherwise they are learned.
        margin: share of the difference between right and wrong by which an attack must win.
        limit_s: seconds per completion for functions without a limit of their own.
        allow_code: let ``what`` name Python code.

    Raises:
        UsageError: for unknown names, or a number that makes no sense.
        DataError: if no row can be used.

    Example:
        >>> report = audit(lambda completion, answer: float(answer in completion),
        ...                [{"prompt": "6 * 7", "answer": "42"}], families=["dumps"])
        >>> report.ok
        False
    """
    name, rubric = as_subject(what, allow_code=allow_code)
    chosen = _chosen(all_attacks() if attacks is None else checked(attacks), families)
    ignored = _ignored(ignore, chosen)
    if not (rows >= 1 and 0 <= margin < 1 and limit_s > 0):
        raise UsageError(f"rows is at least 1, margin in [0, 1), limit_s above 0: got {rows}, "
                         f"{margin}, {limit_s}")  # fmt: skip
    for template in templates:
        if "{answer}" not in template:
            raise UsageError(f"a template holds {{answer}}, got {template!r}")
    bench = set_up(rubric, _spread(_loaded(data), rows), limit_s, templates)
    width = _width(rubric)
    trials: dict[str, list[Trial]] = {attack.name: [] for attack in chosen}
    for case in bench.cases:
        # What hung once would hang on every row.
        fresh = [a for a in chosen if not any(t.kind == "hung" for t in trials[a.name])]
        for attack, trial in _trials(rubric, case, fresh, margin, limit_s, width):
            trials[attack.name].append(trial)
    findings = [Finding(a, tuple(trials[a.name])) for a in chosen if trials[a.name]]
    return _report(name, rubric, bench, findings, ignored)


def _report(
    name: str, rubric: Rubric, bench: Bench, findings: list[Finding], ignored: frozenset[str]
) -> AuditReport:
    return AuditReport(
        subject=name,
        fingerprint=rubric.fingerprint,
        form=bench.form,
        cases=bench.cases,
        left_out=bench.left_out,
        findings=tuple(sorted(findings, key=lambda f: f.rank)),
        ignored=ignored,
    )


def _trials(
    rubric: Rubric, case: Case, attacks: Sequence[Attack], margin: float, limit_s: float,
    width: float,
) -> list[tuple[Attack, Trial]]:  # fmt: skip
    made = samples_of(attacks, case.target)
    honest = [case.wrong[0], *([case.right[0]] if case.right else [])]
    beside = [said(case.target.sample, text) for text in honest]
    earned = earn(rubric, [sample for _, sample in made], limit_s, beside)
    return [
        (attack, _trial(case, attack, sample.text, e, margin, width))
        for (attack, sample), e in zip(made, earned, strict=True)
    ]


def _trial(
    case: Case, attack: Attack, text: str, earned: Earned, margin: float, width: float
) -> Trial:
    case = _in_group(case, earned)
    spread = case.spread(width)
    excess = None if earned.total is None else (earned.total - case.wrong[1]) / spread
    kind = _kind(case, attack, earned, excess, margin)
    right = None if case.right is None else case.right[1]
    return Trial(case.row, text, earned, case.wrong[1], right, excess, kind)


def _in_group(case: Case, earned: Earned) -> Case:
    """The case with what its honest completions earned beside the attack: in a group of others a
    relative reward pays them otherwise."""
    if not earned.beside or earned.beside[0] is None:
        return case
    wrong, right = (case.wrong[0], earned.beside[0]), case.right
    if right is not None and len(earned.beside) > 1 and earned.beside[1] is not None:
        right = (right[0], earned.beside[1])
    return replace(case, wrong=wrong, right=right)


def _kind(
    case: Case, attack: Attack, earned: Earned, excess: float | None, margin: float
) -> Kind | None:
    """What is wrong, or ``None``."""
    if earned.trouble in ("failed", "hung", "crashed"):
        return earned.trouble
    if earned.total is None or excess is None:
        return "abstained"
    if attack.policy:
        return None
    best = case.right[1] if case.right is not None and case.blind else case.wrong[1]
    if excess > margin and earned.total > best + 1e-9:
        return "out-earns"
    if attack.void and case.right is not None and case.right[1] > case.refusal + 1e-9:
        share = (earned.total - case.refusal) / (case.right[1] - case.refusal)
        return "form-alone" if share >= NEARLY_ALL else None
    return None


def _chosen(attacks: Sequence[Attack], families: Iterable[str]) -> list[Attack]:
    wanted = set(families)
    if unknown := wanted - {attack.family for attack in attacks}:
        there = ", ".join(sorted({attack.family for attack in attacks}))
        raise UsageError(f"no attack is of the family {sorted(unknown)[0]!r}; there are: {there}")
    return [attack for attack in attacks if not wanted or attack.family in wanted]


def _ignored(ignore: Iterable[str], attacks: Sequence[Attack]) -> frozenset[str]:
    from rewardkit.testing.audit.report import KINDS

    names = frozenset(ignore)
    known = {*KINDS, *(a.name for a in attacks), *(a.family for a in attacks)}
    if unknown := names - known:
        name = sorted(unknown)[0]
        raise UsageError(
            f"there is no attack, family or kind {name!r} to ignore{meant(name, known)}; "
            f"rewardkit audit --list names them"
        )
    return names


def _loaded(data: Rows) -> Sequence[Mapping[str, Any]]:
    found = load_rows(data) if isinstance(data, str | Path | DataConfig) else data
    if not len(found):
        raise DataError("there is not one row to audit with")
    return found


def _spread(rows: Sequence[Mapping[str, Any]], count: int) -> list[tuple[int, Mapping[str, Any]]]:
    """So many rows, evenly spread, with their numbers."""
    if len(rows) <= count:
        return list(enumerate(rows))
    return [(i * len(rows) // count, rows[i * len(rows) // count]) for i in range(count)]


def _width(rubric: Rubric) -> float:
    span = rubric.range
    return (span[1] - span[0]) or 1.0 if span is not None else 1.0
