"""A rubric as a reward function of TRL's ``GRPOTrainer``, which need not be installed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rewardkit.metrics import check_unscorable, score_metrics
from rewardkit.sample import Sample
from rewardkit.score import Score

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["RubricReward"]

Observer = Callable[[Sequence[Sample], Sequence[Score], Sequence[int]], None]


@dataclass
class RubricReward:
    """Each completion's total, ``None`` where there is none (which TRL leaves out of the group).

    One callable for the whole rubric: with one per part TRL would add a part that abstains as 0,
    and gates could not be expressed. The parts are logged by ``log_metric`` under their names.

    Attributes:
        rubric: scores the completions; a reward that fails abstains.
        limit_s: seconds for one call of a function without a limit of its own.
        max_error_frac: share of a batch whose rewards may fail before the run is stopped.
        max_unscorable_frac: share of a batch that may be unscorable for any reason.
        observer: called with samples, scores and group numbers of every batch.
        num_generations: completions of each prompt, as in the trainer's configuration: a batch is
            cut into groups of so many. ``None``: a group goes on for as long as the prompt stays
            the same, which takes two neighbouring groups of one prompt for a single one.
        scores: of the last batch.

    Raises:
        TooManyUnscorableError: when a batch goes over a share.
        MissingColumnError: if the dataset lacks a column that the rubric needs.
    """

    rubric: Rubric
    limit_s: float | None = None
    max_error_frac: float = 0.05
    max_unscorable_frac: float = 0.5
    observer: Observer | None = field(default=None, repr=False)
    scores: list[Score] = field(default_factory=list, repr=False)
    num_generations: int | None = None

    @property
    def __name__(self) -> str:
        """What TRL logs the total under."""
        return "rubric"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """TRL's protocol: everything by keyword, one value per completion."""
        samples = [
            _sample(prompt, completion, _row(columns, i, len(prompts)))
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        ]
        groups = _groups(prompts, self.num_generations)
        self.scores = self.rubric.score_many(
            samples, group_ids=groups, on_error="abstain", limit_s=self.limit_s
        )
        if self.observer is not None:
            self.observer(samples, self.scores, groups)
        check_unscorable(self.scores, self.max_error_frac, self.max_unscorable_frac)
        if log_metric is not None:
            for name, value in score_metrics(self.scores).items():
                # TRL logs the total itself, and averages numbers only.
                if name != "reward" and isinstance(value, int | float):
                    log_metric(name, float(value))
        return [score.total for score in self.scores]


def _sample(prompt: Any, completion: Any, row: dict[str, Any]) -> Sample:
    answer = row.pop("answer", None)
    return Sample(completion=completion, prompt=prompt, answer=answer, columns=row)


def _row(columns: Mapping[str, Any], index: int, n: int) -> dict[str, Any]:
    """The columns of one completion; what TRL passes beside them is no list of that length."""
    beside = ("trainer_state", "log_extra", "environments")
    return {
        name: values[index]
        for name, values in columns.items()
        if name not in beside and isinstance(values, list) and len(values) == n
    }


def _groups(prompts: Sequence[Any], size: int | None) -> list[int]:
    """TRL repeats each prompt in one contiguous block, and says no more about groups than that.

    Blocks of ``size`` are groups if each is of one prompt (an evaluation may repeat its prompts
    another number of times).
    """
    if size and len(prompts) % size == 0:
        blocks = [prompts[i : i + size] for i in range(0, len(prompts), size)]
        if all(prompt == block[0] for block in blocks for prompt in block):
            return [i // size for i in range(len(prompts))]
    groups: list[int] = []
    for i, prompt in enumerate(prompts):
        if i == 0:
            groups.append(0)
        else:
            groups.append(groups[-1] + (prompt != prompts[i - 1]))
    return groups
