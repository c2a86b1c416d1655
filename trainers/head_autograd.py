"""The head as two functions of autograd: one that knows the loss, and one that does not yet.

Where the loss of a token depends on its own log-probability alone, its gradient is known as soon as
the logits are, and the head's gradients are made while they still exist: two products of (tokens x
vocabulary x width) in all, as many as a plain backward pass needs. A loss that looks at a whole
completion first needs all its log-probabilities; the logits are then made again: three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.autograd.function import once_differentiable

from rewardkit.trainers.head_plan import Curve, Plan
from rewardkit.trainers.head_stats import Stats
from rewardkit.trainers.head_terms import Terms
from rewardkit.trainers.head_tiles import Gradients, Tiles

__all__ = ["Objective", "OnePass", "TwoPasses"]


class Objective(Protocol):
    """A loss as a function of log-probabilities."""

    @property
    def token_level(self) -> bool:
        """Whether each token's share of the loss depends on no other token."""

    @property
    def entropy_gradient(self) -> bool:
        """Whether the loss depends on the entropies too."""

    def __call__(
        self, logp: torch.Tensor, entropy: torch.Tensor, part: slice = slice(None)
    ) -> torch.Tensor:
        """The share of the tokens in ``part`` in the loss, a scalar with gradient.

        Args:
            logp: of these tokens, ``[m]``.
            entropy: of these tokens, ``[m]``.
            part: which of the micro-batch's tokens they are.
        """


class _Sink:
    """Gradients in the making: the inputs' a block at a time, the weights' all along."""

    def __init__(self, terms: Terms, plan: Plan, wanted: Sequence[bool]) -> None:
        count = len(terms.inputs)
        self._plan = plan
        self.inputs = [
            torch.empty_like(x) if want else None
            for x, want in zip(terms.inputs, wanted, strict=False)
        ]
        self._blocks = [
            None if x is None or x.dtype == plan.total else _block(x, plan) for x in self.inputs
        ]
        self.weights = [
            torch.zeros_like(w, dtype=plan.total) if want else None
            for w, want in zip(terms.weights, wanted[count:], strict=False)
        ]
        bias = terms.bias if wanted[-1] else None
        self.bias = None if bias is None else torch.zeros_like(bias, dtype=plan.total)
        self._types = [t.dtype for t in terms.weights], bias

    def of(self, rows: slice) -> Gradients:
        """Where a block's gradients go."""
        size = rows.stop - rows.start
        inputs = [
            (None if x is None else x[rows]) if block is None else block[:size]
            for x, block in zip(self.inputs, self._blocks, strict=True)
        ]
        return Gradients(inputs, self.weights, self.bias)

    def keep(self, rows: slice) -> None:
        """Round what was summed in a wider type than the inputs have."""
        for x, block in zip(self.inputs, self._blocks, strict=True):
            if x is not None and block is not None:
                x[rows] = block[: rows.stop - rows.start].to(x.dtype)

    def all(self) -> list[torch.Tensor | None]:
        """Every gradient, in the order and the types of :attr:`Terms.tensors`."""
        kinds, bias = self._types
        weights = [
            None if g is None else g.to(kind) for g, kind in zip(self.weights, kinds, strict=True)
        ]
        last = None if self.bias is None or bias is None else self.bias.to(bias.dtype)
        return [*self.inputs, *weights, last]


def _block(like: torch.Tensor, plan: Plan) -> torch.Tensor:
    return like.new_empty((plan.rows, like.shape[1]), dtype=plan.total)


class OnePass(torch.autograd.Function):
    """Loss, log-probabilities and entropies; the gradients are made on the way."""

    @staticmethod
    def forward(
        ctx: Any,
        targets: torch.Tensor,
        curve: Curve,
        budget: int,
        objective: Objective,
        *tensors: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        terms = Terms.of(tensors)
        plan = Plan.of(terms, curve.capped, budget)
        tiles, sink = (
            Tiles(terms, targets, curve, plan),
            _Sink(terms, plan, ctx.needs_input_grad[4:]),
        )
        logp, entropy = targets.new_empty((2, len(targets)), dtype=plan.total)
        loss = logp.new_zeros(())
        for rows in tiles.blocks():
            stats = tiles.forward(rows, entropy=True)
            logp[rows], entropy[rows] = stats.logp, stats.entropy
            share, g, g_entropy = _share(objective, stats, rows)
            loss += share
            if objective.entropy_gradient or not tiles.whole:
                tiles.backward_again(rows, stats, g, g_entropy, sink.of(rows))
            else:
                tiles.backward(rows, stats, g, sink.of(rows))
            sink.keep(rows)
        ctx.mark_non_differentiable(logp, entropy)
        ctx.set_materialize_grads(False)
        ctx.made = sink.all()
        return loss, logp, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, loss: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        if ctx.made is None:
            raise RuntimeError("the gradients of this loss were given out by an earlier backward")
        made, ctx.made = ctx.made, None
        return (None, None, None, None, *(None if g is None else g.mul_(loss) for g in made))


def _share(
    objective: Objective, stats: Stats, rows: slice
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """A block's share in the loss, and its gradient by log-probability and by entropy."""
    with torch.enable_grad():
        leaves = [stats.logp.detach().requires_grad_(), stats.entropy.detach()]
        if objective.entropy_gradient:
            leaves[1].requires_grad_()
        share = objective(leaves[0], leaves[1], rows)
        asked = leaves[: 1 + objective.entropy_gradient]
        g = torch.autograd.grad(share, asked, materialize_grads=True)
    return share.detach(), g[0], g[1] if objective.entropy_gradient else None


class TwoPasses(torch.autograd.Function):
    """Log-probabilities and entropies, with gradient; the backward pass makes the logits again."""

    @staticmethod
    def forward(
        ctx: Any,
        targets: torch.Tensor,
        curve: Curve,
        budget: int,
        entropy: bool,
        *tensors: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        terms = Terms.of(tensors)
        plan = Plan.of(terms, curve.capped, budget)
        tiles = Tiles(terms, targets, curve, plan)
        found = targets.new_empty((5, len(targets)), dtype=plan.total)
        for rows in tiles.blocks():
            stats = tiles.forward(rows, entropy)
            for row, value in zip(found, _listed(stats), strict=True):
                row[rows] = value
        ctx.save_for_backward(targets, found, *tensors)
        ctx.how = curve, plan
        ctx.set_materialize_grads(False)
        return found[0].clone(), found[1].clone()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, logp: torch.Tensor | None, entropy: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        targets, found, *tensors = ctx.saved_tensors
        if logp is None and entropy is None:
            return (None,) * (4 + len(tensors))
        terms, (curve, plan) = Terms.of(tuple(tensors)), ctx.how
        tiles, sink = (
            Tiles(terms, targets, curve, plan),
            _Sink(terms, plan, ctx.needs_input_grad[4:]),
        )
        g = torch.zeros_like(found[0]) if logp is None else logp
        for rows in tiles.blocks():
            stats = Stats(*(row[rows] for row in found))
            part = None if entropy is None else entropy[rows]
            tiles.backward_again(rows, stats, g[rows], part, sink.of(rows))
            sink.keep(rows)
        return (None, None, None, None, *sink.all())


def _listed(stats: Stats) -> tuple[torch.Tensor, ...]:
    return stats.logp, stats.entropy, stats.top, stats.mass, stats.slope
