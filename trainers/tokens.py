"""Completions as flat tokens, and what the policy says of them."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.head import token_logps
from rewardkit.trainers.losses.ragged import Ragged
from rewardkit.trainers.model import Policy
from rewardkit.trainers.packable import can_pack
from rewardkit.trainers.packing import Packed
from rewardkit.trainers.replay import in_parts
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["Flat", "States", "flat_logps", "flat_states", "note_logps"]


@dataclass(frozen=True, slots=True)
class States:
    """What the head needs to predict every completion token.

    Attributes:
        hidden: ``[M, H]``, the states that the tokens are predicted from, with gradient.
        targets: ``[M]``, the tokens.
        ragged: which completion each belongs to.
        forwarded: tokens that went through the model for them, padding included.
    """

    hidden: torch.Tensor
    targets: torch.Tensor
    ragged: Ragged
    forwarded: int


@dataclass(frozen=True, slots=True)
class Flat:
    """All completion tokens of some completions, one after another.

    Attributes:
        logp: ``[M]``, with gradient unless made without.
        entropy: ``[M]``, likewise.
        rows: ``[M]``, which completion each token belongs to.
        lengths: ``[N]``, tokens of each completion.
    """

    logp: torch.Tensor
    entropy: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor


def flat_states(policy: Policy, items: Sequence[Completion], *, share: bool = True) -> States:
    """The policy's last states where they predict a completion token; no other reaches the head.

    Sequences are packed into one row, prompts shared; or padded on the right, where a causal model
    cannot see it, for a model that does not take packed rows.
    """
    device = policy.device
    targets = torch.tensor([i for c in items for i in c.ids], device=device)
    ragged = Ragged.of(torch.tensor([len(c.ids) for c in items], device=device))
    if can_pack(policy, items):
        row = Packed.of(items, device, share=share)
        states = policy.packed(row).index_select(0, row.predicts)
        return States(states, targets, ragged, len(row.ids))
    ids, mask, predicts = _padded(items, policy.tokenizer.pad_token_id)
    states = policy.hidden(ids.to(device), mask.to(device))
    return States(states[ragged.rows, predicts.to(device)], targets, ragged, ids.numel())


def _padded(
    items: Sequence[Completion], pad: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens and mask, ``[N, T]``, and where in its row each completion token is predicted."""
    sequences = [c.prompt_ids + c.ids for c in items]
    width = max(map(len, sequences))
    ids = torch.full((len(items), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = 1
    predicts = [torch.arange(len(c.ids)) + len(c.prompt_ids) - 1 for c in items]
    return ids, mask, torch.cat(predicts)


def flat_logps(
    policy: Policy, items: Sequence[Completion], config: GRPOConfig, *, entropy: bool = True
) -> Flat:
    """Log-probabilities of every completion token under the policy, and entropies if wanted."""
    with policy.autocast(config.bf16):
        states = flat_states(policy, items, share=config.prefix_sharing)
        logp, found = token_logps(
            policy.head,
            states.hidden,
            states.targets,
            temperature=config.temperature,
            budget_mib=config.head_budget_mib,
            entropy=entropy,
        )
    return Flat(logp, found, states.ragged.rows, states.ragged.lengths)


@torch.no_grad()
def note_logps(
    policy: Policy,
    items: Sequence[Completion],
    config: GRPOConfig,
    *,
    which: Literal["old", "ref"],
    carried: MutableMapping[str, float] | None = None,
) -> None:
    """Note on each completion its log-probabilities now: the policy's, or (where the policy is the
    reference for a moment) the reference's. With ``"old"`` entropies too, if the loss needs them.
    ``carried`` as of :func:`rewardkit.trainers.replay.in_parts`.
    """
    entropy = which == "old" and config.top_entropy_quantile < 1

    def work(part: list[Completion]) -> None:
        flat = flat_logps(policy, part, config, entropy=entropy)
        lengths = flat.lengths.tolist()
        found = flat.logp.cpu().split(lengths), flat.entropy.cpu().split(lengths)
        for item, logp, entropies in zip(part, *found, strict=True):
            if which == "ref":
                item.ref_logps = logp.clone()
                continue
            item.old_logps = logp.clone()
            if entropy:
                item.entropies = entropies.clone()

    in_parts(policy, items, config, {} if carried is None else carried, work)
