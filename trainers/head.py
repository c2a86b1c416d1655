"""Log-probabilities, entropy, loss and gradient from hidden states, without their logits.

The head is applied to as many rows at a time as a budget in bytes allows, so that its peak memory
depends neither on the number of tokens nor on the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch.utils.checkpoint import checkpoint

from rewardkit.errors import ConfigError
from rewardkit.trainers.head_autograd import Objective, OnePass, TwoPasses
from rewardkit.trainers.head_plan import Curve
from rewardkit.trainers.head_terms import Terms, linear_terms

__all__ = ["Head", "HeadLoss", "Objective", "head_loss", "head_of", "token_logps"]


@dataclass(frozen=True, slots=True)
class Head:
    """How a model turns a hidden state into logits.

    Attributes:
        project: the output embedding, with adapters on it if there are any.
        vocabulary: number of logits.
        scale: factor on the logits (Cohere's ``logit_scale``; one over Granite's).
        softcap: ``softcap * tanh(z / softcap)``, as Gemma has it.
    """

    project: Callable[[torch.Tensor], torch.Tensor]
    vocabulary: int
    scale: float = 1.0
    softcap: float | None = None

    def terms(self, hidden: torch.Tensor) -> Terms | None:
        """The projection as plain matrices; ``None`` where it can only be called."""
        return linear_terms(self.project, hidden)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[R, H] -> [R, V]`` in float32 (or float64, if the hidden states are), all at once."""
        terms = self.terms(hidden)
        z = self.project(hidden) if terms is None else terms.logits()
        z = z if z.dtype == torch.float64 else z.float()
        if self.scale != 1.0:
            z = z * self.scale
        if self.softcap is not None:
            z = self.softcap * torch.tanh(z / self.softcap)
        return z


def head_of(model: Any) -> Head:
    """The head of a causal model of ``transformers``, under the names its architectures give to
    what is done to the logits.

    Raises:
        ConfigError: if it has none.
    """
    project = model.get_output_embeddings()
    if project is None:
        raise ConfigError(f"{type(model).__name__} has no output embeddings: it is no causal LM")
    text = model.config.get_text_config()
    scale = _first(text, "logit_scale", "output_multiplier", "lm_head_multiplier") or 1.0
    scaling = _first(text, "logits_scaling") or 1.0  # Granite divides by it
    scale *= scaling if text.model_type == "hyperclovax" else 1 / scaling
    cap = _first(text, "final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
    return Head(project, int(project.weight.shape[0]), scale, cap)


def _first(settings: Any, *names: str) -> float | None:
    found = (getattr(settings, name, None) for name in names)
    return next((float(value) for value in found if value is not None), None)


class HeadLoss(NamedTuple):
    """What a step needs of the head.

    Attributes:
        loss: a scalar, with gradient.
        logp: of each target, ``[M]``, without.
        entropy: of each position, ``[M]``, in nats, without.
    """

    loss: torch.Tensor
    logp: torch.Tensor
    entropy: torch.Tensor


def token_logps(
    head: Head,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    *,
    temperature: float = 1.0,
    budget_mib: float = 64.0,
    entropy: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target and entropy of each position, both with gradient.

    Args:
        head: the model's head.
        hidden: ``[M, H]``, the state from which each target is predicted.
        targets: ``[M]``, token ids.
        temperature: divides the logits, in sampling and learning alike.
        budget_mib: memory for the logits that exist at one time, and all that is made of them.
        entropy: whether it is wanted; zeros if not.

    Returns:
        ``logp [M]`` and ``entropy [M]`` in nats; float32, or float64 if the states are.
    """
    if not len(targets):
        return _none(hidden), _none(hidden)
    terms = head.terms(hidden)
    if terms is None:
        return _called(head, hidden, targets, temperature, budget_mib)
    curve = Curve.of(head.scale, head.softcap, temperature)
    found = _run(TwoPasses)(targets, curve, _bytes(budget_mib), entropy, *terms.tensors)
    return found[0], found[1]


def _run(function: type[torch.autograd.Function]) -> Callable[..., tuple[torch.Tensor, ...]]:
    """``apply`` of an autograd function, which torch leaves without types."""
    return cast("Callable[..., tuple[torch.Tensor, ...]]", function.apply)


def head_loss(
    head: Head,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    objective: Objective,
    *,
    temperature: float = 1.0,
    budget_mib: float = 64.0,
) -> HeadLoss:
    """The loss of some tokens, in one pass over their logits where the objective allows it.

    Arguments as of :func:`token_logps`; ``objective`` is called with slices of the tokens if it is
    of token level, and once with all of them if not. The loss can be differentiated once.
    """
    terms = head.terms(hidden) if len(targets) and objective.token_level else None
    if terms is not None and torch.is_grad_enabled():
        curve = Curve.of(head.scale, head.softcap, temperature)
        return HeadLoss(
            *_run(OnePass)(targets, curve, _bytes(budget_mib), objective, *terms.tensors)
        )
    logp, entropy = token_logps(
        head, hidden, targets, temperature=temperature, budget_mib=budget_mib
    )
    seen = entropy if objective.entropy_gradient else entropy.detach()
    return HeadLoss(objective(logp, seen), logp.detach(), entropy.detach())


def _bytes(mib: float) -> int:
    return int(mib * 2**20)


def _none(hidden: torch.Tensor) -> torch.Tensor:
    return hidden.sum(-1).to(torch.promote_types(hidden.dtype, torch.float32)) * 0


def _called(
    head: Head, hidden: torch.Tensor, targets: torch.Tensor, temperature: float, budget_mib: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """For a projection that can only be called: few rows at a time, called again for gradients."""
    # The logits, their softmax, its logarithm and two gradients.
    rows = max(1, _bytes(budget_mib) // (5 * 4 * head.vocabulary))
    found = []
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        run = (head, hidden[part], targets[part], temperature)
        if torch.is_grad_enabled():
            found.append(checkpoint(_rows, *run, use_reentrant=False))
        else:
            found.append(_rows(*run))
    return torch.cat([logp for logp, _ in found]), torch.cat([entropy for _, entropy in found])


def _rows(
    head: Head, hidden: torch.Tensor, targets: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    logp = torch.log_softmax(head.logits(hidden) / temperature, dim=-1)
    entropy = torch.special.entr(logp.exp()).sum(-1)
    return logp.gather(1, targets[:, None]).squeeze(1), entropy
