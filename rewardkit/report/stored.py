"""Scores back from a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rewardkit.score import PartScore, Score
from rewardkit.verdict import Evidence, Refused, Verdict

__all__ = ["read_score"]


def read_score(data: Mapping[str, Any]) -> Score:
    """The score of which ``Score.to_dict`` made this.

    Raises:
        KeyError, TypeError, ValueError: if it is not what ``to_dict`` makes.
    """
    parts = {str(name): _part(part) for name, part in data["parts"].items()}
    return Score(
        _figure(data["total"]), parts, data.get("fingerprint", ""), tuple(data.get("notes", ()))
    )


def _part(data: Mapping[str, Any]) -> PartScore:
    verdict = data.get("verdict")
    figures = {key: _figure(data.get(key)) for key in ("value", "weight", "seconds", "counted")}
    judged = None if verdict is None else _verdict(verdict)
    return PartScore(**{**data, **figures, "verdict": judged})


def _figure(value: Any) -> float | None:
    return None if value is None else float(value)


def _verdict(data: Mapping[str, Any]) -> Verdict:
    return Verdict(**{**data, "evidence": _evidence(data["evidence"])})


def _evidence(data: Mapping[str, Any]) -> Evidence:
    refused = tuple(Refused(text, why, _span(span)) for text, why, span in data["refused"])
    return Evidence(**{**data, "span": _span(data["span"]), "refused": refused})


def _span(span: Any) -> tuple[int, int] | None:
    return None if span is None else (int(span[0]), int(span[1]))
