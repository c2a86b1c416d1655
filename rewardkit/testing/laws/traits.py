"""Traits: what a reward says of itself, so that further laws fit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rewardkit.errors import UsageError
from rewardkit.rewards import VerifierReward
from rewardkit.rubric import Rubric
from rewardkit.verifiers.extraction import THINK

__all__ = ["TRAITS", "check_traits", "traits_of"]

TRAITS: Mapping[str, str] = {
    "answer": "judges one answer against the row's gold",
    "whitespace": "whitespace around the whole text changes nothing",
    "thinking": "a block of <think> tags before the text changes nothing",
    "proximity": "pays numbers by how near they come: closer is never worse",
}
"""Every trait, and what it promises."""


def traits_of(rubric: Rubric) -> frozenset[str]:
    """The traits that every part that counts declares (as ``traits`` of its verifier or function).

    What all parts keep, their sum keeps; only ``"answer"`` and ``"proximity"`` need every part.
    """
    declared = [_declared(part) for part in rubric.parts.values() if part.weight]
    return frozenset.intersection(*declared) if declared else frozenset()


def check_traits(traits: Iterable[str]) -> frozenset[str]:
    """The traits, if there are such. Raises ``UsageError``."""
    found = frozenset(traits)
    if unknown := found - TRAITS.keys():
        raise UsageError(f"unknown trait {sorted(unknown)[0]!r}; there are: {', '.join(TRAITS)}")
    return found


def _declared(part: object) -> frozenset[str]:
    if isinstance(part, VerifierReward):
        found = frozenset(part.verifier.traits)
        if getattr(part.verifier, "thinking", THINK) != THINK:
            found -= {"thinking"}  # other markers, or none: <think> is text like any other
        return found if part.partial or part.values else found - {"proximity"}
    return frozenset(getattr(getattr(part, "fn", part), "traits", ()))
