"""The noise budget: how often a verifier is wrong, and what that does to GRPO.

- :func:`measure`: false positives and false negatives by part, from rows that say the truth.
- :func:`effect`: what such rates mean for groups of a size, exactly.
- ``text``, ``data`` and ``html`` in :mod:`rewardkit.testing.noise.show`: both, for people.
"""

from rewardkit.testing.noise.grpo import Effect, effect
from rewardkit.testing.noise.rates import PartNoise, Rate, measure, wilson

__all__ = ["Effect", "PartNoise", "Rate", "effect", "measure", "wilson"]
