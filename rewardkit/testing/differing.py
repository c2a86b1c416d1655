"""What changed between two scorings of the same completions, and why.

Both sides must have judged the same data, each by one rubric: otherwise a difference says nothing
about the rubrics, and is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rewardkit.errors import DataError
from rewardkit.metrics import mean
from rewardkit.rubric import Rubric
from rewardkit.score import PartScore, Score
from rewardkit.testing.expect import outcome
from rewardkit.testing.judged import JudgedRow, rule_of, score_rows

__all__ = ["Diff", "PartChange", "RowChange", "Side", "diff", "rescored"]

Kind = Literal["scorability", "verdict", "total", "value"]
KINDS: tuple[Kind, ...] = ("scorability", "verdict", "total", "value")


@dataclass(frozen=True, slots=True)
class PartChange:
    """How one part of a row changed; rows whose parts changed alike are told together.

    Attributes:
        part: its name.
        was: how it came out, and by which rule.
        now: the same, of the new scores.
    """

    part: str
    was: str
    now: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row whose score changed.

    Attributes:
        where: where the old scores have it.
        row: what was judged.
        old: its score then.
        new: its score now.
        kinds: what changed: ``"scorability"`` (a total where there was none, or none where there
            was), ``"verdict"`` of some part, ``"total"``, ``"value"`` of some part.
        parts: the parts that changed, which are in both rubrics.
    """

    where: str
    row: JudgedRow
    old: Score
    new: Score
    kinds: tuple[Kind, ...]
    parts: tuple[PartChange, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two scorings: its rubric's fingerprint, parts, rows, and its mean total over the rows
    that both could score (``None`` if there are none)."""

    fingerprint: str
    parts: tuple[str, ...]
    rows: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed between two scorings.

    Attributes:
        old: the one side.
        new: the other.
        compared: rows that are in both.
        changes: those that changed, in the old one's order.
    """

    old: Side
    new: Side
    compared: int
    changes: tuple[RowChange, ...]

    @property
    def kinds(self) -> Mapping[Kind, int]:
        """In how many rows what changed; a row may count under several."""
        found = Counter(kind for change in self.changes for kind in change.kinds)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    @property
    def groups(self) -> list[tuple[PartChange, list[RowChange]]]:
        """Changes by part and rule, the most frequent first."""
        found: dict[PartChange, list[RowChange]] = {}
        for change in self.changes:
            for part in change.parts:
                found.setdefault(part, []).append(change)
        return sorted(found.items(), key=lambda item: -len(item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "old": _side(self.old),
            "new": _side(self.new),
            "compared": self.compared,
            "differ": len(self.changes),
            "kinds": dict(self.kinds),
            "groups": [
                {"part": p.part, "was": p.was, "now": p.now, "rows": [r.where for r in rows]}
                for p, rows in self.groups
            ],
            "changes": [
                {
                    "where": change.where,
                    "digest": change.row.digest,
                    "kinds": list(change.kinds),
                    "old": change.old.to_dict(),
                    "new": change.new.to_dict(),
                }
                for change in self.changes
            ],
        }


def rescored(rows: Sequence[JudgedRow], rubric: Rubric) -> list[JudgedRow]:
    """The same completions with the scores of another rubric."""
    scores = score_rows(rubric, rows)
    return [replace(row, score=score) for row, score in zip(rows, scores, strict=True)]


def diff(
    old: Sequence[JudgedRow],
    new: Sequence[JudgedRow],
    *,
    common: bool = False,
    tolerance: float = 1e-9,
) -> Diff:
    """Compare two scorings of the same completions; rows are matched by what they hold.

    Args:
        old: rows with scores; see :func:`~rewardkit.testing.judged.read_judged`.
        new: rows with scores of another rubric, as from :func:`rescored`.
        common: compare the rows that are in both, instead of refusing data that differ.
        tolerance: by how much numbers may differ and count as the same.

    Raises:
        DataError: if a row has no score, if one side holds scores of several rubrics, or if the two
            did not judge the same data.
    """
    prints = _fingerprint(old, "the old scores"), _fingerprint(new, "the new scores")
    pairs = _matched(old, new, common)
    changes = [_changed(a, b, tolerance) for a, b in pairs]
    both = [(a.score, b.score) for a, b in pairs if a.score and b.score]
    totals = [(x.total, y.total) for x, y in both if x.total is not None and y.total is not None]
    sides = [
        Side(prints[i], _parts(rows), len(rows), mean([pair[i] for pair in totals]))
        for i, rows in enumerate((old, new))
    ]
    return Diff(sides[0], sides[1], len(pairs), tuple(c for c in changes if c is not None))


def _side(side: Side) -> dict[str, Any]:
    return {
        "fingerprint": side.fingerprint,
        "parts": list(side.parts),
        "rows": side.rows,
        "mean_total_of_rows_scored_by_both": side.mean,
    }


def _fingerprint(rows: Sequence[JudgedRow], which: str) -> str:
    for row in rows:
        if row.score is None:
            raise DataError(
                f"{which}: {row.where} has no score; score the rows first: "
                f"rewardkit score ROWS --rubric rubric.yaml --out scores.jsonl"
            )
    found = Counter(row.score.fingerprint for row in rows if row.score)
    if len(found) > 1:
        told = ", ".join(f"{count} rows of {name}" for name, count in found.most_common(3))
        raise DataError(
            f"{which} are of several rubrics ({told}): a difference would be nobody's; "
            f"score all rows anew by one rubric"
        )
    return next(iter(found), "")


def _matched(
    old: Sequence[JudgedRow], new: Sequence[JudgedRow], common: bool
) -> list[tuple[JudgedRow, JudgedRow]]:
    """Rows that hold the same; of rows that occur several times the first with the first."""
    there: dict[str, list[JudgedRow]] = {}
    for row in reversed(new):
        there.setdefault(row.digest, []).append(row)
    pairs, lost = [], []
    for row in old:
        found = there.get(row.digest)
        if found:
            pairs.append((row, found.pop()))
        else:
            lost.append(row)
    extra = [row for rows in there.values() for row in rows]
    if not pairs:
        raise DataError("the two have no row in common: they did not judge the same data")
    if (lost or extra) and not common:
        first = (lost or extra)[0]
        raise DataError(
            f"the two did not judge the same data: {len(lost)} rows only in the old scores, "
            f"{len(extra)} only in the new ones (the first: {first.where}). A row is its prompt, "
            f"completion, answer and columns; to compare the {len(pairs)} rows that are in both, "
            f"pass --common"
        )
    return pairs


def _parts(rows: Sequence[JudgedRow]) -> tuple[str, ...]:
    score = rows[0].score if rows else None
    return tuple(score.parts) if score else ()


def _changed(a: JudgedRow, b: JudgedRow, tolerance: float) -> RowChange | None:
    """How a row changed, or ``None``."""
    old, new = a.score, b.score
    if old is None or new is None:
        return None
    shared = [(old[name], new[name]) for name in old.parts if name in new.parts]
    parts = [change for pair in shared if (change := _part(*pair, tolerance)) is not None]
    kinds = tuple(_kinds(old, new, shared, tolerance))
    return RowChange(a.where, a, old, new, kinds, tuple(parts)) if kinds else None


def _kinds(
    old: Score, new: Score, shared: Sequence[tuple[PartScore, PartScore]], tolerance: float
) -> Iterator[Kind]:
    if (old.total is None) != (new.total is None):
        yield "scorability"
    if any(outcome(x) != outcome(y) for x, y in shared):
        yield "verdict"
    if (
        old.total is not None
        and new.total is not None
        and not _near(old.total, new.total, tolerance)
    ):
        yield "total"
    if any(not _near(x.value, y.value, tolerance) for x, y in shared):
        yield "value"


def _part(old: PartScore, new: PartScore, tolerance: float) -> PartChange | None:
    was, now = rule_of(old), rule_of(new)
    if outcome(old) != outcome(new):
        return PartChange(old.name, was, now)
    if not _near(old.value, new.value, tolerance):
        return PartChange(old.name, f"{was}, {_paid(old)}", f"{now}, {_paid(new)}")
    if not _near(old.counted, new.counted, tolerance):
        return PartChange(old.name, f"{was}, weight {old.weight:g}", f"weight {new.weight:g}")
    return None


def _paid(part: PartScore) -> str:
    """What a verdict is worth, where all of its kind are worth the same; else only that it is."""
    verdict = part.verdict
    fixed = part.gated_by is not None or (
        verdict is not None and (verdict.credit is None or verdict.status == "correct")
    )
    return f"worth {part.value:g}" if fixed and part.value is not None else "its value"


def _near(a: float | None, b: float | None, tolerance: float) -> bool:
    return a is b if a is None or b is None else abs(a - b) <= tolerance
