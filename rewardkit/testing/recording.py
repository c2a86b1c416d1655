"""Fixtures out of real completions: a diverse few of them, with the scores that they have now.

What is recorded is a snapshot, not yet an expectation: a row is *unreviewed* until somebody has
looked at it and accepted it (:mod:`rewardkit.testing.accepting`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewardkit._escape import one_line
from rewardkit._rows import json_line
from rewardkit.rewards import Reward
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score
from rewardkit.testing.judged import JudgedRow, groups_for, is_judged, rule_of, score_rows
from rewardkit.testing.row import is_free_column

__all__ = ["Picked", "content_of", "pick", "record", "snapshot"]

Came = tuple[str, ...]
"""How every part came out, and by which rule."""

_LONGEST = 300
"""Characters of an extracted text that a snapshot pins; of longer ones it pins the status only."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A completion that was picked, its score, and why it was."""

    row: JudgedRow
    score: Score
    why: str


def record(
    rows: Sequence[JudgedRow], rubric: Rubric, count: int = 24, known: Container[str] = (),
    groups: Sequence[str] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Fixture rows, unreviewed, of a diverse few of many completions.

    Where a part of the rubric sees whole groups, no completion stands alone: each that is picked
    brings all of its group along, which stays together in the file by its ``group``.

    Args:
        rows: the completions; see :func:`~rewardkit.testing.judged.read_judged`.
        rubric: what scores them.
        count: how many to pick at most; of groups, as many as are needed for so many rows.
        known: contents (:func:`content_of`) that are recorded already: left out if picked.
        groups: the group of each row; ``None``: as a run noted.

    Raises:
        UsageError: if a part of the rubric sees whole groups, and nothing says which rows belong
            together.
    """
    ids = groups_for(rubric, rows, groups)
    scored = list(zip(rows, score_rows(rubric, rows, ids), strict=True))
    if any(part.needs_group for part in rubric.parts.values()):
        assert ids is not None
        return list(_whole_groups(scored, ids, rubric, count, known))
    return [
        recorded_row(picked, rubric)
        for picked in pick(scored, count)
        if content_of(picked.row.sample) not in known
    ]


def _whole_groups(
    scored: Sequence[tuple[JudgedRow, Score]], ids: Sequence[str], rubric: Rubric, count: int,
    known: Container[str],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The rows of the groups of which one completion or more was picked, group by group, until
    there are so many rows; groups of which all is recorded already are left out."""
    members: dict[str, list[tuple[JudgedRow, Score]]] = {}
    group_of: dict[int, str] = {}
    for pair, name in zip(scored, ids, strict=True):
        members.setdefault(name, []).append(pair)
        group_of[id(pair[0])] = name
    left, done = count, set[str]()
    for picked in pick(scored, count):
        name = group_of[id(picked.row)]
        contents = [content_of(row.sample) for row, _ in members[name]]
        # By what it says, so that a group which is recorded twice is one.
        group = _digest(sorted(contents))[:8]
        if left <= 0 or group in done or all(content in known for content in contents):
            continue
        done.add(group)
        left -= len(contents)
        yield from _members(picked, members[name], group, rubric)


def _members(
    picked: Picked, members: Sequence[tuple[JudgedRow, Score]], group: str, rubric: Rubric
) -> Iterator[dict[str, Any]]:
    """The fixture rows of one group, of which one was picked."""
    beside = f"in the group of {_id(picked, rubric)}-{group}"
    twins: Counter[str] = Counter()
    for row, score in members:
        why = picked.why if row is picked.row else beside
        made = recorded_row(Picked(row, score, why), rubric)
        made["id"] += f"-{group}"
        twins[made["id"]] += 1
        if twins[made["id"]] > 1:  # two of a group may say the same
            made["id"] += f"-{twins[made['id']]}"
        yield {**made, "group": group}


def pick(scored: Sequence[tuple[JudgedRow, Score]], count: int) -> list[Picked]:
    """A diverse few: the extremes, then each way of coming out in turn, the rarest first.

    Completions that differ only in case and white space count once. Which ones are picked depends
    on what they say and not on their order.
    """
    unique = {content_of(row.sample): (row, score) for row, score in reversed(scored)}
    kinds: dict[Came, list[str]] = {}
    for key in sorted(unique):
        kinds.setdefault(_came_out(unique[key][1]), []).append(key)
    sizes = {kind: len(keys) for kind, keys in kinds.items()}
    prompts: Counter[str] = Counter()
    taken: Counter[Came] = Counter()
    picked: list[Picked] = []

    def take(key: str, why: str) -> None:
        row, score = unique[key]
        kind = _came_out(score)
        kinds[kind].remove(key)
        prompts[_prompt(row.sample)] += 1
        taken[kind] += 1
        picked.append(Picked(row, score, f"{why}; 1 of {sizes[kind]}: {', '.join(kind)}"))

    for key, why in _extremes(unique):
        if len(picked) < count:
            take(key, why)
    while len(picked) < count and any(kinds.values()):
        left = [kind for kind, keys in kinds.items() if keys]
        kind = min(left, key=lambda kind: (taken[kind], sizes[kind], kind))
        # Keys are digests, so "the first" is as good as any, and the same every time.
        seen = {key: prompts[_prompt(unique[key][0].sample)] for key in kinds[kind]}
        take(min(kinds[kind], key=lambda key: (seen[key], key)), "sampled")
    return picked


def recorded_row(picked: Picked, rubric: Rubric) -> dict[str, Any]:
    """A fixture row, unreviewed."""
    sample = picked.row.sample
    columns = {k: v for k, v in sample.columns.items() if k != "completion_ids"}
    plain = {k: v for k, v in columns.items() if is_free_column(k)}
    odd = {k: v for k, v in columns.items() if k not in plain}
    row: dict[str, Any] = {"id": _id(picked, rubric)}
    if sample.prompt is not None:
        row["prompt"] = sample.prompt
    row["completion"] = sample.completion
    if sample.answer is not None:
        row["answer"] = sample.answer
    row |= plain
    if odd:
        row["columns"] = odd
    row["expect"] = snapshot(picked.score)
    row["recorded"] = {"rubric": rubric.fingerprint, "reviewed": False, "why": picked.why}
    return row


def snapshot(score: Score) -> dict[str, Any]:
    """What is expected of a score that must stay as it is: total, verdicts, values of functions."""
    verdicts = {part.name: _verdict(part) for part in score if is_judged(part)}
    values = {part.name: part.value for part in score if part.name not in verdicts}
    return {
        "total": score.total,
        **({"verdicts": verdicts} if verdicts else {}),
        **({"parts": values} if values else {}),
    }


def _verdict(part: PartScore) -> dict[str, Any] | str:
    if part.verdict is None:
        return "gated"
    verdict, text = part.verdict, part.verdict.evidence.text
    found: dict[str, Any] = {"status": verdict.status}
    if verdict.label is not None:
        found["label"] = verdict.label
    if verdict.fault is not None:
        found["fault"] = verdict.fault
    if text is not None and len(text) <= _LONGEST:
        found["text"] = text
    return found if len(found) > 1 else verdict.status


def _extremes(unique: Mapping[str, tuple[JudgedRow, Score]]) -> Iterator[tuple[str, str]]:
    totals = {key: score.total for key, (_, score) in unique.items() if score.total is not None}
    if totals:
        order = sorted(totals, key=lambda key: (totals[key], key))
        yield order[-1], "greatest total"
        if len(order) > 1:
            yield order[0], "least total"


def _came_out(score: Score) -> Came:
    """The kind of a score: how each part came out, and by which rule."""
    return tuple(f"{part.name} {rule_of(part)}" for part in score if is_judged(part))


def content_of(sample: Sample) -> str:
    """A digest that completions share which differ only in case and white space."""
    text = " ".join(sample.text.split()).casefold()
    return _digest([sample.prompt, text, sample.answer])


def _prompt(sample: Sample) -> str:
    return _digest([sample.prompt])


def _digest(judged: list[Any]) -> str:
    return hashlib.sha256(json_line({"judged": judged}).encode()).hexdigest()[:16]


def _id(picked: Picked, rubric: Rubric) -> str:
    """Readable and unique: how it came out, and the first digits of its content's digest."""
    score = picked.score
    judged = [part for part in score if is_judged(part)]
    main = max(judged, key=lambda part: _spread(rubric.parts[part.name]), default=None)
    if score.total is None:
        came = "unscorable"
    elif main is None:
        came = f"total-{score.total:g}"
    else:
        came = "-".join((one_line(main.name, 60), main.status or "gated"))
    return f"{came}-{content_of(picked.row.sample)[:8]}"


def _spread(reward: Reward) -> float:
    """How much of the total hangs on a part."""
    return abs(reward.weight) * (reward.range[1] - reward.range[0] if reward.range else 1.0)
