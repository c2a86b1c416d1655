"""A row that did not come out as expected, as text: what was expected and got, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rewardkit._escape import one_line
from rewardkit.errors import brief
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score
from rewardkit.testing.expect import Mismatch, outcome

__all__ = ["Failure", "Sign", "outcomes"]

Sign = Literal[" ", "-", "+"]

_DETAILS = ("label", "fault", "text", "span", "credit", "rule", "reason")

_SHOWN = 160
"""Characters of a completion or an answer that a failure shows."""


@dataclass(frozen=True)
class Failure:
    """A row that did not come out as expected, or that nobody has reviewed.

    Attributes:
        id: the row's name.
        where: file and line.
        problems: each expectation that was not met; never empty.
        scores: the row's score, and those of the rows it is ordered against, by id; empty where
            scoring itself failed.
        sample: what was judged.
        unreviewed: the score is as it was recorded, and nobody has accepted it yet.
    """

    id: str
    where: str
    problems: tuple[Mismatch, ...]
    scores: Mapping[str, Score] = field(default_factory=dict)
    sample: Sample | None = None
    unreviewed: bool = False

    @property
    def message(self) -> str:
        """The first problem on one line, as a summary shows it."""
        return f"{self.id}: {self.problems[0]}"

    def __str__(self) -> str:
        """What was expected, what was got, and how each score came about."""
        return "\n".join(line for line, _ in self.lines())

    def lines(self) -> Iterator[tuple[str, Sign]]:
        """The text, with what each line tells: ``"-"`` expected, ``"+"`` got, ``" "`` neither."""
        yield self.message, " "
        yield from ((f"  {problem}", " ") for problem in self.problems[1:])
        yield f"  at {self.where}", " "
        if self.sample is not None and self.id in self.scores:
            yield "", " "
            yield from ((line, " ") for line in _judged(self.sample))
            yield "", " "
            yield from _by_part(self.scores[self.id], self.problems)
            yield "", " "
        for name, score in self.scores.items():
            yield f"  score of {name!r}:", " "
            yield from ((f"    {line}", " ") for line in score.explain().splitlines())


def outcomes(score: Score) -> str:
    """A score on one line: the total, and how each part came out."""
    told = [f"total {_value(score.total)}"]
    told += [f"{one_line(part.name)} {_came_out(part)}" for part in score]
    return ", ".join(told)


def _judged(sample: Sample) -> Iterator[str]:
    shown = {"prompt": sample.prompt_text, "completion": sample.text}
    if sample.answer is not None:
        shown["answer"] = sample.answer
    for name, text in shown.items():
        if text != "" or name == "completion":
            told = one_line(text, _SHOWN) if isinstance(text, str) else one_line(brief(text))
            yield f"  {name:<10}  {told}"


def _by_part(score: Score, problems: Sequence[Mismatch]) -> Iterator[tuple[str, Sign]]:
    """A line for the total and every part; two, minus and plus, for what is not as expected."""
    names = ["total", *(one_line(part.name) for part in score)]
    width = max(map(len, names))
    of_total = [problem for problem in problems if problem.subject == "total"]
    yield from _compared("total", width, _value(score.total), of_total)
    for part in score:
        mine = [problem for problem in problems if problem.part == part.name]
        yield from _compared(one_line(part.name), width, _came_out(part), mine)


def _compared(
    name: str, width: int, got: str, problems: Sequence[Mismatch]
) -> Iterator[tuple[str, Sign]]:
    if not problems:
        yield f"  {name:<{width}}    {got}", " "
    for index, problem in enumerate(problems):
        label = name if index == 0 else ""
        what = problem.subject.partition(" ")[0]
        key = f"{what} " if what in _DETAILS else ""
        yield f"  {label:<{width}}  - {key}{one_line(problem.expected, 300)}", "-"
        yield f"  {'':<{width}}  + {key}{one_line(problem.got, 300)}", "+"


def _came_out(part: PartScore) -> str:
    status = outcome(part)
    value = _value(part.value)
    return value if status == "no verdict" else f"{status} ({value})"


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
