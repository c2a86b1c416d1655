"""Custom markers instead of think tags."""

from __future__ import annotations

from rewardkit.presets.nearness import BANDS
from rewardkit.rubric import Rubric
from rewardkit.verifiers.extraction import Between
from rewardkit.verifiers.format import TagFormat
from rewardkit.verifiers.number import ProximityBands
from rewardkit.verifiers.shaping import TagCount

__all__ = ["custom_markers"]


def custom_markers(
    *,
    working_start: str = "<start_working_out>",
    working_end: str = "<end_working_out>",
    solution_start: str = "<SOLUTION>",
    solution_end: str = "</SOLUTION>",
) -> Rubric:
    """Working-out and solution between markers of one's own.

    =======  ===========================================================================
    part     earns
    =======  ===========================================================================
    format   +3 if the text is exactly working-out and solution between their markers,
             neither empty, whitespace between them free; else 0
    markers  for each of the four: +0.5 if it occurs exactly once, else -1
    answer   the bands of :func:`proximity_banded` (+3, +1.5, +0.5, +0.25, -1) for what
             stands in the solution
    =======  ===========================================================================

    Farmable: the form around any wrong solution earns 3 + 2 - 1 = 4, and the bare markers 1. Where
    the model has learned the form, weigh both down: ``.weighted(format=0.1, markers=0.1)``.

    Args:
        working_start: opens the working-out.
        working_end: closes it.
        solution_start: opens the solution.
        solution_end: closes it.

    Example:
        >>> text = "<start_working_out>2 + 2<end_working_out><SOLUTION>4</SOLUTION>"
        >>> custom_markers().score(completion=text, answer="4").total
        8.0
    """
    template = f"{working_start}...{working_end}{solution_start}...{solution_end}"
    marks = (working_start, working_end, solution_start, solution_end)
    bands = ProximityBands(
        extract=Between(solution_start, solution_end),
        thinking=Between(working_start, working_end),
    )
    return Rubric(
        format=TagFormat(template).reward(correct=3.0),
        markers=TagCount(marks, each=0.5, otherwise=-1.0, per_trailing_character=0.0),
        answer=bands.reward(correct=3.0, incorrect=-1.0, values=BANDS),
    ).silence("form-outweighs-answer")
