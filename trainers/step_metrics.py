"""What a step is logged as, under TRL's names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from rewardkit.trainers.coefficients import Coefficients
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.losses.objective import PolicyObjective
from rewardkit.trainers.losses.surrogate import View, clipped

__all__ = ["StepMetrics"]


class StepMetrics:
    """Sums over the tokens (or completions, for their own ratios) that go through the model.

    Args:
        config: of the run.
        flat: tokens of sequences that are learned from, but are not computed, as they have no
            gradient.
    """

    def __init__(self, config: GRPOConfig, flat: int = 0) -> None:
        self._config, self._flat = config, flat
        self.clear()

    def clear(self) -> None:
        """Forget all micro-batches."""
        self._sums: dict[str, tuple[float, int]] = {}
        self._least: dict[str, float] = {}
        self._most: dict[str, float] = {}
        self._tokens = dict.fromkeys(("forwarded", "saved_prefix", "padding"), 0)

    def count(self, length: int, forwarded: int) -> None:
        """Count a micro-batch's sequences, ``length`` tokens in all, and what they came to."""
        self._tokens["forwarded"] += forwarded
        self._tokens["saved_prefix"] += max(0, length - forwarded)
        self._tokens["padding"] += max(0, forwarded - length)

    @torch.no_grad()
    def add(self, objective: PolicyObjective, logp: torch.Tensor, entropy: torch.Tensor) -> None:
        """Count a micro-batch, by its log-probabilities before the step."""
        view, tokens = objective.view(logp), objective.tokens
        self._mean("entropy", entropy)
        if tokens.chosen is not None:
            self._mean("entropy/chosen", entropy[tokens.chosen > 0])
        if tokens.ref is not None:
            self._mean("kl", objective.kl(view))
        if objective.loss.per_token is clipped:
            self._clipping(view, objective.level)
        elif self._config.loss_type == "cispo":
            over = (view.ratio > self._config.clip[1]) & (view.advantage > 0)
            self._mean("cispo_clip_ratio", _per_unit(over, view, objective.level))
        if objective.correction is not None:
            self._mismatch(objective)

    @classmethod
    def merged(cls, parts: Sequence[StepMetrics]) -> StepMetrics:
        """Those of the whole step; the parts are of different micro-batches."""
        whole, *others = parts
        for part in others:
            for name, (total, count) in part._sums.items():
                before = whole._sums.get(name, (0.0, 0))
                whole._sums[name] = before[0] + total, before[1] + count
            for name, value in part._least.items():
                whole._extremes(name, [value], None)
            for name, value in part._most.items():
                whole._extremes(None, [value], name)
            for name, tokens in part._tokens.items():
                whole._tokens[name] += tokens
        return whole

    def means(self, coefficients: Coefficients) -> dict[str, float]:
        """All of it; coefficients that move are logged as they were in this step."""
        found = {name: total / max(count, 1) for name, (total, count) in self._sums.items()}
        found |= self._least | self._most
        found |= {f"tokens/{name}": count for name, count in self._tokens.items()}
        found["tokens/saved_skip"] = self._flat
        found.pop("entropy/chosen", None)
        if self._config.entropy_coef or self._config.use_adaptive_entropy:
            found["entropy_coef"] = coefficients.entropy_coef
        if self._config.kl_target is not None:
            found["beta"] = coefficients.beta
        return found

    @property
    def entropy_where_it_acts(self) -> float | None:
        """Mean entropy of the tokens that the bonus acts on; ``None`` if there are none."""
        name = "entropy/chosen" if "entropy/chosen" in self._sums else "entropy"
        total, count = self._sums.get(name, (0.0, 0))
        return total / count if count and math.isfinite(total) else None

    def _mean(self, name: str, values: torch.Tensor) -> None:
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = total + float(values.double().sum()), count + values.numel()

    def _clipping(self, view: View, level: str) -> None:
        """Shares of what is clipped: over all, and the extremes over completions."""
        clip = self._config.clip
        low = (view.ratio < 1 - clip[0]) & (view.advantage < 0)
        high = (view.ratio > 1 + clip[1]) & (view.advantage > 0)
        for name, clipped_ in (("low", low), ("high", high), ("region", low | high)):
            self._mean(f"clip_ratio/{name}_mean", _per_unit(clipped_, view, level))
        shares = [view.ragged.mean(x.to(view.logp.dtype)).tolist() for x in (low, high)]
        self._extremes("clip_ratio/low_min", shares[0], None)
        self._extremes(None, shares[1], "clip_ratio/high_max")

    def _mismatch(self, objective: PolicyObjective) -> None:
        """How far the engine's probabilities are from the trainer's."""
        tokens, weight = objective.tokens, objective.correction
        assert tokens.old is not None
        assert tokens.sampling is not None
        assert weight is not None
        gap = (tokens.old - tokens.sampling).abs()
        known = gap[~gap.isnan()]
        self._mean("sampling/sampling_logp_difference/mean", known)
        self._extremes(None, known.tolist(), "sampling/sampling_logp_difference/max")
        name = "sampling/importance_sampling_ratio"
        self._mean(f"{name}/mean", weight)
        self._extremes(f"{name}/min", [float(weight.min())], None)
        self._extremes(None, [float(weight.max())], f"{name}/max")

    def _extremes(self, least: str | None, values: list[float], most: str | None) -> None:
        if least and values:
            self._least[least] = min([self._least.get(least, math.inf), *values])
        if most and values:
            self._most[most] = max([self._most.get(most, -math.inf), *values])


def _per_unit(flags: torch.Tensor, view: View, level: str) -> torch.Tensor:
    """As numbers, of tokens; of completions where the ratio is theirs."""
    values = flags.to(view.logp.dtype)
    return values if level == "token" else view.ragged.mean(values)
