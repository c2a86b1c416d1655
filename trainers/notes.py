"""What a user should be told when a batch teaches nothing: what happened, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rewardkit.trainers.config import GRPOConfig

__all__ = ["Teller", "notes_on"]


def notes_on(metrics: Mapping[str, Any], config: GRPOConfig) -> dict[str, str]:
    """Notes on a generation by their name; none if it is fit to learn from.

    Args:
        metrics: of the generation, as logged.
        config: of the run.
    """
    notes: dict[str, str] = {}
    if metrics.get("completions/clipped_ratio") == 1:
        notes["truncated"] = _truncated(config)
    if metrics.get("unscorable/frac") == 1:
        reasons = metrics.get("unscorable/reasons") or {}
        why = next(iter(reasons), "no reason is known")
        notes["unscorable"] = (
            f"no completion could be judged, so nothing is learned from this step. The commonest "
            f"reason: {why}. Mend the reward or the data that it needs"
        )
    elif metrics.get("frac_reward_zero_std") == 1:
        notes["flat"] = _flat(metrics, config)
    return notes


def _truncated(config: GRPOConfig) -> str:
    learned = "and with mask_truncated_completions nothing is learned from them"
    return (
        f"every completion was cut off at max_completion_length = {config.max_completion_length} "
        f"tokens{', ' + learned if config.mask_truncated_completions else ''}. Give more room, or "
        f"teach the model to end (a warm-up; a base model may need a prompt that shows an end)"
    )


def _flat(metrics: Mapping[str, Any], config: GRPOConfig) -> str:
    shares = [
        value
        for name, value in metrics.items()
        if name.startswith("parts/") and name.endswith("/correct") and value is not None
    ]
    if shares and max(shares) == 0:
        mend = (
            "No answer was right: take easier problems, more num_generations, a part that pays for "
            "coming near, or a warm-up on examples"
        )
    elif shares and min(shares) == 1:
        mend = "Every answer was right: take harder problems"
    else:
        mend = (
            "Take problems of middling difficulty, more num_generations, or a rubric that tells "
            "completions apart more finely"
        )
    more = "" if config.dynamic_sampling else "; dynamic_sampling passes such groups over"
    return (
        f"in every group all rewards are equal, so that advantages are 0 and nothing is learned "
        f"from this step. {mend}{more}"
    )


class Teller:
    """Says a note the 1st, 10th, 100th time in a row that it holds.

    Args:
        say: what says it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rows: dict[str, int] = {}

    def note(self, metrics: Mapping[str, Any], config: GRPOConfig) -> dict[str, list[str]]:
        """Say what is worth saying of a generation; gives what to log, nothing if all is well."""
        notes = notes_on(metrics, config)
        self._rows = {name: self._rows.get(name, 0) + 1 for name in notes}
        for name, text in notes.items():
            times = self._rows[name]
            if times in (1, 10, 100, 1000, 10_000):
                self._say(text if times == 1 else f"{times} generations in a row: {text}")
        return {"notes": list(notes)} if notes else {}
