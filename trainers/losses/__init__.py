"""The trainer's objective: pure functions over flat, ragged tensors, one entry per token.

``[M]`` is all completion tokens of a micro-batch one after another, ``[N]`` its completions.
"""

from rewardkit.trainers.losses.correction import importance_correction, off_policy_mask
from rewardkit.trainers.losses.entropy import adapted_entropy_coef, entropy_threshold
from rewardkit.trainers.losses.kl import adapted_beta, kl_estimate
from rewardkit.trainers.losses.objective import PolicyObjective, Tokens
from rewardkit.trainers.losses.ragged import Ragged
from rewardkit.trainers.losses.surrogate import LOSSES, Loss, View, ratios
from rewardkit.trainers.losses.weights import Denominators, token_weights

__all__ = [
    "LOSSES",
    "Denominators",
    "Loss",
    "PolicyObjective",
    "Ragged",
    "Tokens",
    "View",
    "adapted_beta",
    "adapted_entropy_coef",
    "entropy_threshold",
    "importance_correction",
    "kl_estimate",
    "off_policy_mask",
    "ratios",
    "token_weights",
]
