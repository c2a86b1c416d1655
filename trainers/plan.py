"""How the completions of a step are cut into micro-batches, before its first backward pass.

The denominators of the losses are those of the whole step, so the cut changes no gradient, and is
free to follow memory and time: completions of one prompt stay together as far as there is room, the
long are put with the short, and the largest micro-batch comes first, so that a memory which does
not suffice shows before work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rewardkit.trainers.packing import families_of
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["Room", "Rows"]

Rows = Literal["shared", "packed", "padded"]
"""How sequences are laid out: packed with shared prompts, packed without, or padded."""


@dataclass(frozen=True, slots=True)
class _Size:
    """A completion as the planner sees it: where it stands, its prompt, its tokens."""

    place: int
    prompt: int
    prefix: int
    length: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a micro-batch may hold.

    Attributes:
        rows: how its sequences are laid out.
        completions: at most so many; not looked at where there is a budget of tokens.
        tokens: at most so many, but one completion always.
    """

    rows: Rows
    completions: int
    tokens: int | None = None

    def cut(self, items: Sequence[Completion]) -> list[list[Completion]]:
        """Micro-batches of these, each in the order in which they were given."""
        families = [
            [_Size(i, f, len(items[i].prompt_ids), len(items[i].ids)) for i in members]
            for f, members in enumerate(families_of(items, share=self.rows != "packed"))
        ]
        bins: list[list[_Size]] = []
        bundles = [b for family in families for b in self._split(family)]
        for bundle in sorted(bundles, key=lambda b: (-self._tokens(b), b[0].place)):
            room = next((b for b in bins if self._fits([*b, *bundle])), None)
            if room is None:
                bins.append(list(bundle))
            else:
                room += bundle
        if self.tokens is None and len(bins) > -(-len(items) // self.completions):
            row = [size for family in families for size in family]
            step = self.completions
            bins = [row[k : k + step] for k in range(0, len(row), step)]
        bins.sort(key=lambda b: (-self._tokens(b), b[0].place))
        return [[items[i] for i in sorted(s.place for s in sizes)] for sizes in bins]

    def forwarded(self, items: Sequence[Completion]) -> int:
        """Tokens that go through the model for these at once, padding included."""
        families = families_of(items, share=True)
        return self._tokens([
            _Size(i, f, len(items[i].prompt_ids), len(items[i].ids))
            for f, members in enumerate(families)
            for i in members
        ])  # fmt: skip

    def _tokens(self, sizes: Sequence[_Size]) -> int:
        if self.rows == "padded":
            return len(sizes) * max(s.prefix + s.length for s in sizes)
        if self.rows == "packed":
            return sum(s.prefix + s.length for s in sizes)
        return sum({s.prompt: s.prefix for s in sizes}.values()) + sum(s.length for s in sizes)

    def _fits(self, sizes: Sequence[_Size]) -> bool:
        if self.tokens is None:
            return len(sizes) <= self.completions
        return len(sizes) == 1 or self._tokens(sizes) <= self.tokens

    def _split(self, family: list[_Size]) -> list[list[_Size]]:
        """One prompt's completions in as few parts as there is room for, of like sizes."""
        if self._fits(family):
            return [family]
        ordered = sorted(family, key=lambda s: (-s.length, s.place))
        least = -(-len(family) // self.completions) if self.tokens is None else 2
        for count in range(least, len(family)):
            parts = self._dealt(ordered, count)
            if all(map(self._fits, parts)):
                return parts
        return [[size] for size in family]

    def _dealt(self, ordered: Sequence[_Size], count: int) -> list[list[_Size]]:
        """The longest first, each to the part that has least and room."""
        parts: list[list[_Size]] = [[] for _ in range(count)]
        for size in ordered:
            open_ = [p for p in parts if self.tokens is not None or len(p) < self.completions]
            min(open_, key=lambda p: sum(s.length for s in p)).append(size)
        return [part for part in parts if part]
