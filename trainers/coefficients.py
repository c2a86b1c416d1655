"""The weights of KL and entropy, which a run may adapt as it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.losses.entropy import adapted_entropy_coef
from rewardkit.trainers.losses.kl import adapted_beta

__all__ = ["Coefficients"]

_BETA, _COEF, _ENTROPY = "beta", "entropy_coef", "entropy"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The same for all micro-batches of a step, moved after it.

    Attributes:
        beta: weight of the KL.
        entropy_coef: weight of the entropy bonus, as adapted so far.
        applied: what of it acts in this step.
    """

    beta: float
    entropy_coef: float
    applied: float

    @classmethod
    def of(cls, config: GRPOConfig, carried: Mapping[str, float]) -> Coefficients:
        """Those of the next step.

        Args:
            config: what the run began with.
            carried: what it carries from step to step; empty at first.
        """
        coefficient = carried.get(_COEF, config.entropy_coef)
        low = carried.get(_ENTROPY, math.inf) <= config.entropy_target
        applied = coefficient if low or not config.use_adaptive_entropy else 0.0
        return cls(carried.get(_BETA, config.beta), coefficient, applied)

    def carry(
        self,
        config: GRPOConfig,
        carried: MutableMapping[str, float],
        *,
        kl: float | None,
        entropy: float | None,
    ) -> None:
        """Note those of the step after, by what this one measured."""
        if config.kl_target is not None and kl is not None:
            carried[_BETA] = adapted_beta(self.beta, kl, config.kl_target, config.kl_gain)
        if config.use_adaptive_entropy and entropy is not None:
            carried[_ENTROPY] = entropy
            carried[_COEF] = adapted_entropy_coef(
                self.entropy_coef,
                entropy,
                config.entropy_target,
                config.entropy_coef_delta,
                config.entropy_coef_min,
                config.entropy_coef_max,
            )
