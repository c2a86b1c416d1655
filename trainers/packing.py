"""Completions packed into one row of tokens: no padding, and every prompt once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.segments import Family, Layout

__all__ = ["Packed", "families_of"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A row for the model's body.

    Attributes:
        ids: ``[T]``, the tokens: prompt and completions, family by family.
        positions: ``[T]``, of each token in its own sequence.
        predicts: ``[M]``, where the state stands that predicts each completion token, in the order
            in which the completions were given. The last state of a shared prompt is there once for
            each of its completions, which is how their gradients add up in it.
        layout: who attends to whom.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    predicts: torch.Tensor
    layout: Layout

    @classmethod
    def of(cls, items: Sequence[Completion], device: torch.device, *, share: bool) -> Packed:
        """The row of these completions.

        Args:
            items: completions, none of them or of their prompts empty.
            device: where the row is to be.
            share: compute a prompt once for all its completions, or once for each.
        """
        ids: list[int] = []
        positions, families = [], []
        predicts: dict[int, torch.Tensor] = {}
        for members in families_of(items, share=share):
            prompt = items[members[0]].prompt_ids
            start, length = len(ids), len(prompt)
            ids += prompt
            positions.append(torch.arange(length))
            for member in members:
                place, count = len(ids), len(items[member].ids)
                first = torch.tensor([start + length - 1])
                predicts[member] = torch.cat([first, torch.arange(place, place + count - 1)])
                ids += items[member].ids
                positions.append(torch.arange(length, length + count))
            after = tuple(len(items[member].ids) for member in members)
            alone = len(members) == 1
            prefix = 0 if alone else length
            families.append(Family(start, prefix, (length + after[0],) if alone else after))
        return cls(
            torch.tensor(ids, device=device),
            torch.cat(positions).to(device),
            torch.cat([predicts[i] for i in range(len(items))]).to(device),
            Layout(tuple(families), device),
        )


def families_of(items: Sequence[Completion], *, share: bool) -> list[list[int]]:
    """The completions of equal prompts by their places, in the order in which prompts come up."""
    if not share:
        return [[i] for i in range(len(items))]
    found: dict[tuple[int, ...], list[int]] = {}
    for i, item in enumerate(items):
        found.setdefault(tuple(item.prompt_ids), []).append(i)
    return list(found.values())
