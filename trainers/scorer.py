"""Rewards in time: each group is scored while others are still being written.

The parts of a rubric run side by side, and so do the calls of a part that waits, see
:mod:`rewardkit.trainers.lanes`. The order of parts, gates and policies is the rubric's own
(:func:`rewardkit.scoring.plan`), so a score is the same as anywhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rewardkit import scoring
from rewardkit.function import FunctionReward
from rewardkit.rewards import Outcome
from rewardkit.rubric import Rubric
from rewardkit.scoring import Plan, Task
from rewardkit.trainers.lanes import Lanes
from rewardkit.trainers.prompts import to_sample
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["Scorer"]


class Scorer:
    """Scores completions as they come; a reward that fails abstains.

    Args:
        rubric: judges them.
        rows: of the data, by number; a completion's sample is its row with its text.
        limit_s: seconds for one call of a function without a limit of its own.
        workers: calls of one part at the same time; 0: everything in the thread that calls
            :meth:`finish`, one part after another.

    Example:
        ``scorer.add(group)`` for each group as it is complete, then ``scorer.finish()``.
    """

    def __init__(
        self,
        rubric: Rubric,
        rows: Sequence[Mapping[str, Any]],
        limit_s: float | None = None,
        workers: int = 64,
    ) -> None:
        self.rubric, self._rows, self._limit_s = rubric, rows, limit_s
        self._lanes = Lanes(workers) if workers else None
        self._changed = threading.Condition()
        self._under_way: list[_Scoring] = []
        self._error: BaseException | None = None

    def add(self, items: Sequence[Completion]) -> None:
        """Begin to score whole groups of completions; returns at once."""
        for item in items:
            item.sample = to_sample(self._rows[item.row], item.text, item.ids)
        scoring_ = _Scoring(self, items)
        self._under_way.append(scoring_)
        if self._lanes is not None:
            scoring_.advance(None)

    def finish(self) -> None:
        """Wait for all that was added, and note score and total on each completion.

        Raises:
            MissingColumnError, MissingExtraError: what is not a reward's failure but the caller's
                mistake, found in any of them.
        """
        under_way = self._under_way
        try:
            if self._lanes is None:
                for one in under_way:
                    one.run(self._limit_s)
            with self._changed:
                self._changed.wait_for(lambda: self._error or all(s.done for s in under_way))
            if self._error is not None:
                raise self._error
            for one in under_way:
                one.note()
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop what was added and is not finished: whoever added it will not ask for it."""
        self._under_way, self._error = [], None
        if self._lanes is not None:
            self._lanes.drop()

    def submit(self, owner: _Scoring, task: Task, at: tuple[int, int]) -> None:
        """Have a piece of a task run in the lane of its part."""
        assert self._lanes is not None

        def call() -> None:
            try:
                owner.take(at, scoring.outcomes(task, self._limit_s))
            except BaseException as error:  # for the thread that waits: here nobody would see it
                with self._changed:
                    self._error = self._error or error
            if owner.done or self._error is not None:
                with self._changed:
                    self._changed.notify_all()

        self._lanes.submit(task.part, call)


class _Scoring:
    """One plan on its way: the pieces of its present stage, and what has come of them."""

    def __init__(self, scorer: Scorer, items: Sequence[Completion]) -> None:
        self._scorer, self._items = scorer, items
        samples = [item.sample for item in items if item.sample is not None]
        groups = [item.group for item in items]
        self._plan: Plan = scoring.plan(scorer.rubric, samples, groups, "abstain")
        self._found: list[list[list[Outcome]]] = []
        self._left = 0
        self._lock = threading.Lock()
        self._scores: list[Any] = []
        self.done = False

    def run(self, limit_s: float | None) -> None:
        """All of it, here and now."""
        self._scores = scoring.drive(self._plan, limit_s)
        self.done = True

    def advance(self, results: list[list[Outcome]] | None) -> None:
        """Begin the next stage, or end."""
        try:
            tasks = next(self._plan) if results is None else self._plan.send(results)
            while not tasks:  # every part of the stage is behind a gate that is closed
                tasks = self._plan.send([])
        except StopIteration as end:
            self._scores, self.done = end.value, True
            return
        cut = [list(_pieces(task)) for task in tasks]
        self._found = [[[] for _ in pieces] for pieces in cut]
        self._left = sum(map(len, cut))
        for i, pieces in enumerate(cut):
            for k, piece in enumerate(pieces):
                self._scorer.submit(self, piece, (i, k))

    def take(self, at: tuple[int, int], outcomes: list[Outcome]) -> None:
        """A piece has ended; the last one of a stage begins the next."""
        with self._lock:
            self._found[at[0]][at[1]] = outcomes
            self._left -= 1
            if self._left:
                return
        self.advance([[o for piece in pieces for o in piece] for pieces in self._found])

    def note(self) -> None:
        """Write score and total on each completion."""
        for item, score in zip(self._items, self._scores, strict=True):
            item.score, item.total = score, score.total


def _pieces(task: Task) -> Iterator[Task]:
    """A task cut into what may run at the same time: a function's calls for single samples.

    Under a limit each is then waited for no longer than its limit, however many hang.
    """
    reward = task.reward
    if not isinstance(reward, FunctionReward) or reward.is_async:
        yield task
        return
    if reward.signature.form != "single":
        yield task
        return
    for row, sample in zip(task.rows, task.samples, strict=True):
        yield Task(task.part, reward, (row,), (sample,))
