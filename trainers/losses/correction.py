"""Completions of an engine whose log-probabilities differ from the trainer's."""

from __future__ import annotations

import torch

from rewardkit.trainers.losses.ragged import Ragged

__all__ = ["importance_correction", "off_policy_mask"]


def importance_correction(
    old_logp: torch.Tensor,
    sampling_logp: torch.Tensor,
    ragged: Ragged,
    mode: str,
    clip_min: float | None,
    clip_max: float | None,
) -> torch.Tensor:
    """Weight of each token, ``[M]``: trainer's over engine's probability, bounded.

    - ``token_truncate``: of the token, clipped to the bounds (arXiv 2510.18855).
    - ``token_mask``: of the token, 0 outside of them.
    - ``sequence_truncate``, ``sequence_mask``: the same with the ratio of the whole completion.

    An engine's NaN says nothing of its token, whose weight is then 1.

    Args:
        old_logp: of the policy that sampled, recomputed by the trainer, ``[M]``.
        sampling_logp: as the engine said, ``[M]``.
        ragged: the completions.
        mode: see above; TRL's ``vllm_importance_sampling_mode``.
        clip_min: lower bound, or ``None``.
        clip_max: upper bound, or ``None``.
    """
    gap = (old_logp - sampling_logp).nan_to_num(nan=0.0)
    if mode.startswith("sequence"):
        gap = ragged.spread(ragged.sum(gap))
    ratio = gap.exp()
    if mode.endswith("truncate"):
        return ratio if clip_min is None and clip_max is None else ratio.clamp(clip_min, clip_max)
    outside = torch.zeros_like(ratio, dtype=torch.bool)
    if clip_min is not None:
        outside |= ratio < clip_min
    if clip_max is not None:
        outside |= ratio > clip_max
    return ratio.masked_fill(outside, 0.0)


def off_policy_mask(
    logp: torch.Tensor,
    sampling_logp: torch.Tensor,
    advantage: torch.Tensor,
    ragged: Ragged,
    threshold: float,
) -> torch.Tensor:
    """1 for tokens to learn from, 0 for those of completions with A < 0 that have become unlikely:
    ``mean(log pi_sampling - log pi) > threshold`` (arXiv 2512.02556, equation 9). ``[M]``."""
    gap = ragged.mean((sampling_logp - logp.detach()).nan_to_num(nan=0.0))
    keep = (advantage >= 0) | (ragged.spread(gap) <= threshold)
    return keep.to(logp.dtype)
