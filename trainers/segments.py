"""Which tokens of a packed row attend to which, cut into pieces that need no mask.

A row holds families: a shared prompt and what follows it, once for each completion, or one sequence
alone. Every segment is causal in itself; what follows a prompt also sees all of the prompt. So two
kinds of pieces are enough: a segment on itself, and all that follows a prompt on that prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

__all__ = ["Family", "Layout", "Piece", "Pieces"]

_COPIED, _TOGETHER = 2**14, 2048
"""Segments of up to so many numbers (tokens times width) are computed in one call, up to so many
tokens of them: each call has its own cost. For longer ones to copy them together costs more."""


@dataclass(frozen=True, slots=True)
class Family:
    """A shared prompt and its continuations, or one sequence by itself.

    Attributes:
        start: place of its first token in the row.
        prefix: tokens of the prompt that are shared; 0 where there is one sequence alone.
        lengths: tokens of what follows, one after another.
    """

    start: int
    prefix: int
    lengths: tuple[int, ...]

    @property
    def stop(self) -> int:
        """One past its last token."""
        return self.start + self.prefix + sum(self.lengths)

    def segments(self) -> Iterator[tuple[int, int]]:
        """Start and length of each run of tokens that is causal in itself."""
        if self.prefix:
            yield self.start, self.prefix
        place = self.start + self.prefix
        for length in self.lengths:
            yield place, length
            place += length


@dataclass(frozen=True, slots=True)
class Piece:
    """Queries and the keys that they see: a batch of runs of equal length, short ones filled up.

    Attributes:
        queries: rows of the queries, ``[batch * length]``; what fills up repeats a row of its own
            run, which costs nothing but its product.
        keys: rows of the keys, ``[batch * length]``.
        batch: how many runs there are.
        causal: whether a query sees the keys up to its own place, or all.
        real: which of the queries do not fill up; ``None``: all.
        single: the one run of queries and of keys as slices, where there is no other.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    batch: int
    causal: bool
    real: torch.Tensor | None = None
    single: tuple[slice, slice] | None = None


class Pieces(NamedTuple):
    """All of a row.

    Attributes:
        own: every segment on itself; each token is a query once.
        shared: what follows a prompt on that prompt; each such token is a query once.
    """

    own: list[Piece]
    shared: list[Piece]


@dataclass(frozen=True)
class Layout:
    """How a packed row is divided.

    Attributes:
        families: from left to right, leaving no token out.
        device: where the row is.
    """

    families: tuple[Family, ...]
    device: torch.device
    _made: dict[int, Pieces] = field(default_factory=dict, compare=False, repr=False)

    @property
    def alone(self) -> bool:
        """Whether the row is one sequence."""
        return len(self.families) == 1 and len(list(self.families[0].segments())) == 1

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, its prompt included."""
        return max(family.prefix + max(family.lengths) for family in self.families)

    def pieces(self, width: int) -> Pieces:
        """Every segment on itself, and what follows a prompt on the prompt; made once.

        Args:
            width: numbers to a token, in all heads.
        """
        if width not in self._made:
            short = max(16, _COPIED // width)
            self._made[width] = Pieces(self._own(short), self._shared(short))
        return self._made[width]

    def _own(self, short: int) -> list[Piece]:
        segments = [s for family in self.families for s in family.segments()]
        ordered = sorted(segments, key=lambda s: s[1])
        return [self._piece(batch, batch, causal=True) for batch in _batches(ordered, short)]

    def _shared(self, short: int) -> list[Piece]:
        found: dict[int, list[tuple[tuple[int, int], tuple[int, int]]]] = {}
        for family in self.families:
            if family.prefix:
                after = family.start + family.prefix
                pair = (after, family.stop - after), (family.start, family.prefix)
                found.setdefault(family.prefix, []).append(pair)
        pieces = []
        for pairs in found.values():
            keys = dict(pairs)
            for batch in _batches(sorted(keys, key=lambda s: s[1]), short):
                pieces.append(self._piece(batch, [keys[q] for q in batch], causal=False))
        return pieces

    def _piece(
        self, queries: Sequence[tuple[int, int]], keys: Sequence[tuple[int, int]], *, causal: bool
    ) -> Piece:
        rows, real = self._rows(queries)
        seen = rows if causal else self._rows(keys)[0]
        single = None
        if len(queries) == 1:
            (start, length), (first, count) = queries[0], keys[0]
            single = slice(start, start + length), slice(first, first + count)
        return Piece(rows, seen, len(queries), causal, real, single)

    def _rows(self, runs: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        starts = torch.tensor([start for start, _ in runs])[:, None]
        lengths = torch.tensor([length for _, length in runs])[:, None]
        places = torch.arange(int(lengths.max()))[None]
        rows = (starts + places.minimum(lengths - 1)).flatten().to(self.device)
        real = (places < lengths).flatten()
        return rows, None if bool(real.all()) else real.nonzero()[:, 0].to(self.device)


def _batches(runs: Sequence[tuple[int, int]], short: int) -> Iterator[list[tuple[int, int]]]:
    """Runs, shortest first, that are near enough in length to be computed together."""
    batch: list[tuple[int, int]] = []
    for run in runs:
        unlike = batch and (run[1] > short or run[1] > 1.25 * batch[0][1] + 8)
        if unlike or run[1] * (len(batch) + 1) > _TOGETHER:
            if batch:
                yield batch
            batch = []
        batch.append(run)
    if batch:
        yield batch
