"""Estimates of the KL to the reference policy from samples of the policy, and its weight."""

from __future__ import annotations

import torch

__all__ = ["adapted_beta", "kl_estimate"]

_MAX_GAP = 20.0
"""As in verl: ``exp`` of a larger gap would drown every other token of the step, or overflow."""


def kl_estimate(logp: torch.Tensor, ref_logp: torch.Tensor, estimator: str) -> torch.Tensor:
    """KL(pi || pi_ref) of each token, ``[M]``; with ``d = log pi_ref - log pi``:

    - ``k1``: ``-d``. Unbiased; as a loss its gradient has mean zero, so it belongs in the reward,
      or under the bias correction.
    - ``k2``: ``d^2 / 2``. As a loss, its gradient on the sampling policy is the KL's
      (arXiv 2510.01555).
    - ``k3``: ``exp(d) - d - 1``, never negative (arXiv 2402.03300, equation 4). As a loss, its
      gradient is that of another divergence, unless it is multiplied by the ratio
      (arXiv 2512.02556).
    """
    d = ref_logp - logp
    if estimator == "k1":
        return -d
    if estimator == "k2":
        return d.square() / 2
    # Not exp(d) - 1: near the reference, where a run begins, rounding would be all that is left.
    return d.clamp(max=_MAX_GAP).expm1() - d


def adapted_beta(beta: float, kl: float, target: float, gain: float) -> float:
    """``beta (1 + gain clip(kl / target - 1, -0.2, 0.2))``: larger above the target, smaller below
    (arXiv 1909.08593, section 2.2, where the gain is 0.1)."""
    return beta * (1 + gain * min(max(kl / target - 1, -0.2), 0.2))
