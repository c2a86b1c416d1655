"""The policy losses, each a function of one view of the tokens, and the table of them.

A new loss is a function here, its line in :data:`LOSSES`, its name in ``LossType``, and its row in
the test table that holds every one of them against a reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from rewardkit.trainers.config import GRPOConfig, LossType
from rewardkit.trainers.losses.ragged import Ragged

__all__ = ["LOSSES", "Loss", "View", "clipped", "ratios"]

Share = Literal["completion", "token", "micro_batch", "constant", "sum"]

MAX_LOG_RATIO = 20.0
"""``exp`` of more than this is taken as ``exp(20)`` (as in verl): a ratio of half a billion says as
much, and infinity times a clip's zero gradient would be NaN."""


@dataclass(frozen=True, slots=True)
class View:
    """What a loss sees of some tokens; each ``[m]``.

    Attributes:
        logp: log-probabilities now, with gradient.
        log_ratio: ``logp`` less those of the policy that sampled, with gradient.
        ratio: the importance ratio, per token or of the token's whole completion.
        advantage: of the completion that the token belongs to.
        ragged: the completions, where the loss sees whole ones.
        correction: weight of the token for an engine whose probabilities differ, or ``None``.
    """

    logp: torch.Tensor
    log_ratio: torch.Tensor
    ratio: torch.Tensor
    advantage: torch.Tensor
    ragged: Ragged
    correction: torch.Tensor | None = None


def ratios(log_ratio: torch.Tensor, ragged: Ragged, level: str) -> torch.Tensor:
    """The importance ratio of each token, ``[M]``.

    - ``token``: ``exp(log pi / pi_old)`` of the token (arXiv 2402.03300).
    - ``sequence``: ``exp`` of the mean over the completion: GSPO (arXiv 2507.18071, equation 7).
    - ``product``: ``exp`` of the sum over the completion: the ratio of its probabilities.
    """
    if level == "sequence":
        log_ratio = ragged.spread(ragged.mean(log_ratio))
    elif level == "product":
        log_ratio = ragged.spread(ragged.sum(log_ratio))
    return log_ratio.clamp(max=MAX_LOG_RATIO).exp()


def clipped(view: View, config: GRPOConfig) -> torch.Tensor:
    """``-min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A)``.

    PPO's objective (arXiv 1707.06347) as in GRPO (arXiv 2402.03300, equation 3), with the ends of
    the clip apart (DAPO, arXiv 2503.14476) and, where ``delta`` is given, ``min(r, delta)`` for the
    first ``r``: a bound where A < 0 (INTELLECT-2, arXiv 2505.07291).
    """
    low, high = config.clip
    bounded = view.ratio if config.delta is None else view.ratio.clamp(max=config.delta)
    inside = view.ratio.clamp(1 - low, 1 + high)
    return -torch.minimum(bounded * view.advantage, inside * view.advantage)


def cispo(view: View, config: GRPOConfig) -> torch.Tensor:
    """``-sg[min(r, epsilon_high)] A log pi``, ``sg`` without gradient: every token keeps its
    gradient, and only its weight is clipped (MiniMax-M1, arXiv 2506.13585, equation 4, with the
    one-sided bound of ScaleRL, arXiv 2510.13786)."""
    return -view.ratio.detach().clamp(max=config.clip[1]) * view.advantage * view.logp


def sapo(view: View, config: GRPOConfig) -> torch.Tensor:
    """``-(4 / tau) sigmoid(tau (r - 1)) A``, with ``tau`` by the sign of A: a soft gate in place of
    the clip (arXiv 2511.20347, equation 5)."""
    tau = _by_sign(
        view.advantage > 0, config.sapo_temperature_pos, config.sapo_temperature_neg, view
    )
    return -(4 / tau) * torch.sigmoid(tau * (view.ratio - 1)) * view.advantage


def vespo(view: View, config: GRPOConfig) -> torch.Tensor:
    """``-phi(w) A log pi`` with ``phi(w) = w^k exp(lambda (1 - w))`` without gradient, ``w`` the
    ratio of whole completions, ``k`` and ``lambda`` by the sign of A (arXiv 2602.10693).

    Logarithms are kept within 20 and above ``log 1e-8``, as the paper's code has it.
    """
    log_w = view.ragged.sum(view.log_ratio.detach().clamp(-20.0, 20.0))
    if view.correction is not None:
        log_w = log_w + view.ragged.sum(view.correction.log().clamp(math.log(1e-8), 20.0))
    log_w = view.ragged.spread(log_w.clamp(math.log(1e-8), 20.0))
    good = view.advantage >= 0
    k = _by_sign(good, config.vespo_k_pos, config.vespo_k_neg, view)
    rate = _by_sign(good, config.vespo_lambda_pos, config.vespo_lambda_neg, view).clamp(min=1e-4)
    phi = (rate + k * log_w - rate * log_w.exp()).exp()
    return -phi * view.advantage * view.logp


def _by_sign(good: torch.Tensor, yes: float, no: float, view: View) -> torch.Tensor:
    """One of two constants, in the view's own precision: float64 must not see a float32 of them."""
    return torch.where(good, view.logp.new_tensor(yes), view.logp.new_tensor(no))


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and what is needed to apply it.

    Attributes:
        per_token: its function.
        share: what a token's value is divided by: see
            :func:`rewardkit.trainers.losses.weights.token_weights`.
        level: the ratio it is made for, where that is not the user's choice.
        whole: whether it needs whole completions, whatever the ratio.
        corrects: whether it uses the engine's correction itself.
    """

    per_token: Callable[[View, GRPOConfig], torch.Tensor]
    share: Share
    level: Literal["product"] | None = None
    whole: bool = False
    corrects: bool = False


LOSSES: dict[LossType, Loss] = {
    "grpo": Loss(clipped, "completion"),
    "bnpo": Loss(clipped, "micro_batch"),
    "dr_grpo": Loss(clipped, "constant"),
    "dapo": Loss(clipped, "token"),
    "cispo": Loss(cispo, "token"),
    "sapo": Loss(sapo, "completion"),
    "luspo": Loss(clipped, "sum"),
    "vespo": Loss(vespo, "token", whole=True, corrects=True),
    "rloo": Loss(clipped, "completion", level="product"),
}
"""Every loss type. ``luspo``: arXiv 2602.05261; ``rloo``: the clipped ratio of whole completions,
as in TRL's RLOO trainer, which on the policy that sampled is REINFORCE (arXiv 2402.14740)."""
