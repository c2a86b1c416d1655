"""The arithmetic of the head on one block of rows after another, in a buffer of fixed size.

Write ``z = gain * c(alpha * (x W^T + b))`` for the logits of a row, with ``c = tanh`` where the
model caps its logits and nothing otherwise, ``y`` for the target, ``m`` for the largest logit,
``E_j = exp(z_j - m)`` and ``S = sum_j E_j``. Then

    logp = z_y - m - log S
    H    = log S - sum_j E_j (z_j - m) / S
    d logp / d z_j = [j = y] - E_j / S
    d H    / d z_j = -p_j (log p_j + H)

``E`` overwrites ``z`` in the buffer and is what both gradient products are made of, so if the whole
vocabulary fits beside enough rows, the logits are made once. The target's own term is kept out of
``E`` and added by itself: ``1 - p_y`` is then exact where the model is almost sure, and rounds to
nothing if it is left in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from rewardkit.trainers.head_plan import Curve, Plan, strip_bytes
from rewardkit.trainers.head_stats import Fold, Stats
from rewardkit.trainers.head_terms import Terms
from rewardkit.trainers.memory.parts import parts

_Strip = tuple[slice, torch.Tensor, list[torch.Tensor]]

__all__ = ["Gradients", "Tiles"]


@dataclass(frozen=True, slots=True)
class Gradients:
    """Where the gradients of a block of rows go; ``None`` where none is wanted.

    Attributes:
        inputs: each ``[n, H_k]``, of the block's rows alone; overwritten.
        weights: each ``[V, H_k]``; added to.
        bias: ``[V]``; added to.
    """

    inputs: Sequence[torch.Tensor | None]
    weights: Sequence[torch.Tensor | None]
    bias: torch.Tensor | None


class Tiles:
    """The head, applied a tile at a time.

    Args:
        terms: what makes the logits, without gradient.
        targets: ``[M]``.
        curve: what is done to them.
        plan: how they are cut.
    """

    def __init__(self, terms: Terms, targets: torch.Tensor, curve: Curve, plan: Plan) -> None:
        self.terms, self.targets, self.curve, self.plan = terms, targets, curve, plan
        states = terms.inputs[0]
        self._buffer = states.new_empty(plan.rows * plan.columns, dtype=plan.total)
        held = strip_bytes(states, self._buffer.nbytes) // plan.total.itemsize
        self._strip = max(1, min(plan.rows, held // plan.columns))
        size = (2 if curve.capped else 1, self._strip * plan.columns)
        self._scratch = states.new_empty(size, dtype=plan.total)
        self.vocabulary = len(terms.weights[0])
        self.whole = plan.columns >= self.vocabulary

    def blocks(self) -> Iterator[slice]:
        """The rows, some at a time."""
        return parts(len(self.targets), self.plan.rows)

    def forward(self, rows: slice, entropy: bool) -> Stats:
        """Statistics of a block of rows; if :attr:`whole`, the buffer then holds its ``E``."""
        y = self.targets[rows]
        fold = Fold(len(y), self._buffer, entropy)
        for start, stop in self._cuts():
            tile = self._project(rows, start, stop)
            here = (y - start).clamp(0, stop - start - 1)[:, None]
            inside = (y >= start) & (y < stop)
            fold.target(tile.gather(1, here).squeeze(1), inside, self.curve)
            fold.merge(*self._exponentiate(tile, here, inside[:, None], entropy))
        return fold.stats()

    def backward(self, rows: slice, stats: Stats, g: torch.Tensor, into: Gradients) -> None:
        """The gradient of ``g . logp`` by way of the ``E`` that :meth:`forward` left."""
        y, n = self.targets[rows], len(self.targets[rows])
        tile = self._tile(n, self.vocabulary)
        factor = self.curve.alpha * self.curve.gain
        pull = g * -torch.expm1(stats.logp) * stats.slope * factor
        self._emit(rows, tile, (0, self.vocabulary), -g * factor / stats.mass, into)
        self._emit_targets(rows, y, pull, into)

    def backward_again(
        self,
        rows: slice,
        stats: Stats,
        g: torch.Tensor,
        g_entropy: torch.Tensor | None,
        into: Gradients,
    ) -> None:
        """The gradient of ``g . logp + g_entropy . H``, with the logits made once more."""
        y = self.targets[rows]
        factor = self.curve.alpha * self.curve.gain
        rate = -torch.expm1(stats.logp) * g
        coefficient = -g * factor
        if g_entropy is not None:
            rate = rate - g_entropy * stats.logp.exp() * (stats.logp + stats.entropy)
            coefficient = torch.full_like(g, -factor)
        for start, stop in self._cuts():
            tile = self._project(rows, start, stop)
            here = (y - start).clamp(0, stop - start - 1)[:, None]
            inside = ((y >= start) & (y < stop))[:, None]
            self._derive(tile, here, inside, stats, g, g_entropy)
            self._emit(rows, tile, (start, stop), coefficient, into)
        self._emit_targets(rows, y, rate * stats.slope * factor, into)

    def _cuts(self) -> Iterator[tuple[int, int]]:
        for part in parts(self.vocabulary, self.plan.columns):
            yield part.start, part.stop

    def _tile(self, rows: int, columns: int) -> torch.Tensor:
        return self._buffer[: rows * columns].view(rows, columns)

    def _project(self, rows: slice, start: int, stop: int) -> torch.Tensor:
        """``c(alpha * (x W^T + b))`` for some rows and columns, in the buffer."""
        tile = self._tile(rows.stop - rows.start, stop - start)
        alpha = self.curve.alpha
        for k, (x, weight) in enumerate(zip(self.terms.inputs, self.terms.weights, strict=True)):
            piece = weight[start:stop].to(self.plan.math)
            _product(tile, x[rows].to(self.plan.math), piece.T, beta=float(k > 0), alpha=alpha)
        if self.terms.bias is not None:
            tile.add_(self.terms.bias[start:stop].to(self.plan.total), alpha=alpha)
        return tile.tanh_() if self.curve.capped else tile

    def _strips(
        self, tile: torch.Tensor
    ) -> Iterator[tuple[slice, torch.Tensor, list[torch.Tensor]]]:
        """A few rows of the tile at a time, with as much room beside them."""
        for part in parts(len(tile), self._strip):
            piece = tile[part]
            yield part, piece, [s[: piece.numel()].view_as(piece) for s in self._scratch]

    def _exponentiate(
        self, tile: torch.Tensor, here: torch.Tensor, inside: torch.Tensor, entropy: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Make the tile ``E`` without the target, times the slope of the cap; return each row's
        top, ``sum E`` and ``sum E (z - m)``."""
        top, mass, dot = (tile.new_empty(len(tile)) for _ in range(3))
        for part, z, (low, *more) in self._strips(tile):
            top[part] = z.amax(1) * self.curve.gain
            if more:
                torch.mul(z, self.curve.gain, out=low).sub_(top[part, None])
                z.square_().neg_().add_(1)
            else:
                torch.sub(z, top[part, None], out=low)
            e = torch.exp(low, out=more[0] if more else z)
            _drop(e, here[part], inside[part])
            mass[part] = e.sum(1)
            if entropy:
                dot[part] = low.mul_(e).sum(1)
            if more:
                z.mul_(e)
        return top, mass, dot

    def _derive(
        self,
        tile: torch.Tensor,
        here: torch.Tensor,
        inside: torch.Tensor,
        stats: Stats,
        g: torch.Tensor,
        g_entropy: torch.Tensor | None,
    ) -> None:
        """Make the tile ``p_j``, or with ``g_entropy`` ``p_j (g + g_entropy (log p_j + H))``, times
        the slope of the cap and without the target."""
        shift = stats.top + stats.mass.log()
        for part, z, (low, *more) in self._strips(tile):
            if more:
                torch.mul(z, self.curve.gain, out=low).sub_(shift[part, None])
                z.square_().neg_().add_(1)
            else:
                torch.sub(z, shift[part, None], out=low)
            e = torch.exp(low, out=more[0] if more else z)
            if g_entropy is not None:
                low.add_(stats.entropy[part, None]).mul_(g_entropy[part, None])
                e.mul_(low.add_(g[part, None]))
            _drop(e, here[part], inside[part])
            if more:
                z.mul_(e)

    def _emit(
        self,
        rows: slice,
        tile: torch.Tensor,
        cut: tuple[int, int],
        coefficient: torch.Tensor,
        into: Gradients,
    ) -> None:
        """The products of a tile: to the inputs (scaled with the targets' part), to the weights."""
        factor = tile.to(self.plan.math)
        columns = slice(*cut)
        for k, weight in enumerate(self.terms.weights):
            to_input, to_weight = into.inputs[k], into.weights[k]
            if to_input is not None:
                piece = weight[columns].to(self.plan.math)
                _product(to_input, factor, piece, beta=float(cut[0] > 0))
                if cut[1] == self.vocabulary:
                    to_input.mul_(coefficient[:, None])
            if to_weight is not None:
                x = (self.terms.inputs[k][rows] * coefficient[:, None]).to(self.plan.math)
                _product(to_weight[columns], factor.T, x, beta=1.0)
        if into.bias is not None:
            into.bias[columns].addmv_(tile.T, coefficient)

    def _emit_targets(
        self, rows: slice, y: torch.Tensor, pull: torch.Tensor, into: Gradients
    ) -> None:
        """The part of each row's own target, which the tile leaves out."""
        for k, (x, weight) in enumerate(zip(self.terms.inputs, self.terms.weights, strict=True)):
            to_input, to_weight = into.inputs[k], into.weights[k]
            if to_input is not None:
                to_input.addcmul_(weight[y].to(self.plan.total), pull[:, None])
            if to_weight is not None:
                to_weight.index_add_(0, y, x[rows].to(self.plan.total) * pull[:, None])
        if into.bias is not None:
            into.bias.index_add_(0, y, pull)


def _drop(e: torch.Tensor, here: torch.Tensor, inside: torch.Tensor) -> None:
    """Zero at the targets that are among these columns."""
    e.scatter_(1, here, e.gather(1, here).masked_fill_(inside, 0.0))


def _product(
    out: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, beta: float, alpha: float = 1.0
) -> None:
    """``out = beta * out + alpha * a @ b``, summed in the type of ``out``."""
    if a.dtype == out.dtype:
        torch.addmm(out, a, b, beta=beta, alpha=alpha, out=out)
    else:
        torch.ops.aten.addmm.dtype_out(out, a, b, out.dtype, beta=beta, alpha=alpha, out=out)
