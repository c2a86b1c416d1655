"""A score that explains itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rewardkit._escape import one_line
from rewardkit.errors import brief
from rewardkit.verdict import Evidence, Fault, Refused, Status, Verdict

__all__ = ["PartScore", "Score"]

State = Literal["scored", "gated", "unscorable"]


@dataclass(frozen=True, slots=True)
class PartScore:
    """What one part of a rubric came to, for one sample.

    Attributes:
        name: the part's name.
        value: before weighting; ``None`` if it could not be judged.
        weight: the factor; 0 for a metric.
        verdict: the verdict, where a verifier gave one or a function could not.
        seconds: wall time of this part.
        gated_by: name of the closed gate for which the part was not run and got its least value.
        counted: what went into the total: ``weight * value``, after the part's policy and scaled
            up where another part was left out (``"skip"``). The total is their sum, unless capped.
        gives_verdicts: True if the part is paid by verdicts, also where it was gated and has none.
    """

    name: str
    value: float | None
    weight: float
    verdict: Verdict | None
    seconds: float
    gated_by: str | None = None
    counted: float | None = None
    gives_verdicts: bool = False

    @property
    def state(self) -> State:
        """``"scored"``, ``"gated"`` (not run) or ``"unscorable"``."""
        if self.gated_by is not None:
            return "gated"
        return "unscorable" if self.value is None else "scored"

    @property
    def status(self) -> Status | None:
        """The verdict's status; ``None`` where there is no verdict."""
        return None if self.verdict is None else self.verdict.status

    @property
    def fault(self) -> Fault | None:
        """Whose fault it is that the part could not be judged; ``None`` if it could."""
        return None if self.verdict is None else self.verdict.fault

    @property
    def why(self) -> str:
        """One sentence on how the value came about."""
        if self.gated_by is not None:
            return f"not run: gate {self.gated_by!r} is closed"
        return "" if self.verdict is None else self.verdict.reason


@dataclass(frozen=True, slots=True)
class Score:
    """What a rubric came to, for one sample.

    Attributes:
        total: sum of ``weight * value``, or ``None``: there is no score. Not zero.
        parts: every part by name, in the rubric's order.
        fingerprint: of the rubric that gave the score, versions of everything included.
        notes: what else bore on the total (a cap, a part skipped, why there is no total).
    """

    total: float | None
    parts: Mapping[str, PartScore]
    fingerprint: str = ""
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> PartScore:
        """The part of that name."""
        return self.parts[name]

    def __iter__(self) -> Iterator[PartScore]:
        return iter(self.parts.values())

    @property
    def values(self) -> dict[str, float | None]:
        """Value of each part, before weighting."""
        return {name: part.value for name, part in self.parts.items()}

    @property
    def seconds(self) -> float:
        """Sum of the parts' times; parts that ran side by side count each."""
        return sum(part.seconds for part in self.parts.values())

    @property
    def unscorable(self) -> tuple[PartScore, ...]:
        """The parts that could not be judged."""
        return tuple(part for part in self if part.state == "unscorable")

    def explain(self) -> str:
        """The score as a table for people: value, weight, verdict, rule, span and time by part."""
        lines = [f"total  {_signed(self.total)}"]
        width = max((len(one_line(part.name)) for part in self), default=0)
        for index, part in enumerate(self):
            last = index == len(self.parts) - 1
            lines.append(f"{'└─' if last else '├─'} {one_line(part.name):<{width}}  {_line(part)}")
            rail = "  " if last else "│ "
            lines.extend(f"{rail}   {detail}" for detail in _details(part))
        lines.extend(f"note: {one_line(note, 300)}" for note in self.notes)
        if self.fingerprint:
            lines.append(f"rubric {self.fingerprint}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        parts = ", ".join(f"{one_line(p.name)}={_plain(p.value)}" for p in self)
        return f"Score(total={_plain(self.total)}, {parts})"

    def _repr_html_(self) -> str:
        """For notebooks. The judged text is hostile, so everything is escaped."""
        from html import escape

        return f"<pre>{escape(self.explain())}</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run folder; :meth:`from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """The score of which :meth:`to_dict` made this, also by way of JSON.

        Raises:
            KeyError, TypeError, ValueError: if it is not what ``to_dict`` makes.
        """
        parts = {str(name): _part_from(part) for name, part in data["parts"].items()}
        notes = tuple(data.get("notes", ()))
        return cls(_figure(data["total"]), parts, data.get("fingerprint", ""), notes)


def _part_from(data: Mapping[str, Any]) -> PartScore:
    verdict = data.get("verdict")
    figures = {key: _figure(data.get(key)) for key in ("value", "weight", "seconds", "counted")}
    judged = None if verdict is None else _verdict_from(verdict)
    return PartScore(**{**data, **figures, "verdict": judged})


def _verdict_from(data: Mapping[str, Any]) -> Verdict:
    evidence = data["evidence"]
    refused = tuple(Refused(text, why, _span(span)) for text, why, span in evidence["refused"])
    made = Evidence(**{**evidence, "span": _span(evidence["span"]), "refused": refused})
    return Verdict(**{**data, "evidence": made})


def _figure(value: Any) -> float | None:
    return None if value is None else float(value)


def _span(span: Any) -> tuple[int, int] | None:
    return None if span is None else (int(span[0]), int(span[1]))


def _plain(value: float | None) -> str:
    return "None" if value is None else f"{value:g}"


def _signed(value: float | None) -> str:
    return "none (unscorable)" if value is None else f"{value:+.4g}"


def _line(part: PartScore) -> str:
    status = part.status or part.state
    if part.state == "gated":
        status = "gated"
    product = "metric" if part.weight == 0 else f"= {_plain(part.value)} × {part.weight:g}"
    product += _factor(part)
    counted = (
        "" if part.weight == 0 else _signed(part.counted if part.counted is not None else None)
    )
    shown = f"{counted or _plain(part.value)} {product}"
    return f"{shown:<24} {status:<10} {_short(part.why)}  [{part.seconds * 1e3:.2f} ms]"


def _factor(part: PartScore) -> str:
    """By how much it counts more because another part was left out."""
    own = part.weight * (part.value or 0.0)
    if not own or part.counted is None or math.isclose(part.counted, own):
        return ""
    return f" × {part.counted / own:g}"


def _details(part: PartScore) -> Iterator[str]:
    if part.verdict is None:
        return
    evidence = part.verdict.evidence
    if evidence.text is not None:
        where = "" if evidence.span is None else f" at {evidence.span[0]}:{evidence.span[1]}"
        by = f" by {_short(evidence.rule)}" if evidence.rule else ""
        yield f"judged {_quoted(evidence.text)}{where}{by}"
    for refused in evidence.refused[:3]:
        yield f"refused {_quoted(refused.text)}: {_short(refused.why)}"
    if part.verdict.fault:
        yield f"fault: {part.verdict.fault}"
    if evidence.verifier:
        yield _short(f"{evidence.verifier} version {evidence.version}")


def _short(text: object) -> str:
    """Whatever may quote judged text is hostile to a terminal."""
    return one_line(text if isinstance(text, str) else brief(text), 120)


def _quoted(text: object) -> str:
    """Judged text as Python would write it: a line break and a backslash before an n differ."""
    if not isinstance(text, str):
        return _short(text)
    shown = repr(text[:120])  # escapes all that is not printable, half surrogate pairs included
    return shown if len(text) <= 120 else shown + "…"
