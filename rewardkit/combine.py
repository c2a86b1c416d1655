"""Verifiers made of verifiers, in three-valued logic: what is unknown stays unknown.

A conjunction with a part that fails is incorrect whatever the others say; with a part that cannot
be judged and none that fails, it cannot be judged (Kleene, "Introduction to Metamathematics",
1952, §64).
"""

from __future__ import annotations

from typing import Any

from rewardkit._verifier_spec import AnyVerifier
from rewardkit.errors import UsageError
from rewardkit.sample import Aspect, Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier

__all__ = ["AllOf", "AnyOf", "Not"]


class AllOf(Verifier):
    """Correct if every one is. Stops at the first that fails.

    Raises:
        UsageError: without any: a part of nothing would be correct for every text.
    """

    verifiers: tuple[AnyVerifier, ...]

    def __post_init__(self) -> None:
        _check_any(self)

    def _verify(self, sample: Sample) -> Verdict:
        return _fold(self.verifiers, sample, decisive="incorrect")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(v.columns for v in self.verifiers))

    @property
    def aspect(self) -> Aspect:
        return _aspect(self.verifiers)

    @property
    def blocking(self) -> bool:  # type: ignore[override]
        """True if a member waits."""
        return any(v.blocking or v.is_async for v in self.verifiers)

    def check_gold(self, sample: Sample) -> Verdict | None:
        return _first_problem(self.verifiers, sample)

    @property
    def checks_gold(self) -> bool:
        return all(v.checks_gold for v in self.verifiers)

    def environment(self) -> dict[str, Any]:
        return _environments(self.verifiers)


class AnyOf(Verifier):
    """Correct if at least one is. Stops at the first that holds.

    Raises:
        UsageError: without any: a part of nothing would be incorrect for every text.
    """

    verifiers: tuple[AnyVerifier, ...]

    def __post_init__(self) -> None:
        _check_any(self)

    def _verify(self, sample: Sample) -> Verdict:
        return _fold(self.verifiers, sample, decisive="correct")

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(v.columns for v in self.verifiers))

    @property
    def aspect(self) -> Aspect:
        return _aspect(self.verifiers)

    @property
    def blocking(self) -> bool:  # type: ignore[override]
        """True if a member waits."""
        return any(v.blocking or v.is_async for v in self.verifiers)

    def check_gold(self, sample: Sample) -> Verdict | None:
        return _first_problem(self.verifiers, sample)

    @property
    def checks_gold(self) -> bool:
        return all(v.checks_gold for v in self.verifiers)

    def environment(self) -> dict[str, Any]:
        return _environments(self.verifiers)


class Not(Verifier):
    """Correct if the other is incorrect. Unscorable stays unscorable.

    Incorrect stays incorrect where there was nothing to judge (the label ``"missing"``) or judging
    ran into a limit: else writing no answer, or one that takes for ever, would earn the reward.
    """

    verifier: AnyVerifier

    def _verify(self, sample: Sample) -> Verdict:
        inner = self.verifier.verify(sample)
        if inner.status == "unscorable" or _undecided(inner):
            return inner
        made = Verdict.correct if inner.status == "incorrect" else Verdict.incorrect
        return made(f"not: {inner.reason}", rule=f"not {inner.evidence.rule}")

    @property
    def columns(self) -> frozenset[str]:
        return self.verifier.columns

    @property
    def aspect(self) -> Aspect:
        return self.verifier.aspect

    @property
    def blocking(self) -> bool:  # type: ignore[override]
        """True if the other waits."""
        return self.verifier.blocking or self.verifier.is_async

    def check_gold(self, sample: Sample) -> Verdict | None:
        return self.verifier.check_gold(sample)

    @property
    def checks_gold(self) -> bool:
        return self.verifier.checks_gold

    def environment(self) -> dict[str, Any]:
        return self.verifier.environment()


_LIMITS = ("the pattern ran past", "not decided")
"""How the reasons of our own verifiers begin where a text drove them into a limit."""


def _check_any(combination: AllOf | AnyOf) -> None:
    if not combination.verifiers:
        raise UsageError(f"{type(combination).__name__} needs at least one verifier")


def _aspect(verifiers: tuple[Verifier, ...]) -> Aspect:
    """The answer if any member judges it, and the form only if all do."""
    found = {verifier.aspect for verifier in verifiers}
    return "answer" if "answer" in found else "unknown" if "unknown" in found else "form"


def _undecided(verdict: Verdict) -> bool:
    """Whether an incorrect verdict says that nothing was found out, rather than that it is so."""
    return verdict.status == "incorrect" and (
        verdict.label in ("missing", "limit")
        or verdict.evidence.rule == "limit"
        or verdict.reason.startswith(_LIMITS)
    )


def _environments(verifiers: tuple[Verifier, ...]) -> dict[str, Any]:
    """What the members depend on, by its name; numbered where two say different things."""
    found: dict[str, Any] = {}
    for number, verifier in enumerate(verifiers, 1):
        for name, value in verifier.environment().items():
            same = found.get(name, value) == value
            found[name if same else f"{name} of verifier {number}"] = value
    return found


def _first_problem(verifiers: tuple[Verifier, ...], sample: Sample) -> Verdict | None:
    """What is wrong with the gold of some member: judging the empty text would stop at the first
    that decides, and so hide it."""
    found = (verifier.check_gold(sample) for verifier in verifiers)
    return next((verdict for verdict in found if verdict is not None), None)


def _fold(verifiers: tuple[Verifier, ...], sample: Sample, *, decisive: str) -> Verdict:
    """The first decisive verdict; else the first unscorable one; else the last."""
    unknown: Verdict | None = None
    for verifier in verifiers:
        last = verifier.verify(sample)
        if last.status == decisive:
            return last
        if last.status == "unscorable" and unknown is None:
            unknown = last
    return last if unknown is None else unknown
