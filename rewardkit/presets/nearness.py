"""Numbers paid by how near they come."""

from __future__ import annotations

from typing import Literal

from rewardkit.rubric import Rubric
from rewardkit.verifiers.extraction import Extract
from rewardkit.verifiers.number import NumberVerifier, Proximity, ProximityBands

__all__ = ["BANDS", "proximity_banded", "proximity_smooth"]

BANDS = {"exact": 3.0, "stripped": 1.5, "near": 0.5, "close": 0.25, "far": -1.0, "missing": -1.0}
"""What each band earns in the well-known banded form."""


def proximity_banded(*, extract: Extract = "auto") -> Rubric:
    """The well-known banded form.

    ========================================  ======
    the answer                                earns
    ========================================  ======
    is the text of the gold                   +3
    is it but for whitespace around it        +1.5
    has a ratio to the gold in [0.9, 1.1]     +0.5
    has a ratio to the gold in [0.8, 1.2]     +0.25
    anything else                             -1
    is missing or no number                   -1
    ========================================  ======

    As defined, an equal number in another spelling ("4.0" for "4") is only in the band of 0.5, and
    a guess of the right size earns something: give an exact match more besides if guesses are easy.

    Args:
        extract: where the answer is.

    Example:
        >>> proximity_banded().score(completion="9", answer="10").total
        0.5
    """
    bands = ProximityBands(extract=extract)
    return Rubric(answer=bands.reward(correct=3.0, incorrect=-1.0, values=BANDS))


def proximity_smooth(
    *,
    extract: Extract = "auto",
    scale: Literal["relative", "absolute"] = "relative",
    tolerance: float = 1.0,
    shape: Literal["linear", "reciprocal", "exponential"] = "linear",
) -> Rubric:
    """A smooth form: closer is never worse, and only the exact value earns the most.

    ======  ======================================================================
    part    earns
    ======  ======================================================================
    exact   +2 for the value of the gold (in any spelling), else 0
    near    from +1 (the gold) down to -1 (``tolerance`` off and more, or no number)
    ======  ======================================================================

    For a gold of 10, with the defaults: 10 earns 3, 9 earns 0.8, 3 earns -0.4, 30 and "ten" -1.

    Farmable where the gold hardly varies: the mean of all golds is then near enough to every one;
    spread the golds, or count less as near (``tolerance=0.1``).

    Args:
        extract: where the answer is.
        scale: distance relative to the gold, or absolute.
        tolerance: the distance at which ``"linear"`` reaches its least value.
        shape: see :class:`rewardkit.verifiers.Proximity`.

    Example:
        >>> proximity_smooth().score(completion="9", answer="10").total
        0.8
    """
    near = Proximity(extract=extract, scale=scale, tolerance=tolerance, shape=shape)
    return Rubric(
        exact=NumberVerifier(extract=extract).reward(correct=2.0),
        near=near.reward(correct=1.0, incorrect=-1.0, partial=True),
    )
