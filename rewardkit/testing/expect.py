"""What a fixture row may expect, and how a score is held against it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict, model_validator

from rewardkit._escape import one_line
from rewardkit._near import meant
from rewardkit.score import PartScore, Score
from rewardkit.verdict import Evidence, Fault

__all__ = ["Bound", "Expect", "Judged", "Mismatch", "Outcome", "Range", "mismatches", "outcome"]

# strict: `true` in a fixture is a slip, not the number 1.
Number = Annotated[float, Strict(), AllowInfNan(False)]

Outcome = Literal["correct", "incorrect", "unscorable", "gated"]
"""How a part came out: its verdict's status, or ``"gated"``: not run behind a closed gate."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(_Model):
    """From ``min`` to ``max``, both included; one of them may be left out."""

    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a range needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self

    def __str__(self) -> str:
        low = "" if self.min is None else f"at least {self.min!r}"
        high = "" if self.max is None else f"at most {self.max!r}"
        return " and ".join(filter(None, (low, high)))


Bound = Number | Range | None
"""A number, a range, or ``None``: unscorable."""


class Judged(_Model):
    """What is expected of one part's verdict; ``"correct"`` alone means ``{"status": "correct"}``.

    Attributes:
        status: how the part came out.
        label: which case it was, of verifiers that know more than two.
        credit: how nearly it holds; ``None``, where given, means that there is none.
        fault: whose fault it is that it could not be judged.
        reason: what must stand in the verdict's reason.
        rule: what must stand in the name of the rule that fired.
        text: what was judged: the extracted text, exactly.
        span: where in ``Sample.text`` it stands: start and end, in characters.
    """

    status: Outcome | None = None
    label: str | None = None
    credit: Bound = None
    fault: Fault | None = None
    reason: str | None = None
    rule: str | None = None
    text: str | None = None
    span: tuple[int, int] | None = None

    @model_validator(mode="before")
    @classmethod
    def _status_alone(cls, data: object) -> object:
        return {"status": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            keys = ", ".join(type(self).model_fields)
            raise ValueError(f"nothing is expected: give at least one of {keys}")
        return self


class Expect(_Model):
    """What is expected of one row's score.

    Attributes:
        total: the total; ``None``, where given, means that there must be none.
        parts: a part's value before weighting, by the part's name; ``None`` as for the total.
        verdicts: how a part came out, by its name.
        reason: what must appear in the reason of some part (or in the score's notes); by the
            part's name, in the reason of that part.
        above: the rows that this one must out-score.
        below: the rows that must out-score this one.
    """

    total: Bound = None
    parts: dict[str, Bound] = Field(default_factory=dict)
    verdicts: dict[str, Judged] = Field(default_factory=dict)
    reason: str | dict[str, str] | None = None
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _lone(cls, data: object) -> object:
        """``"above": "a"`` means ``"above": ["a"]``."""
        if not isinstance(data, Mapping):
            return data
        lone = {k: (data[k],) for k in ("above", "below") if isinstance(data.get(k), str)}
        return {**data, **lone}

    @model_validator(mode="after")
    def _something(self) -> Self:
        if "total" in self.model_fields_set:
            return self
        if not any((self.parts, self.verdicts, self.reason, self.above, self.below)):
            keys = ", ".join(type(self).model_fields)
            raise ValueError(f"nothing is expected: give at least one of {keys}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts that are spoken of."""
        reasons = self.reason if isinstance(self.reason, Mapping) else {}
        return tuple(dict.fromkeys((*self.parts, *self.verdicts, *reasons)))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One way in which a score is not as expected.

    Attributes:
        subject: what is spoken of: ``"total"``, ``"verdict of 'answer'"``.
        expected: what was expected; empty where the subject says it all.
        got: what was got.
        part: the part, if it is of one.
    """

    subject: str
    expected: str = ""
    got: str = ""
    part: str | None = None

    def __str__(self) -> str:
        told = f"expected {self.expected}, got {self.got}" if self.expected else ""
        return f"{self.subject}: {told}" if told else self.subject


def mismatches(expect: Expect, score: Score, approx: float) -> Iterator[Mismatch]:
    """Each way in which a score is not as expected (orders apart)."""
    for name in expect.names:
        if name not in score.parts:
            have = ", ".join(score.parts)
            yield Mismatch(
                f"there is no part {name!r}; the parts are: {have}{meant(name, score.parts)}"
            )
    if "total" in expect.model_fields_set and not _meets(score.total, expect.total, approx):
        yield Mismatch("total", _say(expect.total), _say(score.total))
    for name, bound in expect.parts.items():
        part = score.parts.get(name)
        if part is not None and not _meets(part.value, bound, approx):
            yield Mismatch(f"part {name!r}", _say(bound), _say(part.value), name)
    for name, judged in expect.verdicts.items():
        if name in score.parts:
            yield from _verdict(judged, score[name], approx)
    yield from _reasons(expect.reason, score)


def outcome(part: PartScore) -> str:
    """How a part came out, in one word: as :data:`Outcome`, or ``"no verdict"``."""
    if part.state == "gated":
        return "gated"
    return part.status or "no verdict"


def _verdict(judged: Judged, part: PartScore, approx: float) -> Iterator[Mismatch]:
    """What is wrong with a part's verdict; its details only where the status is as expected."""
    of = f"of {part.name!r}"
    got = outcome(part)
    if judged.status is not None and got != judged.status:
        why = "a function gives a number only" if got == "no verdict" else part.why
        # The reason may quote judged text, which could forge lines of its own.
        told = f"{got} ({one_line(why, 200)})" if why else got
        yield Mismatch(f"verdict {of}", judged.status, told, part.name)
        return
    evidence = Evidence() if part.verdict is None else part.verdict.evidence
    has: dict[str, Any] = {
        "label": None if part.verdict is None else part.verdict.label,
        "fault": part.fault,
        "text": evidence.text,
        "span": evidence.span,
    }
    for key, found in has.items():
        wanted = getattr(judged, key)
        if key in judged.model_fields_set and wanted != found:
            yield Mismatch(f"{key} {of}", _quoted(wanted), _quoted(found), part.name)
    credit = None if part.verdict is None else part.verdict.credit
    if "credit" in judged.model_fields_set and not _meets(credit, judged.credit, approx):
        yield Mismatch(f"credit {of}", _credit(judged.credit), _credit(credit), part.name)
    for key, said in (("reason", part.why), ("rule", evidence.rule)):
        wanted = getattr(judged, key)
        if wanted is not None and wanted not in said:
            yield _not_in(f"{key} {of}", wanted, said, part.name)


def _meets(value: float | None, bound: Bound, approx: float) -> bool:
    if value is None or bound is None:
        return value is None and bound is None
    if isinstance(bound, Range):
        low = bound.min is None or value >= bound.min - approx
        return low and (bound.max is None or value <= bound.max + approx)
    return math.isclose(value, bound, rel_tol=0.0, abs_tol=approx)


def _say(value: Bound) -> str:
    return "none (unscorable)" if value is None else str(value)


def _credit(value: Bound) -> str:
    return "none" if value is None else str(value)


def _quoted(value: object) -> str:
    return "none" if value is None else f"{value!r:.300}"


def _not_in(subject: str, wanted: str, said: str, part: str) -> Mismatch:
    return Mismatch(subject, f"{wanted!r} in it", f"{said!r:.300}", part)


def _reasons(reason: str | Mapping[str, str] | None, score: Score) -> Iterator[Mismatch]:
    if isinstance(reason, str):
        said = [part.why for part in score] + list(score.notes)
        if not any(reason in text for text in said):
            yield Mismatch(
                f"reason: expected {reason!r} in the reason of some part, found it in none"
            )
        return
    for name, text in (reason or {}).items():
        if name in score.parts and text not in score[name].why:
            yield _not_in(f"reason of {name!r}", text, score[name].why, name)
