"""Honest completions of every row: what a right answer earns, what a wrong one does, in which form.

The form is learned once, over some rows: the one in which right answers earn most. Rows may bring
their own completions in the columns ``right`` and ``wrong``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewardkit.errors import DataError, UsageError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.testing.audit.attack import Target, said
from rewardkit.testing.audit.earning import Earned, earn
from rewardkit.testing.audit.forms import Form, forms_for
from rewardkit.testing.audit.honest import (
    code_golds,
    entry_of,
    golds,
    is_code_row,
    wrong_answers,
    wrong_programs,
)

__all__ = ["Bench", "Case", "set_up"]

LEARN_FROM = 4
"""Rows by which the form is learned."""
NEARLY = 0.25
"""A wrong answer counts as one if it earns less than the right one by this share of what the worst
wrong one loses: under a reward of nearness, one that is almost right says nothing."""
REFUSAL = "I do not know."


@dataclass(frozen=True, slots=True)
class Case:
    """One row under attack.

    Attributes:
        row: its number, from 0.
        target: what attacks are given.
        right: an honest right completion and what it earned; ``None`` if none is known.
        wrong: the honest wrong completion that earned most, and what.
        refusal: what a refusal earned.
    """

    row: int
    target: Target
    right: tuple[str, float] | None
    wrong: tuple[str, float]
    refusal: float

    @property
    def blind(self) -> bool:
        """True if a wrong answer earns no less than a right one."""
        return self.right is None or self.right[1] <= self.wrong[1] + 1e-9

    def spread(self, width: float) -> float:
        """By how much totals differ that mean something: right from wrong, else right from a
        refusal, else the width of the rubric's range."""
        if self.right is not None and not self.blind:
            return self.right[1] - self.wrong[1]
        best = max(self.wrong[1], self.right[1] if self.right else self.wrong[1])
        return best - self.refusal if best > self.refusal + 1e-9 else width


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that attacks are measured by.

    Attributes:
        form: the form that the reward reads.
        cases: the rows under attack.
        left_out: why other rows are not, by their number.
    """

    form: Form
    cases: tuple[Case, ...]
    left_out: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Row:
    """A row before anything was scored."""

    number: int
    sample: Sample
    golds: tuple[str, ...]
    right: str | None
    wrong: str | None


def set_up(
    rubric: Rubric, rows: Sequence[tuple[int, Mapping[str, Any]]], limit_s: float,
    templates: Sequence[str] = (),
) -> Bench:  # fmt: skip
    """Learn the form and measure the honest completions.

    Args:
        rubric: what is attacked.
        rows: rows with their numbers.
        limit_s: see :func:`~.earning.earn`.
        templates: forms to use instead of the known ones, with ``{answer}``.

    Raises:
        DataError: for a row that is no sample or lacks a column, or if none can be used.
    """
    chat = any(not isinstance(row.get("prompt") or "", str) for _, row in rows)
    try:
        return _set_up(rubric, rows, limit_s, templates, chat)
    except DataError:
        if chat:
            raise
        try:  # a function that takes chats alone, as many of TRL's do
            return _set_up(rubric, rows, limit_s, templates, True)
        except DataError:
            pass
        raise


def _set_up(
    rubric: Rubric, rows: Sequence[tuple[int, Mapping[str, Any]]], limit_s: float,
    templates: Sequence[str], chat: bool,
) -> Bench:  # fmt: skip
    """:func:`set_up` with completions as text, or as chats."""
    code = any(is_code_row(rubric, _sample(rubric, row, n, chat)) for n, row in rows)
    read = [_read(rubric, row, n, code, chat) for n, row in rows]
    forms = tuple(Form("given", t) for t in templates) or forms_for(rubric, code=code)
    form = _learned(rubric, read, forms, limit_s)
    cases: list[Case] = []
    left_out: dict[int, str] = {}
    for row in read:
        found = _case(rubric, row, form, read, code, limit_s)
        if isinstance(found, Case):
            cases.append(found)
        else:
            left_out[row.number] = found
    if not cases:
        why = next(iter(left_out.values()), "there are none")
        raise DataError(f"no row can be used: {why}")
    return Bench(form, tuple(cases), left_out)


def _sample(rubric: Rubric, row: Mapping[str, Any], number: int, chat: bool) -> Sample:
    try:
        rubric.check_columns(row)
        return Sample.from_row(row, completion=[] if chat else "")
    except UsageError as error:
        raise DataError(f"row {number}: {error}") from None


def _read(rubric: Rubric, row: Mapping[str, Any], number: int, code: bool, chat: bool) -> _Row:
    sample = _sample(rubric, row, number, chat)
    found = code_golds(sample) if code else golds(sample)
    own = [row.get(name) if isinstance(row.get(name), str) else None for name in ("right", "wrong")]
    return _Row(number, sample, found, *own)


def _learned(rubric: Rubric, rows: Sequence[_Row], forms: Sequence[Form], limit_s: float) -> Form:
    """The form in which right answers earn most, the first of equals."""
    known = [row for row in rows if row.golds][:LEARN_FROM]
    if not known or len(forms) == 1:
        return forms[0]
    best, most = forms[0], float("-inf")
    for form in forms:
        earned = [_best_gold(rubric, row, form, limit_s)[1].total for row in known]
        total = sum(e for e in earned if e is not None)
        if any(e is not None for e in earned) and total > most + 1e-9:
            best, most = form, total
    return best


def _best_gold(rubric: Rubric, row: _Row, form: Form, limit_s: float) -> tuple[str, Earned]:
    """The text of the gold that earns most in a form."""
    samples = [said(row.sample, form.fill(gold)) for gold in row.golds]
    earned = earn(rubric, samples, limit_s, samples)
    pairs = list(zip(row.golds, earned, strict=True))
    return max(pairs, key=lambda pair: float("-inf") if pair[1].total is None else pair[1].total)


def _case(
    rubric: Rubric, row: _Row, form: Form, rows: Sequence[_Row], code: bool, limit_s: float
) -> Case | str:
    """The row with its honest completions, or why it cannot be used."""
    gold, right = "", None
    if row.golds:
        gold, earned = _best_gold(rubric, row, form, limit_s)
        right = _paid(form.fill(gold), earned)
        if right is None and row.right is None:
            return f"a right answer has no score: {earned.why}"
    if row.right is not None:
        right = _paid(row.right, _earn_one(rubric, row, row.right, limit_s)) or right
    others = tuple(r.golds[0] for r in rows if r.golds and r is not row)
    entry = entry_of(row.sample, rubric, gold) if code else None
    answers = (
        wrong_programs(entry) if code
        else wrong_answers(gold or "42", others, row.sample.prompt_text)
    )  # fmt: skip
    wrong = [(answer, form.fill(answer)) for answer in answers]
    if row.wrong is not None:
        wrong.insert(0, (answers[0], row.wrong))
    earned_all = [_earn_one(rubric, row, text, limit_s) for _, text in wrong]
    paid = [(a, t, e.total) for (a, t), e in zip(wrong, earned_all, strict=True)
            if e.total is not None]  # fmt: skip
    if not paid:
        return f"a wrong answer has no score: {earned_all[0].why}"
    answer, text, total = _baseline(right, paid)
    refused = _earn_one(rubric, row, REFUSAL, limit_s).total
    target = Target(row.sample, gold, answer, form, others, entry, code)
    return Case(row.number, target, right, (text, total), total if refused is None else refused)


def _earn_one(rubric: Rubric, row: _Row, text: str, limit_s: float) -> Earned:
    sample = said(row.sample, text)
    return earn(rubric, [sample], limit_s, [sample])[0]


def _paid(text: str, earned: Earned) -> tuple[str, float] | None:
    return None if earned.total is None else (text, earned.total)


def _baseline(
    right: tuple[str, float] | None, wrong: list[tuple[str, str, float]]
) -> tuple[str, str, float]:
    """The wrong answer that earns most, of those that are clearly wrong; the first of equals."""
    least = min(total for _, _, total in wrong)
    if right is not None and right[1] > least:
        most = right[1] - NEARLY * (right[1] - least)
        wrong = [one for one in wrong if one[2] <= most]
    return max(wrong, key=lambda one: one[2])
