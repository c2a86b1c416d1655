"""Mathematical answers: a grammar of ours, exact tiers, and algebra in a killable worker."""

from rewardkit.verifiers.math.verifier import Form, MathVerifier

__all__ = ["Form", "MathVerifier"]
