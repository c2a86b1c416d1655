"""Completions of a run that are worth seeing: the best, the worst, one without a score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardkit.score import Score

__all__ = ["Example", "find_examples", "readable"]

_FILES_BACK = 20
"""Rollout files, from the last, that are searched: rollouts of a long run fill many gigabytes."""


@dataclass(frozen=True)
class Example:
    """One completion.

    Attributes:
        title: what it is an example of.
        step: the step that made it.
        prompt: what was asked, as text.
        completion: what the model wrote, as text.
        answer: the gold answer, as text; empty if there is none.
        score: the rubric's, as it was then.
    """

    title: str
    step: int
    prompt: str
    completion: str
    answer: str
    score: Score


def find_examples(folder: Path, problems: list[str]) -> tuple[Example, ...]:
    """The best and the worst of the last rollout file, and the last that could not be scored."""
    files = sorted(folder.glob("step_*.jsonl"), reverse=True)
    if not files:
        problems.append("there are no rollouts")
    best = worst = lost = None
    for path in files[:_FILES_BACK]:
        rows = list(_rows(path, problems))
        scored = sorted((s.total, i) for i, (_, s) in enumerate(rows) if s.total is not None)
        if scored and best is None:
            best = _example("best", *rows[scored[-1][1]])
            if len(scored) > 1:
                worst = _example("worst", *rows[scored[0][1]])
        unscored = [row for row in rows if row[1].total is None]
        if unscored and lost is None:
            lost = _example("unscorable", *unscored[0])
        if best and lost:
            break
    return tuple(example for example in (best, worst, lost) if example is not None)


def readable(text: Any) -> str:
    """A prompt or completion as text: of a chat, every message with its role."""
    if isinstance(text, list):
        return "\n".join(_message(m) for m in text)
    if text is None:
        return ""
    return text if isinstance(text, str) else str(text)


def _message(message: Any) -> str:
    if not isinstance(message, Mapping):
        return str(message)
    if "role" not in message:  # a part of a message's content
        return readable(message.get("text", "[no text]"))
    return f"[{message['role']}] {readable(message.get('content'))}"


def _rows(path: Path, problems: list[str]) -> Iterator[tuple[Mapping[str, Any], Score]]:
    broken = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
                score = Score.from_dict(row["score"])
                if score.total is None or math.isfinite(score.total):
                    yield row, score
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                broken += 1
    if broken:
        problems.append(f"rollouts/{path.name}: {broken} unreadable, left out")


def _example(title: str, row: Mapping[str, Any], score: Score) -> Example:
    step = row.get("step")
    prompt, completion, answer = (
        readable(row.get(key)) for key in ("prompt", "completion", "answer")
    )
    at = step if isinstance(step, int) else 0
    return Example(title, at, prompt, completion, answer, score)
