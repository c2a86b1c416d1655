"""The losses, as pure functions over flat tensors: one entry per completion token, no padding.

Shapes: ``[M]`` is all completion tokens of a micro-batch one after another; ``rows`` of shape
``[M]`` says which completion each belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rewardkit.trainers.config import LossType

__all__ = ["Denominators", "aggregate", "clipped_surrogate", "k3"]


@dataclass(frozen=True, slots=True)
class Denominators:
    """What the sum over tokens is divided by, fixed for a whole optimizer step before its first
    backward, so that the gradient does not depend on how the step is cut into micro-batches.

    Attributes:
        completions: completions that are learned from.
        tokens: their tokens.
        max_completion_length: the constant of dr_grpo.
    """

    completions: int
    tokens: int
    max_completion_length: int


def clipped_surrogate(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantage: torch.Tensor,
    clip: tuple[float, float],
    delta: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """``-min(r A, clip(r, 1 - low, 1 + high) A)`` with ``r = exp(logp - old_logp)``.

    PPO's objective (arXiv 1707.06347) per token as in arXiv 2402.03300, equation 3, with the two
    ends of the clip apart (arXiv 2503.14476) and ``r`` bounded by ``delta`` where given
    (arXiv 2505.07291).

    Returns:
        Loss per token ``[M]``, and the ratio ``[M]``.
    """
    ratio = torch.exp(logp - old_logp)
    clipped = ratio.clamp(1 - clip[0], 1 + clip[1])
    bounded = ratio if delta is None else ratio.clamp(max=delta)
    return -torch.minimum(bounded * advantage, clipped * advantage), ratio


def k3(logp: torch.Tensor, ref_logp: torch.Tensor) -> torch.Tensor:
    """``pi_ref / pi - log(pi_ref / pi) - 1`` per token, never negative (arXiv 2402.03300, 4)."""
    d = ref_logp - logp
    return torch.exp(d) - d - 1


def aggregate(
    per_token: torch.Tensor,
    rows: torch.Tensor,
    lengths: torch.Tensor,
    loss_type: LossType,
    denominators: Denominators,
) -> torch.Tensor:
    """The micro-batch's share of the step's loss; shares add up to the loss of the whole step.

    - ``grpo``: mean over completions of the mean over their tokens (arXiv 2402.03300).
    - ``dapo``: mean over all tokens of the step (arXiv 2503.14476).
    - ``dr_grpo``: sum over ``completions * max_completion_length`` (arXiv 2503.20783).
    - ``bnpo``: mean over the tokens of the micro-batch; by this definition, and as in TRL, it does
      depend on the cut, and the caller divides by the number of micro-batches.

    Args:
        per_token: ``[M]``.
        rows: ``[M]``, index into ``lengths``.
        lengths: ``[N]``, tokens of each completion.
        loss_type: see above.
        denominators: of the whole step.
    """
    if per_token.numel() == 0:
        return per_token.sum()
    if loss_type == "grpo":
        weight = 1.0 / lengths.to(per_token.dtype)
        return (per_token * weight[rows]).sum() / denominators.completions
    if loss_type == "dapo":
        return per_token.sum() / denominators.tokens
    if loss_type == "dr_grpo":
        return per_token.sum() / (denominators.completions * denominators.max_completion_length)
    return per_token.mean()
