"""What a fixture row may expect, and how a score is held against it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict, model_validator

from rewardkit.score import PartScore, Score

__all__ = ["Bound", "Expect", "Outcome", "Range", "mismatches"]

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
    verdicts: dict[str, Outcome] = Field(default_factory=dict)
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


def mismatches(expect: Expect, score: Score, approx: float) -> Iterator[str]:
    """One sentence for each way in which a score is not as expected (orders apart)."""
    unknown = [name for name in expect.names if name not in score.parts]
    if unknown:
        yield f"there is no part {unknown[0]!r}; the parts are: {', '.join(score.parts)}"
    if "total" in expect.model_fields_set and not _meets(score.total, expect.total, approx):
        yield f"total: expected {_say(expect.total)}, got {_say(score.total)}"
    for name, bound in expect.parts.items():
        part = score.parts.get(name)
        if part is not None and not _meets(part.value, bound, approx):
            yield f"part {name!r}: expected {_say(bound)}, got {_say(part.value)}"
    for name, status in expect.verdicts.items():
        part = score.parts.get(name)
        if part is not None and _outcome(part) != status:
            yield f"verdict of {name!r}: expected {status}, got {_outcome(part)}"
    yield from _reasons(expect.reason, score)


def _meets(value: float | None, bound: Bound, approx: float) -> bool:
    if value is None or bound is None:
        return value is None and bound is None
    if isinstance(bound, Range):
        low = bound.min is None or value >= bound.min - approx
        return low and (bound.max is None or value <= bound.max + approx)
    return math.isclose(value, bound, rel_tol=0.0, abs_tol=approx)


def _say(value: Bound) -> str:
    return "none (unscorable)" if value is None else str(value)


def _outcome(part: PartScore) -> str:
    if part.state == "gated":
        return "gated"
    return part.status or "no verdict (a function gives a number only)"


def _reasons(reason: str | Mapping[str, str] | None, score: Score) -> Iterator[str]:
    if isinstance(reason, str):
        said = [part.why for part in score] + list(score.notes)
        if not any(reason in text for text in said):
            yield f"reason: expected {reason!r} in the reason of some part, found it in none"
    for name, text in (reason or {}).items() if not isinstance(reason, str) else ():
        if name in score.parts and text not in score[name].why:
            yield f"reason of {name!r}: expected {text!r} in it, got {score[name].why!r:.300}"
