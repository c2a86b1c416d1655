"""What a law is checked on: a rubric, and rows with their honest completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewardkit.errors import UsageError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample, Text
from rewardkit.score import Score
from rewardkit.testing.audit.attack import said
from rewardkit.testing.audit.bench import Case, set_up
from rewardkit.testing.audit.earning import LIMIT_S
from rewardkit.testing.audit.subject import Subject, as_subject
from rewardkit.testing.laws.traits import check_traits, traits_of

__all__ = ["Trying", "essence", "promised", "trying"]


@dataclass(frozen=True)
class Trying:
    """A reward on trial.

    Attributes:
        name: for messages.
        rubric: the reward.
        cases: rows with honest completions.
        traits: what it says of itself.
        examples: texts that each law is tried with.
    """

    name: str
    rubric: Rubric
    cases: tuple[Case, ...]
    traits: frozenset[str]
    examples: int

    def sample(self, completion: Text, row: int = 0) -> Sample:
        """A row with this completion."""
        return said(self.cases[row % len(self.cases)].target.sample, completion)

    def total(self, completion: Text, row: int = 0) -> float | None:
        """What this completion earns."""
        return self.scores([self.sample(completion, row)])[0].total

    def scores(self, samples: Sequence[Sample]) -> list[Score]:
        """Scores of samples that share a prompt; a reward that fails raises."""
        return self.rubric.score_many(samples, group_ids=[0] * len(samples))


def promised(what: Subject | str, traits: Sequence[str] | None) -> frozenset[str]:
    """The traits of a reward, given or declared. Raises ``UsageError``."""
    _, rubric = as_subject(what, allow_code=True)
    return traits_of(rubric) if traits is None else check_traits(traits)


def trying(
    what: Subject | str,
    rows: Sequence[Mapping[str, Any]],
    traits: Sequence[str] | None,
    templates: Sequence[str],
    examples: int,
) -> Trying:
    """Put a reward on trial.

    Raises:
        UsageError: for an unknown trait, or no rows.
        DataError: for rows that cannot be used.
    """
    name, rubric = as_subject(what, allow_code=True)
    if not rows:
        raise UsageError('laws need at least one row, as in rows=[{"prompt": "2+2", "answer": 4}]')
    bench = set_up(rubric, list(enumerate(rows)), LIMIT_S, templates)
    return Trying(name, rubric, bench.cases, promised(what, traits), examples)


def essence(score: Score) -> object:
    """What of a score must not change: all but times."""
    parts = {p.name: (p.value, p.status, p.gated_by, p.why) for p in score}
    return score.total, parts, score.notes
