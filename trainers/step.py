"""One optimizer step: from completions with advantages to changed weights."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rewardkit.errors import RewardKitError
from rewardkit.trainers.coefficients import Coefficients
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.head import head_loss
from rewardkit.trainers.losses.entropy import entropy_threshold
from rewardkit.trainers.losses.objective import PolicyObjective, Tokens
from rewardkit.trainers.losses.ragged import Ragged
from rewardkit.trainers.losses.weights import Denominators
from rewardkit.trainers.model import Policy
from rewardkit.trainers.replay import BUDGET
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step_metrics import StepMetrics
from rewardkit.trainers.tokens import flat_states
from rewardkit.trainers.update import apply_gradients, make_gradients

__all__ = ["StepPlan", "accumulate", "optimizer_step", "remedy", "with_gradient"]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What is fixed for a whole step before its first backward, however it is cut.

    Attributes:
        trained: what goes through the model; never empty.
        denominators: what losses are divided by: of all that is learned from.
        coefficients: the weights of KL and entropy.
        threshold: entropy from which on a token is learned from; ``None``: every one is.
        batch_tokens: tokens of the micro-batch that the configuration puts each completion in, by
            its ``id``.
        flat: tokens of completions that are learned from, but have no gradient.
    """

    trained: list[Completion]
    denominators: Denominators
    coefficients: Coefficients
    threshold: float | None
    batch_tokens: dict[int, int]
    flat: int

    @classmethod
    def of(
        cls,
        micro_batches: Sequence[Sequence[Completion]],
        config: GRPOConfig,
        coefficients: Coefficients,
    ) -> StepPlan | None:
        """The plan for these; ``None`` if nothing in them is learned from."""
        kept = [
            [c for c in batch if c.learned_from(config.mask_truncated_completions)]
            for batch in micro_batches
        ]
        kept = [batch for batch in kept if batch]
        items = [c for batch in kept for c in batch]
        if not items:
            return None
        tokens = sum(len(c.ids) for c in items)
        threshold, acted_on = None, tokens
        if config.top_entropy_quantile < 1:
            entropies = _entropies(items)
            threshold = entropy_threshold(entropies, config.top_entropy_quantile)
            acted_on = int((entropies >= threshold).sum())
        denominators = Denominators(
            len(items), tokens, config.max_completion_length, len(kept), acted_on
        )
        together = [sum(len(c.ids) for c in batch) for batch in kept]
        batch_tokens = {
            id(c): count for batch, count in zip(kept, together, strict=True) for c in batch
        }
        trained = with_gradient(items, config)
        flat = _length(items) - _length(trained)
        return cls(trained, denominators, coefficients, threshold, batch_tokens, flat)


def with_gradient(items: Sequence[Completion], config: GRPOConfig) -> list[Completion]:
    """Those that can have one: without KL and entropy in the loss, an advantage of 0 is none.

    Where that would be none at all the shortest is left, so that every parameter has a gradient,
    of zeros, and the optimizer does what it would have done.
    """
    if config.flat_rows_teach:
        return list(items)
    found = [c for c in items if c.advantage]
    return found or [min(items, key=_tokens_of)]


def optimizer_step(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    micro_batches: Sequence[Sequence[Completion]],
    config: GRPOConfig,
    carried: MutableMapping[str, float] | None = None,
) -> dict[str, Any]:
    """Learn from the completions that have a score; returns metrics under TRL's names.

    If nothing in them has a score, the weights and the learning rate are left as they are: a step
    of the optimizer's momentum alone would be learning from nothing.

    Args:
        policy: learns.
        optimizer: of its trainable parameters.
        scheduler: of the learning rate.
        micro_batches: the completions, as the configuration groups them; how they go through the
            model, :mod:`rewardkit.trainers.plan` decides.
        config: of the run.
        carried: what the run carries from step to step; adapted coefficients are noted in it, and
            a budget of tokens that was made smaller.

    Raises:
        RewardKitError: if the loss or the gradient is not finite, or a single completion does not
            fit into memory; nothing has changed then.
        HalfStepError: if memory does not suffice for the optimizer; some weights may have changed.
    """
    carried = {} if carried is None else carried
    plan = StepPlan.of(micro_batches, config, Coefficients.of(config, carried))
    if plan is None:
        return {"loss": None, "grad_norm": None, "skipped": 1}
    metrics = StepMetrics(config, plan.flat)
    # Whole groups as far as may be, whose prompts are computed once.
    items = sorted(plan.trained, key=lambda c: c.group)
    loss, measured = make_gradients(
        policy, optimizer, items, config, carried,
        lambda part: accumulate(policy, part, plan, config, metrics),
        metrics, forget=metrics.clear,
    )  # fmt: skip
    metrics = StepMetrics.merged(measured)
    rate = scheduler.get_last_lr()[0]
    norm = apply_gradients(
        policy, optimizer, scheduler, loss, config.max_grad_norm, remedy=remedy(policy, config)
    )
    found = metrics.means(plan.coefficients)
    if BUDGET in carried:
        found[BUDGET] = carried[BUDGET]
    plan.coefficients.carry(
        config, carried, kl=found.get("kl"), entropy=metrics.entropy_where_it_acts
    )
    return {"loss": loss, "grad_norm": norm, "learning_rate": rate, **found}


