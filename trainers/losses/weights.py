"""What a token's loss is divided by: known for the whole step before its first backward."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rewardkit.trainers.losses.ragged import Ragged

__all__ = ["Denominators", "token_weights"]


@dataclass(frozen=True, slots=True)
class Denominators:
    """Counted over the whole optimizer step, so that the gradient does not depend on how the step
    is cut into micro-batches. What is not learned from is in none of them.

    Attributes:
        completions: completions that are learned from.
        tokens: their tokens.
        max_completion_length: the constant of ``dr_grpo``.
        micro_batches: those with anything in them; for ``bnpo``.
        entropy_tokens: tokens that the entropy bonus acts on.
    """

    completions: int
    tokens: int
    max_completion_length: int
    micro_batches: int = 1
    entropy_tokens: int = 0


def token_weights(
    share: str,
    ragged: Ragged,
    denominators: Denominators,
    dtype: torch.dtype,
    batch_tokens: torch.Tensor | None = None,
) -> torch.Tensor:
    """One over what each token's loss is divided by, ``[M]``; so micro-batches' losses add up.

    - ``completion``: the mean over completions of their mean over tokens: grpo
      (arXiv 2402.03300), and a sequence's value once (GSPO).
    - ``token``: the mean over all tokens of the step: dapo (arXiv 2503.14476).
    - ``constant``: the sum over ``completions * max_completion_length``: dr_grpo
      (arXiv 2503.20783).
    - ``sum``: the mean over completions of their sum over tokens: luspo (arXiv 2602.05261).
    - ``micro_batch``: the mean over the tokens of the micro-batch, and over micro-batches: bnpo. By
      this definition, TRL's, it alone does depend on how completions are grouped: as configured,
      with ``batch_tokens [N]`` tokens in each completion's group, or as they are here.
    """
    d = denominators
    if share == "completion":
        return ragged.spread(1 / (ragged.lengths.to(dtype) * d.completions))
    if share == "micro_batch" and batch_tokens is not None:
        return ragged.spread(1 / (batch_tokens.to(dtype) * d.micro_batches))
    over = {
        "token": d.tokens,
        "constant": d.completions * d.max_completion_length,
        "sum": d.completions,
        "micro_batch": len(ragged.rows) * d.micro_batches,
    }[share]
    return torch.full((len(ragged.rows),), 1 / over, dtype=dtype, device=ragged.rows.device)
