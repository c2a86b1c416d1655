"""What can be seen wrong with a rubric before anything is scored, from the ranges of its parts.

A *fault* is warned of when a rubric is read from a spec and before its first score; a *note* is
only told by ``rewardkit lint``. Each has a name, by which a rubric silences it::

    rubric = Rubric(...).silence("form-outweighs-answer")

What a part is paid for, the answer or the form, it declares: :attr:`rewardkit.Verifier.aspect`.
What reads no column of the row judges the form unless it says otherwise; a function that reads
none, or whatever reads the prompt alone, may be a judge of its own, so nothing is said of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rewardkit._launch import launched_rank
from rewardkit.errors import RewardKitWarning
from rewardkit.rewards import Reward, VerifierReward

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["LINTS", "Lint", "LintWarning", "lint", "warn"]

Level = Literal["fault", "note"]

LINTS: Mapping[str, tuple[Level, str]] = {
    "form-outweighs-answer": ("fault", "a wrong answer in the form out-earns a right one out of "
                                       "it, and no gate wants that"),
    "right-pays-less": ("fault", "a right answer earns less than a wrong one"),
    "constant-part": ("fault", "a part that counts earns the same whatever is written"),
    "missing-pays": ("fault", "no answer at all earns more than a wrong one"),
    "unscorable-pays": ("fault", "what cannot be judged earns as much as the best"),
    "gate-always-open": ("fault", "a gate that is never closed"),
    "cap-without-effect": ("fault", "a cap that no total reaches"),
    "constant-on-data": ("fault", "on data: a part that counts earned the same on every row"),
    "gate-never-opened": ("fault", "on data: a gate was closed on every row"),
    "metric-never-logged": ("fault", "on data: a metric had no value of its own on any row"),
    "never-judged": ("fault", "on data: a part could not be judged on any row"),
    "no-total": ("fault", "on data: no row has a total"),
    "same-total": ("fault", "on data: every row has the same total, so nothing can be learned"),
    "form-alone": ("note", "the form alone earns a share of the greatest total"),
    "gate-on-form": ("note", "a wrong answer in the form out-earns a right one that a gate shuts "
                             "out"),
    "metric-gated": ("note", "a metric behind a gate is logged as its least value where that is "
                             "closed"),
    "negligible-part": ("note", "a part moves the total by less than a hundredth of its range"),
    "range-unknown": ("note", "the range of a part is not known, so less can be said"),
}  # fmt: skip
"""Every lint: whether it is a fault or a note, and what it means. Those on data are told by
``rewardkit lint --data`` alone."""


@dataclass(frozen=True, slots=True)
class Lint:
    """One thing that is wrong.

    Attributes:
        name: one of :data:`LINTS`.
        level: ``"fault"`` or ``"note"``.
        message: what it is, with its figures.
    """

    name: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class LintWarning(RewardKitWarning):
    """A rubric that is legal and probably not meant.

    Attributes:
        name: the name by which ``Rubric.silence`` silences it.
    """

    def __init__(self, name: str, message: str) -> None:
        self.name, self.message = name, message
        super().__init__(f"{name}: {message} (if it is meant: .silence({name!r}))")

    def __reduce__(self) -> tuple[type[LintWarning], tuple[str, str]]:
        return type(self), (self.name, self.message)


def lint(rubric: Rubric) -> tuple[Lint, ...]:
    """Everything wrong with a rubric that is not silenced, faults first.

    Example:
        >>> from rewardkit import Rubric
        >>> from rewardkit.verifiers import NumberVerifier, TagFormat
        >>> rubric = Rubric(
        ...     form=TagFormat("<answer>...</answer>").reward(correct=3.0),
        ...     answer=NumberVerifier(extract="answer").reward(),
        ... )
        >>> [found.name for found in lint(rubric)]
        ['form-outweighs-answer', 'form-alone']
    """
    found = [
        Lint(name, LINTS[name][0], message)
        for name, message in _all(rubric)
        if name not in rubric.silenced
    ]
    return tuple(sorted(found, key=lambda one: one.level != "fault"))


def warn(rubric: Rubric) -> None:
    """Warn of the faults of a rubric; of several processes, which have the same one, the first."""
    if launched_rank():
        return
    for one in lint(rubric):
        if one.level == "fault":
            warnings.warn(LintWarning(one.name, one.message), stacklevel=3)


def _all(rubric: Rubric) -> Iterator[tuple[str, str]]:
    openers = {gate.on for gate in rubric.gates}
    for name, part in rubric.parts.items():
        if part.weight:
            yield from _of_part(name, part, name in openers)
        elif any(name in gate.gated for gate in rubric.gates):
            yield "metric-gated", f"the metric {name!r} is not run where its gate is closed"
    yield from _of_gates(rubric)
    yield from _of_form(rubric)


def _of_part(name: str, part: Reward, opens: bool) -> Iterator[tuple[str, str]]:
    span = part.range
    if span is None:
        yield "range-unknown", f"{name!r} declares no bounds"
        return
    if span[0] == span[1]:
        if not opens:  # what opens a gate need not pay
            yield "constant-part", f"{name!r} always earns {span[0]:g}"
        return
    best = span[1] if part.weight > 0 else span[0]
    stated = part.unscorable
    if isinstance(stated, int | float) and _sign(part) * (stated - best) >= 0:
        yield (
            "unscorable-pays",
            (f"{name!r} counts as {stated:g} where it cannot be judged, and {best:g} is the best"),
        )
    if isinstance(part, VerifierReward):
        yield from _of_verdicts(name, part)


def _of_verdicts(name: str, part: VerifierReward) -> Iterator[tuple[str, str]]:
    if part.aspect != "answer":
        return
    if _sign(part) * (part.correct - part.incorrect) < 0:
        paid = f"{part.weight * part.correct:g}, a wrong one {part.weight * part.incorrect:g}"
        yield "right-pays-less", f"a right answer earns {paid} in {name!r}"
    missing = part.values.get("missing", part.incorrect)
    wrong = [value for label, value in part.values.items() if label not in _RIGHT_LABELS]
    least = min([part.incorrect, *wrong]) if _sign(part) > 0 else max([part.incorrect, *wrong])
    if _sign(part) * (missing - least) > 0 and "missing" in part.values:
        yield (
            "missing-pays",
            f"a missing answer earns {missing:g} in {name!r}, a wrong one {least:g}",
        )


_RIGHT_LABELS = ("exact", "equal", "stripped", "missing")


def _of_gates(rubric: Rubric) -> Iterator[tuple[str, str]]:
    for gate in rubric.gates:
        span = rubric.parts[gate.on].range
        if gate.at_least is not None and span is not None and gate.at_least <= span[0]:
            yield (
                "gate-always-open",
                (f"the gate on {gate.on!r} opens from {gate.at_least:g}, its least value"),
            )
        total = rubric.range
        if gate.cap is not None and total is not None and gate.cap >= total[1]:
            yield (
                "cap-without-effect",
                (
                    f"the cap of {gate.cap:g} by {gate.on!r} is not below the greatest total, "
                    f"{total[1]:g}"
                ),
            )


def _of_form(rubric: Rubric) -> Iterator[tuple[str, str]]:
    answers = [n for n, p in rubric.parts.items() if p.weight and p.aspect == "answer"]
    forms = [n for n, p in rubric.parts.items() if p.weight and p.aspect == "form"]
    # What is earned only behind an answer is not earned by form alone.
    forms = [n for n in forms if not any(n in g.gated and g.on in answers for g in rubric.gates)]
    if not answers:
        return
    shut = [n for n in answers if any(n in g.gated and g.on in forms for g in rubric.gates)]
    capped = any(g.cap is not None and g.on in (*forms, *answers) for g in rubric.gates)
    answer, form = _sum(rubric, answers), _sum(rubric, forms)
    if form > 0 and shut:
        yield (
            "gate-on-form",
            (f"a right answer out of the form is shut out, a wrong one in it earns {form:g}"),
        )
    elif form > 0 and form >= answer and not capped:
        yield (
            "form-outweighs-answer",
            (
                f"the form ({_names(forms)}) moves the total by {form:g}, the answer "
                f"({_names(answers)}) by {answer:g}: gate or weigh down the form"
            ),
        )
    if form > 0:
        yield "form-alone", f"the form alone earns {form:g} of {form + answer:g}"
    whole = _sum(rubric, rubric.parts)
    for name in rubric.parts:
        if 0 < _sum(rubric, [name]) < whole / 100:
            yield "negligible-part", f"{name!r} moves the total by less than a hundredth"


def _sum(rubric: Rubric, names: Iterable[str]) -> float:
    """By how much these parts together move the total upwards."""
    return sum(_moves(rubric.parts[name]) for name in names)


def _moves(part: Reward) -> float:
    span = part.range
    if span is None:
        return 0.0
    low, high = sorted((part.weight * span[0], part.weight * span[1]))
    # What only takes off (a length penalty) can be avoided, and not farmed.
    return high - low if high > 0 or part.aspect == "answer" else 0.0


def _sign(part: Reward) -> int:
    return 1 if part.weight >= 0 else -1


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
