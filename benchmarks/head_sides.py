"""The sides of the head benchmark: the same loss of the same tensors, by four implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from rewardkit.trainers import GRPOConfig
from rewardkit.trainers.head import Head, head_loss
from rewardkit.trainers.losses import Denominators, PolicyObjective, Ragged, Tokens

CLIP = (0.2, 0.28)


@dataclass(frozen=True)
class Case:
    """A size: rows of equal length, as the padded implementations want them."""

    sequences: int
    length: int
    vocabulary: int
    width: int
    train: bool

    @property
    def tokens(self) -> int:
        """How many there are."""
        return self.sequences * self.length

    @property
    def name(self) -> str:
        """What it is called in the results."""
        head = "trained" if self.train else "frozen"
        return f"{self.tokens} x {self.vocabulary}, width {self.width}, {head} head"


@dataclass
class Data:
    """Random states and an output embedding whose logits are spread as a model's are."""

    case: Case
    hidden: torch.Tensor
    project: torch.nn.Linear
    targets: torch.Tensor
    advantage: torch.Tensor
    old: torch.Tensor

    @classmethod
    def make(cls, case: Case, device: str) -> Data:
        torch.manual_seed(0)
        hidden = 0.5 * torch.randn(case.tokens, case.width, device=device)
        project = torch.nn.Linear(case.width, case.vocabulary, bias=False, device=device)
        with torch.no_grad():
            project.weight.normal_(std=4 / case.width**0.5)
        project.requires_grad_(case.train)
        targets = torch.randint(case.vocabulary, (case.tokens,), device=device)
        advantage = torch.randn(case.sequences, device=device)
        old = torch.empty(case.tokens, device=device)
        for part in torch.arange(case.tokens, device=device).split(256):
            logits = hidden[part] @ project.weight.detach().T
            old[part] = logits.log_softmax(-1).gather(1, targets[part, None]).squeeze(1)
        old += 0.1 * torch.randn(case.tokens, device=device)
        return cls(case, hidden.requires_grad_(), project, targets, advantage, old)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that is there before."""
        given = [self.hidden, self.project.weight, self.targets, self.advantage, self.old]
        return [t.detach() for t in given]

    @property
    def per_token(self) -> torch.Tensor:
        """The advantage of each token."""
        return self.advantage.repeat_interleave(self.case.length)

    def gradients(self) -> list[torch.Tensor]:
        """Those of states and embedding."""
        return [p.grad for p in (self.hidden, self.project.weight) if p.grad is not None]

    def clear(self) -> None:
        """Forget them."""
        self.hidden.grad = self.project.weight.grad = None


def _clipped(logp: torch.Tensor, data: Data) -> torch.Tensor:
    ratio = torch.exp(logp - data.old)
    advantage = data.per_token
    inside = ratio.clamp(1 - CLIP[0], 1 + CLIP[1])
    return -torch.minimum(ratio * advantage, inside * advantage).sum() / data.case.tokens


def naive(data: Data) -> torch.Tensor:
    """The logits whole."""
    logits = data.hidden @ data.project.weight.T
    return _clipped(logits.log_softmax(-1).gather(1, data.targets[:, None]).squeeze(1), data)


def ours(data: Data) -> torch.Tensor:
    """The built-in trainer's, in one pass; it gives the entropies too."""
    lengths = torch.full((data.case.sequences,), data.case.length, device=data.hidden.device)
    config = GRPOConfig(loss_type="dapo", epsilon=CLIP[0], epsilon_high=CLIP[1])
    tokens = Tokens(Ragged.of(lengths), data.per_token, old=data.old)
    denominators = Denominators(data.case.sequences, data.case.tokens, data.case.length)
    objective = PolicyObjective(tokens, config, denominators)
    head = Head(data.project, data.case.vocabulary)
    budget = config.head_budget_mib
    return head_loss(head, data.hidden, data.targets, objective, budget_mib=budget).loss


def trl(data: Data) -> torch.Tensor:
    """TRL's chunked log-probabilities with its trainer's tile, entropies not asked for."""
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as TILE

    outputs = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
        data.hidden, data.project.weight, None, data.targets, 1.0, TILE, None, 1.0, ("log_probs",)
    )
    return _clipped(outputs[0], data)


def liger(data: Data) -> torch.Tensor:
    """Liger's fused loss, a sequence at a time as it defaults to, not compiled."""
    from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

    case = data.case
    shape = (case.sequences, case.length)
    loss = LigerFusedLinearGRPOLoss(
        beta=0.0, compiled=False, use_ref_model=False, epsilon_low=CLIP[0], epsilon_high=CLIP[1],
        loss_type="dapo",
    )  # fmt: skip
    return loss(  # type: ignore[no-any-return]
        data.hidden.view(*shape, case.width),
        data.project.weight,
        data.targets.view(shape),
        torch.ones(shape, device=data.hidden.device),
        data.advantage,
        old_per_token_logps=data.old.view(shape),
    )[0]


SIDES: dict[str, Callable[[Data], torch.Tensor]] = {
    "ours": ours,
    "naive": naive,
    "TRL": trl,
    "Liger": liger,
}
