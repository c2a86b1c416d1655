"""The loss of a micro-batch, put together from its parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.losses.correction import importance_correction, off_policy_mask
from rewardkit.trainers.losses.kl import kl_estimate
from rewardkit.trainers.losses.ragged import Ragged
from rewardkit.trainers.losses.surrogate import LOSSES, View, ratios
from rewardkit.trainers.losses.weights import Denominators, token_weights

__all__ = ["PolicyObjective", "Tokens"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is known of a micro-batch's tokens before the policy sees them again; each ``[M]``.

    Attributes:
        ragged: the completions.
        advantage: of the completion that the token belongs to.
        old: log-probabilities of the policy at the rollout; ``None`` if it has not moved since.
        ref: of the reference policy; ``None`` without KL in the loss.
        sampling: as the engine said when it sampled; ``None`` if it did not.
        chosen: 1 for tokens that the policy loss acts on, else 0; ``None``: all.
        batch_tokens: ``[N]``, for ``bnpo``: tokens of the micro-batch that each completion belongs
            to by the configuration; ``None``: they are one.
    """

    ragged: Ragged
    advantage: torch.Tensor
    old: torch.Tensor | None = None
    ref: torch.Tensor | None = None
    sampling: torch.Tensor | None = None
    chosen: torch.Tensor | None = None
    batch_tokens: torch.Tensor | None = None


class PolicyObjective:
    """The share of a micro-batch in the step's loss, as a function of its log-probabilities.

    ``sum_t w_t (l_t m_t c_t + beta kl_t) - coef sum_t H_t e_t / E``: ``l`` the policy loss, ``m``
    the masks of off-policy completions and of low entropy, ``c`` the engine's correction, ``w``
    from :func:`token_weights`, ``e`` the tokens chosen by entropy, ``E`` their number in the step.

    Args:
        tokens: what is known of them.
        config: the objective's keys.
        denominators: of the whole step.
        beta: weight of the KL now.
        entropy_coef: weight of the entropy now.
    """

    def __init__(
        self,
        tokens: Tokens,
        config: GRPOConfig,
        denominators: Denominators,
        *,
        beta: float = 0.0,
        entropy_coef: float = 0.0,
    ) -> None:
        self.tokens, self.config, self._denominators = tokens, config, denominators
        self.loss = LOSSES[config.loss_type]
        self.level = self.loss.level or config.importance_sampling_level
        self.beta = beta if config.kl_placement == "loss" else 0.0
        self.entropy_coef = entropy_coef
        self._weight = token_weights(
            self.loss.share,
            tokens.ragged,
            denominators,
            tokens.advantage.dtype,
            tokens.batch_tokens,
        )
        self.correction = _correction(tokens, config)

    @property
    def token_level(self) -> bool:
        """Whether each token's share depends on no other token."""
        masked = self.config.off_policy_mask_threshold is not None
        return self.level == "token" and not self.loss.whole and not masked

    @property
    def entropy_gradient(self) -> bool:
        """Whether the loss depends on the entropies."""
        return self.entropy_coef != 0.0

    def __call__(
        self, logp: torch.Tensor, entropy: torch.Tensor, part: slice = slice(None)
    ) -> torch.Tensor:
        """The share of the tokens in ``part``; see :class:`rewardkit.trainers.head.Objective`."""
        view = self.view(logp, part)
        per_token = self.loss.per_token(view, self.config)
        for factor in self._factors(view, part):
            per_token = per_token * factor
        if self.beta:
            per_token = per_token + self.beta * self.kl(view, part)
        total = (per_token * self._weight[part]).sum()
        if self.entropy_coef:
            chosen = self.tokens.chosen
            acted_on = entropy if chosen is None else entropy * chosen[part]
            total = total - self.entropy_coef * acted_on.sum() / self._denominators.entropy_tokens
        return total

    def view(self, logp: torch.Tensor, part: slice = slice(None)) -> View:
        """What the policy loss sees of some tokens."""
        tokens = self.tokens
        old = logp.detach() if tokens.old is None else tokens.old[part]
        log_ratio = logp - old
        return View(
            logp=logp,
            log_ratio=log_ratio,
            ratio=ratios(log_ratio, tokens.ragged, self.level),
            advantage=tokens.advantage[part],
            ragged=tokens.ragged,
            correction=None if self.correction is None else self.correction[part],
        )

    def kl(self, view: View, part: slice = slice(None)) -> torch.Tensor:
        """The KL term of some tokens, before ``beta``."""
        assert self.tokens.ref is not None
        kl = kl_estimate(view.logp, self.tokens.ref[part], self.config.kl_estimator)
        return kl * view.ratio if self.config.use_bias_correction_kl else kl

    def _factors(self, view: View, part: slice) -> list[torch.Tensor]:
        """What the policy loss is multiplied by: masks, and the engine's correction."""
        tokens, threshold = self.tokens, self.config.off_policy_mask_threshold
        factors = []
        if threshold is not None:
            before = view.logp - view.log_ratio if tokens.sampling is None else tokens.sampling
            factors.append(
                off_policy_mask(
                    view.logp, before.detach(), view.advantage, tokens.ragged, threshold
                )
            )
        if tokens.chosen is not None:
            factors.append(tokens.chosen[part])
        if view.correction is not None and not self.loss.corrects:
            factors.append(view.correction)
        return factors


def _correction(tokens: Tokens, config: GRPOConfig) -> torch.Tensor | None:
    if not config.vllm_importance_sampling_correction:
        return None
    assert tokens.old is not None
    assert tokens.sampling is not None
    return importance_correction(
        tokens.old,
        tokens.sampling,
        tokens.ragged,
        config.vllm_importance_sampling_mode,
        config.vllm_importance_sampling_clip_min,
        config.vllm_importance_sampling_clip_max,
    )
