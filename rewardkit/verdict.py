"""What a verifier says: correct, incorrect, or that it cannot say; never a number of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, NamedTuple, NoReturn, get_args

from rewardkit.errors import UsageError

__all__ = ["Evidence", "Fault", "Refused", "Status", "Verdict", "stamp"]

Status = Literal["correct", "incorrect", "unscorable"]
Fault = Literal["dataset", "verifier", "infrastructure"]
"""Whose fault it is that there is no verdict. Never the judged text's: that is ``incorrect``."""

Span = tuple[int, int]
"""Character offsets into ``Sample.text``, end exclusive."""


class Refused(NamedTuple):
    """Something that was considered as the answer and not taken."""

    text: str
    why: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a verdict is what it is.

    Attributes:
        rule: the rule that fired, in a few words ("last \\boxed{}", "exact text").
        span: character offsets into ``Sample.text`` of what was judged, or ``None``.
        text: what was judged, as extracted.
        refused: what else was considered, and why it was not taken.
        details: values worth keeping, by name (plain types only, so that a run folder holds them).
        seconds: wall time the verifier spent.
        verifier: the verifier's class name.
        version: the verifier's version.
    """

    rule: str = ""
    span: Span | None = None
    text: str | None = None
    refused: tuple[Refused, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    verifier: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a property holds. Made by :meth:`correct`, :meth:`incorrect`, :meth:`unscorable`.

    Attributes:
        status: ``"correct"``, ``"incorrect"`` or ``"unscorable"``.
        reason: one sentence for people.
        credit: how nearly it holds, in [0, 1]: 1.0 exactly when correct, below 1.0 when incorrect
            (``None`` where partly right has no meaning), ``None`` when unscorable.
        label: which case it was, where there are more than two ("exact", "near", "missing").
        fault: whose fault an unscorable verdict is; ``None`` otherwise.
        evidence: why.

    Raises:
        UsageError: if the attributes contradict each other.
    """

    status: Status
    reason: str = ""
    credit: float | None = None
    label: str | None = None
    fault: Fault | None = None
    evidence: Evidence = Evidence()

    def __post_init__(self) -> None:
        problem = _contradiction(self)
        if problem:
            raise UsageError(f"not a possible verdict: {problem} ({self.status=}, {self.credit=})")

    @classmethod
    def correct(cls, reason: str = "", *, label: str | None = None, **evidence: Any) -> Verdict:
        """It holds. Keywords are attributes of :class:`Evidence`."""
        return cls("correct", reason, 1.0, label, None, Evidence(**evidence))

    @classmethod
    def incorrect(
        cls,
        reason: str = "",
        *,
        credit: float | None = None,
        label: str | None = None,
        **evidence: Any,
    ) -> Verdict:
        """It does not hold; ``credit`` in [0, 1) says how nearly it does."""
        return cls("incorrect", reason, credit, label, None, Evidence(**evidence))

    @classmethod
    def unscorable(cls, reason: str, *, fault: Fault, **evidence: Any) -> Verdict:
        """It cannot be judged, for a reason that the judged text cannot cause."""
        return cls("unscorable", reason, None, None, fault, Evidence(**evidence))

    def with_evidence(self, **changes: Any) -> Verdict:
        """The same verdict with attributes of its evidence replaced."""
        return replace(self, evidence=replace(self.evidence, **changes))

    def __bool__(self) -> NoReturn:
        # `if verdict:` would read "cannot say" as "wrong" (or as "right"): promise 1.
        raise TypeError("a Verdict has three outcomes, not two: compare verdict.status")


def stamp(verdict: Verdict, seconds: float, verifier: str, version: str) -> Verdict:
    """The same verdict with these in its evidence."""
    found = verdict.evidence
    if type(verdict) is not Verdict or type(found) is not Evidence:
        return verdict.with_evidence(seconds=seconds, verifier=verifier, version=version)
    # Written out: every verdict comes by here, and `replace` takes longer than judging a number.
    evidence = Evidence(
        found.rule, found.span, found.text, found.refused, found.details,
        seconds, verifier, version,
    )  # fmt: skip
    return Verdict(
        verdict.status, verdict.reason, verdict.credit, verdict.label, verdict.fault, evidence
    )


_STATUSES, _FAULTS = get_args(Status), get_args(Fault)


def _contradiction(verdict: Verdict) -> str | None:
    """What is wrong with the combination of attributes, or None."""
    status, credit, fault = verdict.status, verdict.credit, verdict.fault
    if status not in _STATUSES:
        return f"status must be one of {_STATUSES}"
    if status == "unscorable":
        if fault not in _FAULTS or not verdict.reason:
            return f"unscorable needs a reason and a fault, one of {_FAULTS}"
        return "unscorable has no credit" if credit is not None else None
    if fault is not None:
        return "only an unscorable verdict has a fault"
    if status == "correct":
        return None if credit == 1.0 else "correct has credit 1.0"
    if credit is None or (isinstance(credit, Real) and 0.0 <= credit < 1.0):
        return None
    return "incorrect has a credit in [0, 1) or none"
