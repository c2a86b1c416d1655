"""Rewards that can be checked.

Verifiers say whether something holds; rewards turn a verdict into a number; a rubric names, weighs
and gates rewards into one score that explains itself.

- :class:`Sample`: what is judged. :class:`Verdict`: what a :class:`Verifier` says of it.
- :class:`Rubric`: named rewards; :class:`Score`: what they came to.
- :func:`reward`: makes any function a reward.
- ``rewardkit.verifiers``: math, numbers, format, text, code.
- ``rewardkit.presets``: well-known rubrics, ready to use.
- ``rewardkit.trainers``: GRPO, built in or by TRL.

Importing this package imports neither torch nor sympy.
"""

from typing import TYPE_CHECKING

from rewardkit._lazy import lazy

if TYPE_CHECKING:
    from rewardkit.combine import AllOf, AnyOf, Not
    from rewardkit.errors import (
        ConfigError,
        DataError,
        MissingColumnError,
        MissingExtraError,
        RewardError,
        RewardKitError,
        RewardKitWarning,
        RubricError,
        SpecError,
        TooManyUnscorableError,
        UsageError,
    )
    from rewardkit.function import FunctionReward, reward
    from rewardkit.gate import Gate
    from rewardkit.rewards import Reward, VerifierReward
    from rewardkit.rubric import Rubric
    from rewardkit.sample import Column, Sample
    from rewardkit.score import PartScore, Score
    from rewardkit.verdict import Evidence, Refused, Verdict
    from rewardkit.verifier import Verifier

__version__ = "0.1.0"

__all__ = [
    "AllOf",
    "AnyOf",
    "Column",
    "ConfigError",
    "DataError",
    "Evidence",
    "FunctionReward",
    "Gate",
    "MissingColumnError",
    "MissingExtraError",
    "Not",
    "PartScore",
    "Refused",
    "Reward",
    "RewardError",
    "RewardKitError",
    "RewardKitWarning",
    "Rubric",
    "RubricError",
    "Sample",
    "Score",
    "SpecError",
    "TooManyUnscorableError",
    "UsageError",
    "Verdict",
    "Verifier",
    "VerifierReward",
    "reward",
]

__getattr__ = lazy(
    __name__,
    {
        "rewardkit.combine": (
            "AllOf",
            "AnyOf",
            "Not",
        ),
        "rewardkit.errors": (
            "ConfigError",
            "DataError",
            "MissingColumnError",
            "MissingExtraError",
            "RewardError",
            "RewardKitError",
            "RewardKitWarning",
            "RubricError",
            "SpecError",
            "TooManyUnscorableError",
            "UsageError",
        ),
        "rewardkit.function": (
            "FunctionReward",
            "reward",
        ),
        "rewardkit.gate": ("Gate",),
        "rewardkit.rewards": (
            "Reward",
            "VerifierReward",
        ),
        "rewardkit.rubric": ("Rubric",),
        "rewardkit.sample": (
            "Column",
            "Sample",
        ),
        "rewardkit.score": (
            "PartScore",
            "Score",
        ),
        "rewardkit.verdict": (
            "Evidence",
            "Refused",
            "Verdict",
        ),
        "rewardkit.verifier": ("Verifier",),
    },
)
