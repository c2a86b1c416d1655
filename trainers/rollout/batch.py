"""What one generation made: completions with all that learning and re-scoring need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch

from rewardkit.sample import Sample
from rewardkit.score import Score

__all__ = ["Completion", "Rollouts"]


@dataclass(slots=True)
class Completion:
    """One sampled completion.

    Attributes:
        group: position of its prompt in the data stream; completions of one prompt share it.
        row: number of the dataset row.
        sample_index: which of the group's completions it is.
        prompt_ids: tokens of the prompt.
        ids: tokens of the completion, the end token included if there is one.
        truncated: True if it was cut off at the maximal length.
        text: the completion decoded, without special tokens.
        sampling_logps: log-probability of each token when it was sampled.
        old_logps: of the policy at the time of the rollout, ``[len(ids)]``; ``None`` if the policy
            has not moved since.
        ref_logps: of the reference policy, ``None`` without KL.
        entropies: of the policy at the rollout, in nats, ``[len(ids)]``; ``None`` where the loss
            does not choose tokens by them.
        score: the rubric's, with every part.
        total: its total; ``None`` if unscorable.
        advantage: NaN if there is no total.
    """

    group: int
    row: int
    sample_index: int
    prompt_ids: list[int]
    ids: list[int]
    truncated: bool
    text: str
    sampling_logps: list[float]
    sample: Sample | None = None
    score: Score | None = None
    total: float | None = None
    advantage: float = float("nan")
    old_logps: torch.Tensor | None = None
    ref_logps: torch.Tensor | None = None
    entropies: torch.Tensor | None = None

    def learned_from(self, mask_truncated: bool) -> bool:
        """Whether the loss sees it: never without a total, so that it weighs nowhere."""
        return self.total is not None and bool(self.ids) and not (mask_truncated and self.truncated)

    def record(self, step: int) -> dict[str, Any]:
        """Plain data for the run folder; enough to score the completion again."""
        sample = self.sample
        columns: Mapping[str, Any] = {} if sample is None else sample.columns
        return {
            "step": step,
            "group_id": self.group,
            "row": self.row,
            "sample": self.sample_index,
            "prompt": None if sample is None else sample.prompt,
            "completion": self.text if sample is None else sample.completion,
            "answer": None if sample is None else sample.answer,
            "columns": {k: v for k, v in columns.items() if k != "completion_ids"},
            "completion_ids": self.ids,
            "logprobs": self.sampling_logps,
            "truncated": self.truncated,
            "advantage": None if self.advantage != self.advantage else self.advantage,
            "score": None if self.score is None else self.score.to_dict(),
        }


@dataclass(slots=True)
class Rollouts:
    """The completions of one generation, and how much of them has been learned from.

    Attributes:
        step: optimizer steps taken when they were made.
        items: group by group.
        order: a fixed shuffle of the items, so that micro-batches mix groups.
        done: optimizer steps already taken on them.
    """

    step: int
    items: list[Completion]
    order: list[int] = field(default_factory=list)
    done: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Completion]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def state(self) -> dict[str, Any]:
        """Plain data and tensors, enough to go on learning; scores are in the run folder."""
        kept = [{k: getattr(c, k) for k in _KEPT} for c in self.items]
        return {"step": self.step, "items": kept, "order": self.order, "done": self.done}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Rollouts:
        """What :meth:`state` was taken of, without samples and scores."""
        items = [Completion(**item) for item in state["items"]]
        return cls(state["step"], items, list(state["order"]), state["done"])


_KEPT = tuple(f.name for f in fields(Completion) if f.name not in ("sample", "score"))
