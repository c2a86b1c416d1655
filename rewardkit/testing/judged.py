"""Completions that were judged before, or could be: a run folder, a file of scores, plain rows."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardkit._rows import json_line, parse_json, read_text
from rewardkit.data import DataConfig, load_rows
from rewardkit.errors import DataError, RewardError, RewardKitWarning, UsageError
from rewardkit.rubric import Rubric
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score

__all__ = [
    "JudgedRow",
    "groups_for",
    "is_judged",
    "kind_of",
    "read_judged",
    "rule_of",
    "score_rows",
]

_CHUNK = 256
"""Rows scored at a time: enough for parts that wait to wait together, few enough to keep."""

_KEPT = ("step", "group_id", "sample")
"""What a run says of a completion besides what was judged: kept in files of scores."""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One completion as it was read.

    Attributes:
        where: file and line, or the number of the row.
        sample: what is judged.
        score: the score that the row holds, if it holds one.
        group: name of its group of completions, where a run wrote it.
        origin: step, group and number within it, where a run wrote it.
        row: every column, by its name.
    """

    where: str
    sample: Sample
    score: Score | None
    group: str | None
    origin: Mapping[str, Any]
    row: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Sixteen hex digits of what is judged: prompt, completion, answer and columns."""
        columns = {k: v for k, v in self.sample.columns.items() if k != "completion_ids"}
        judged = [self.sample.prompt, self.sample.completion, self.sample.answer, columns]
        return hashlib.sha256(json_line({"judged": judged}).encode()).hexdigest()[:16]


def read_judged(path: str | Path, *, columns: Mapping[str, str] | None = None) -> list[JudgedRow]:
    """The completions of a run folder (all of its rollouts), a file of scores, or any rows.

    Args:
        path: the folder or file.
        columns: our name of a column -> its name in plain rows.

    Raises:
        DataError: if there are none, or one is malformed.
    """
    path = Path(path)
    if not path.exists():  # nor asked of the hub: completions are one's own
        raise DataError(f"there is no file or run folder {path} (looked in {Path.cwd()})")
    rollouts = path / "rollouts"
    if rollouts.is_dir():
        if columns:
            raise DataError(f"{path} is a run folder, whose columns have their names: map none")
        found = [pair for file in sorted(rollouts.glob("step_*.jsonl")) for pair in _lines(file)]
        if not found:
            raise DataError(f"there are no rollouts in {rollouts}")
    else:
        config = DataConfig(path=str(path), columns=dict(columns or {}))
        rows = load_rows(config, require=("completion",))
        found = [(f"row {index}", row) for index, row in enumerate(rows)]
    return [_judged(row, where) for where, row in found]


def score_rows(
    rubric: Rubric, rows: Sequence[JudgedRow], group_ids: Sequence[str] | None = None
) -> Iterator[Score]:
    """A score for each row, in order, a chunk at a time; all at once where groups count.

    Args:
        rubric: what scores.
        rows: what is scored.
        group_ids: rows with equal ones share a prompt; ``None``: those that a run noted, where a
            part of the rubric sees whole groups.

    Raises:
        DataError: for a row that lacks a column.
        RewardError: if a function of the rubric fails.
        UsageError: where groups count and are not known.
    """
    for row in rows:
        try:
            rubric.check_columns(row.row)
        except UsageError as error:
            raise DataError(f"{row.where}: {error}") from None
    samples = [row.sample for row in rows]
    group_ids = groups_for(rubric, rows, group_ids)
    if group_ids is not None:
        yield from rubric.score_many(samples, group_ids=group_ids)
        return
    for start in range(0, len(samples), _CHUNK):
        yield from _chunk(rubric, rows[start : start + _CHUNK])


def groups_for(
    rubric: Rubric, rows: Sequence[JudgedRow], given: Sequence[str] | None = None
) -> Sequence[str] | None:
    """The group of each row: as given, else as a run noted, where a part of the rubric sees whole
    groups; ``None`` where no part does.

    Raises:
        UsageError: if a part does, and nothing says which rows belong together.
    """
    needy = [name for name, part in rubric.parts.items() if part.needs_group]
    if given is not None or not needy:
        return given
    noted = [row.group for row in rows if row.group is not None]
    if len(noted) < len(rows):
        bare = next(row.where for row in rows if row.group is None)
        raise UsageError(
            f"part {needy[0]!r} sees all completions of a prompt at once, and {bare} does not say "
            f"which belong together: name the column that does, as in rewardkit score --group-by "
            f"COLUMN (record has it too)"
        )
    return noted


def _chunk(rubric: Rubric, rows: Sequence[JudgedRow]) -> list[Score]:
    try:
        return rubric.score_many([row.sample for row in rows])
    except RewardError as error:
        for row in rows:  # told with the row that causes it, if one does so by itself
            try:
                rubric.score_many([row.sample])
            except RewardError as alone:
                raise RewardError(alone.part, f"{alone.problem} ({row.where})") from error
        raise


def is_judged(part: PartScore) -> bool:
    """Whether a part came out as one of four: correct, incorrect, unscorable, gated."""
    return part.verdict is not None or part.gated_by is not None


def rule_of(part: PartScore) -> str:
    """What a part came to, in a few words: outcome, label, and the rule that fired."""
    if part.state == "gated":
        return "gated"
    if part.verdict is None:
        return "no verdict"
    verdict = part.verdict
    told = [verdict.status, verdict.label or "", f"by {verdict.evidence.rule}"]
    if verdict.fault:
        told.append(f"({verdict.fault}: {kind_of(verdict.reason)})")
    return " ".join(text for text in told if text not in ("", "by "))


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def kind_of(reason: str) -> str:
    """A reason without the text that it quotes, so that like ones are counted together."""
    return _QUOTED.sub("…", reason)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file of rollouts; a last one that was not written to its end is left out."""
    text = read_text(path)
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        warnings.warn(
            f"{path}: the last row was not written to its end (was the run killed?): left out",
            RewardKitWarning,
            stacklevel=3,
        )
    for number, line in enumerate(whole.split("\n"), 1):
        if line.strip():
            row = parse_json(line, f"{path}:{number}")
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a rollout is an object, got {row!r:.80}")
            yield f"{path}:{number}", row


def _judged(row: Mapping[str, Any], where: str) -> JudgedRow:
    written = isinstance(row.get("columns"), Mapping) and "score" in row
    try:
        score = Score.from_dict(row["score"]) if written and row["score"] else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: the score in it cannot be read: {error!r}") from None
    origin = {key: row[key] for key in _KEPT if key in row} if written else {}
    group = f"{origin.get('step')}:{origin['group_id']}" if "group_id" in origin else None
    row = _as_it_was(row) if written else row
    try:
        return JudgedRow(where, Sample.from_row(row), score, group, origin, row)
    except UsageError as error:
        raise DataError(f"{where}: {error}") from None


def _as_it_was(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that a run or ``rewardkit score`` wrote: judged anew by what was judged then."""
    kept = {name: row.get(name) for name in ("prompt", "completion", "answer")}
    if row.get("completion_ids") is not None:  # a column too, which a run writes by itself
        kept["completion_ids"] = row["completion_ids"]
    return {**row["columns"], **kept}
