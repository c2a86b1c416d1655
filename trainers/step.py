"""One optimizer step: from completions with advantages to changed weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rewardkit.errors import RewardKitError
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.head import token_logps
from rewardkit.trainers.losses import Denominators, aggregate, clipped_surrogate, k3
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["Flat", "flat_logps", "note_logps", "optimizer_step"]


@dataclass(frozen=True, slots=True)
class Flat:
    """All completion tokens of some completions, one after another.

    Attributes:
        logp: ``[M]``, with gradient unless made without.
        entropy: ``[M]``.
        rows: ``[M]``, which completion each token belongs to.
        lengths: ``[N]``, tokens of each completion.
    """

    logp: torch.Tensor
    entropy: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor


def flat_logps(policy: Policy, items: Sequence[Completion], config: GRPOConfig) -> Flat:
    """Log-probabilities of every completion token under the policy.

    Sequences are padded on the right, where a causal model cannot see it; only the states that
    predict a completion token reach the head.
    """
    device = policy.device
    sequences = [c.prompt_ids + c.ids for c in items]
    width = max(map(len, sequences))
    ids = torch.full((len(items), width), policy.tokenizer.pad_token_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, sequence in enumerate(sequences):
        ids[i, : len(sequence)] = torch.tensor(sequence)
        mask[i, : len(sequence)] = 1
    lengths = torch.tensor([len(c.ids) for c in items])
    rows = torch.repeat_interleave(torch.arange(len(items)), lengths)
    predicts = torch.cat(
        [torch.arange(len(c.prompt_ids) - 1, len(c.prompt_ids) + len(c.ids) - 1) for c in items]
    )
    targets = ids[rows, predicts + 1]
    with policy.autocast(config.bf16):
        states = policy.hidden(ids.to(device), mask.to(device))
        logp, entropy = token_logps(
            policy.head,
            states[rows.to(device), predicts.to(device)],
            targets.to(device),
            temperature=config.temperature,
            budget_mib=config.head_budget_mib,
        )
    return Flat(logp, entropy, rows.to(device), lengths.to(device))


@torch.no_grad()
def note_logps(
    policy: Policy, items: Sequence[Completion], config: GRPOConfig, *, which: str
) -> None:
    """Note on each completion its log-probabilities now: ``which`` is ``"old"`` or ``"ref"``."""
    size = config.per_device_train_batch_size
    for start in range(0, len(items), size):
        part = items[start : start + size]
        flat = flat_logps(policy, part, config)
        for item, logp in zip(part, flat.logp.split(flat.lengths.tolist()), strict=True):
            if which == "old":
                item.old_logps = logp.cpu()
            else:
                item.ref_logps = logp.cpu()


@dataclass(slots=True)
class _Sums:
    """Token sums of a step, for its metrics."""

    tokens: int = 0
    totals: dict[str, float] = field(default_factory=dict)
    extremes: dict[str, float] = field(default_factory=dict)

    def add(self, **values: torch.Tensor) -> None:
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0.0) + float(value.detach().sum())

    def add_clipped(self, low: torch.Tensor, high: torch.Tensor, flat: Flat) -> None:
        """Shares of clipped tokens: over all tokens, and the extremes over completions."""
        self.add(**{"clip_ratio/low_mean": low, "clip_ratio/high_mean": high})
        self.add(**{"clip_ratio/region_mean": low | high})
        for name, clipped, extreme in (("low_min", low, min), ("high_max", high, max)):
            counts = torch.zeros(len(flat.lengths), device=low.device)
            shares = counts.index_add_(0, flat.rows, clipped.float()) / flat.lengths
            known = [self.extremes[name]] if name in self.extremes else []
            self.extremes[name] = extreme([*known, *shares.tolist()])

    def means(self) -> dict[str, float]:
        found = {name: total / max(self.tokens, 1) for name, total in self.totals.items()}
        return found | {f"clip_ratio/{name}": value for name, value in self.extremes.items()}


def optimizer_step(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    micro_batches: Sequence[Sequence[Completion]],
    config: GRPOConfig,
) -> dict[str, Any]:
    """Learn from the completions that have a score; returns metrics under TRL's names.

    Denominators are counted over the whole step first. If nothing in it has a score, the weights
    and the learning rate are left as they are: a step of the optimizer's momentum alone would be
    learning from nothing.

    Raises:
        RewardKitError: if the loss or the gradient is not finite.
    """
    learned = [
        [c for c in batch if c.learned_from(config.mask_truncated_completions)]
        for batch in micro_batches
    ]
    learned = [batch for batch in learned if batch]
    flat_items = [c for batch in learned for c in batch]
    if not flat_items:
        return {"loss": None, "grad_norm": None, "skipped": 1}
    denominators = Denominators(
        len(flat_items), sum(len(c.ids) for c in flat_items), config.max_completion_length
    )
    sums, loss_value = _Sums(), 0.0
    for batch in learned:
        loss = _micro_loss(policy, batch, denominators, config, sums)
        if config.loss_type == "bnpo":
            loss = loss / len(learned)
        loss.backward()
        loss_value += float(loss.detach())
    norm = float(torch.nn.utils.clip_grad_norm_(policy.trainable(), config.max_grad_norm))
    if not (math.isfinite(loss_value) and math.isfinite(norm)):
        raise RewardKitError(
            f"loss {loss_value} or gradient norm {norm} is not finite; this step changed no "
            f"weight. Lower the learning rate, or look for NaN in the model"
        )
    rate = scheduler.get_last_lr()[0]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    scheduler.step()
    return {"loss": loss_value, "grad_norm": norm, "learning_rate": rate, **sums.means()}


def _micro_loss(
    policy: Policy,
    batch: Sequence[Completion],
    denominators: Denominators,
    config: GRPOConfig,
    sums: _Sums,
) -> torch.Tensor:
    """The micro-batch's share of the step's loss, with gradient."""
    flat = flat_logps(policy, batch, config)
    device, dtype = flat.logp.device, flat.logp.dtype
    advantage = torch.tensor([c.advantage for c in batch], dtype=dtype, device=device)[flat.rows]
    old = _noted([c.old_logps for c in batch], flat.logp)
    per_token, ratio = clipped_surrogate(flat.logp, old, advantage, config.clip, config.delta)
    low = (ratio < 1 - config.clip[0]) & (advantage < 0)
    high = (ratio > 1 + config.clip[1]) & (advantage > 0)
    sums.tokens += flat.logp.numel()
    if config.beta:
        kl = k3(flat.logp, _noted([c.ref_logps for c in batch], flat.logp, needed="reference"))
        if config.use_bias_correction_kl:
            kl = kl * ratio
        per_token = per_token + config.beta * kl
        sums.add(kl=kl)
    sums.add(entropy=flat.entropy)
    sums.add_clipped(low, high, flat)
    return aggregate(per_token, flat.rows, flat.lengths, config.loss_type, denominators)


def _noted(
    noted: Sequence[torch.Tensor | None], now: torch.Tensor, needed: str = ""
) -> torch.Tensor:
    """What was noted at the rollout; the values of now where the policy has not moved since."""
    known = [value for value in noted if value is not None]
    if len(known) < len(noted):
        if needed:
            raise RewardKitError(f"these completions carry no {needed} log-probabilities")
        return now.detach()
    return torch.cat(known).to(device=now.device, dtype=now.dtype)
