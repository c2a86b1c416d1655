"""Verifiers made of verifiers, in three-valued logic: what is unknown stays unknown.

A conjunction with a part that fails is incorrect whatever the others say; with a part that cannot
be judged and none that fails, it cannot be judged (Kleene, "Introduction to Metamathematics",
1952, §64).
"""

from __future__ import annotations

from rewardkit._verifier_spec import AnyVerifier
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier

__all__ = ["AllOf", "AnyOf", "Not"]


class AllOf(Verifier):
    """Correct if every one is. Stops at the first that fails."""

    verifiers: tuple[AnyVerifier, ...]

    def _verify(self, sample: Sample) -> Verdict:
        return _fold(self.verifiers, sample, decisive="incorrect")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(v.columns for v in self.verifiers))


class AnyOf(Verifier):
    """Correct if at least one is. Stops at the first that holds."""

    verifiers: tuple[AnyVerifier, ...]

    def _verify(self, sample: Sample) -> Verdict:
        return _fold(self.verifiers, sample, decisive="correct")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(v.columns for v in self.verifiers))


class Not(Verifier):
    """Correct if the other is incorrect. Unscorable stays unscorable."""

    verifier: AnyVerifier

    def _verify(self, sample: Sample) -> Verdict:
        inner = self.verifier.verify(sample)
        if inner.status == "unscorable":
            return inner
        made = Verdict.correct if inner.status == "incorrect" else Verdict.incorrect
        return made(f"not: {inner.reason}", rule=f"not {inner.evidence.rule}")

    @property
    def columns(self) -> frozenset[str]:
        return self.verifier.columns


def _fold(verifiers: tuple[Verifier, ...], sample: Sample, *, decisive: str) -> Verdict:
    """The first decisive verdict; else the first unscorable one; else the last."""
    unknown, last = None, Verdict.correct("nothing to check", rule="empty")
    for verifier in verifiers:
        last = verifier.verify(sample)
        if last.status == decisive:
            return last
        if last.status == "unscorable" and unknown is None:
            unknown = last
    return last if unknown is None else unknown