def remedy(policy: Policy, config: GRPOConfig) -> str:
    """What to change where there is no memory for the optimizer; no key that is set already."""
    changes = []
    on_gpu = policy.device.type == "cuda"  # bitsandbytes' optimizers work there alone
    if on_gpu and "8bit" not in config.optim:
        changes.append("optim='adamw_8bit'")
    if on_gpu and "paged" not in config.optim:
        changes.append("optim='paged_adamw_8bit' which moves to the host")
    if not policy.has_adapter:
        changes.append("adapters (lora)")
    changes.append("a smaller model")
    return (
        f"Take {', or '.join(changes)}, in a new run that begins with the last checkpoint as its "
        f"model; or go on with --resume where there is more memory"
    )


def accumulate(
    policy: Policy,
    batch: Sequence[Completion],
    plan: StepPlan,
    config: GRPOConfig,
    metrics: StepMetrics,
) -> float:
    """Add a micro-batch's share to the gradients; returns its share in the loss."""
    with policy.autocast(config.bf16):
        states = flat_states(policy, batch, share=config.prefix_sharing)
        tokens = _tokens(batch, states.ragged, plan, config, _precision(states.hidden))
        objective = PolicyObjective(
            tokens,
            config,
            plan.denominators,
            beta=plan.coefficients.beta,
            entropy_coef=plan.coefficients.applied,
        )
        result = head_loss(
            policy.head,
            states.hidden,
            states.targets,
            objective,
            temperature=config.temperature,
            budget_mib=config.head_budget_mib,
        )
    result.loss.backward()
    metrics.add(objective, result.logp, result.entropy)
    metrics.count(_length(batch), states.forwarded)
    return float(result.loss.detach())


def _tokens(
    batch: Sequence[Completion],
    ragged: Ragged,
    plan: StepPlan,
    config: GRPOConfig,
    dtype: torch.dtype,
) -> Tokens:
    """What the rollout noted of a micro-batch, as flat tensors."""
    device = ragged.rows.device

    def flat(noted: Sequence[torch.Tensor | None], what: str) -> torch.Tensor:
        known = [value for value in noted if value is not None]
        if len(known) < len(noted):
            raise RewardKitError(f"these completions carry no {what}")
        return torch.cat(known).to(device=device, dtype=dtype)

    advantage = torch.tensor([c.advantage for c in batch], dtype=dtype, device=device)
    old = [c.old_logps for c in batch]
    ref = [c.ref_logps for c in batch]
    sampling = [torch.tensor(c.sampling_logps) if c.sampling_logps else None for c in batch]
    corrects = config.vllm_importance_sampling_correction
    masks = config.off_policy_mask_threshold is not None and None not in sampling
    chosen = None
    if plan.threshold is not None:
        chosen = (_entropies(batch) >= plan.threshold).to(device=device, dtype=dtype)
    return Tokens(
        ragged,
        ragged.spread(advantage),
        old=None if all(o is None for o in old) else flat(old, "log-probabilities of the rollout"),
        ref=flat(ref, "log-probabilities of the reference") if config.beta else None,
        sampling=flat(sampling, "log-probabilities of sampling") if corrects or masks else None,
        chosen=chosen,
        batch_tokens=torch.tensor([plan.batch_tokens[id(c)] for c in batch], device=device),
    )


def _tokens_of(item: Completion) -> int:
    return len(item.prompt_ids) + len(item.ids)


def _length(items: Sequence[Completion]) -> int:
    return sum(map(_tokens_of, items))


def _precision(hidden: torch.Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)


def _entropies(items: Sequence[Completion]) -> torch.Tensor:
    known = [c.entropies for c in items if c.entropies is not None]
    if len(known) < len(items):
        raise RewardKitError("top_entropy_quantile needs the entropies of the rollout's tokens")
    return torch.cat(known)
