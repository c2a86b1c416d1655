"""The simplest rubric there is: a number, and the right one."""

from __future__ import annotations

from rewardkit.rubric import Rubric
from rewardkit.verifiers.extraction import Extract
from rewardkit.verifiers.number import HasNumber, NumberVerifier

__all__ = ["arithmetic"]


def arithmetic(*, extract: Extract = "auto") -> Rubric:
    """Simple arithmetic, as in the prompt "2 + 2".

    ========  =========================  =====  =========
    part      holds if                   holds  otherwise
    ========  =========================  =====  =========
    number    there is a number          +1     -1
    right     the number is the gold     +3     -3
    ========  =========================  =====  =========

    So for "2 + 2": 4 earns 4, 3 and 8 earn -2, a letter -4.

    Farmable: any number earns 2 more than none; what counts is that a right one earns 6 more yet.
    With ``.weighted(number=0.1)`` a guess is hardly worth it.

    Args:
        extract: where the answer is; by default tags, box, ``####``, "the answer is" or the last
            number, in this order.

    Example:
        >>> arithmetic().score(prompt="2 + 2", completion="4", answer="4").total
        4.0
    """
    return Rubric(
        number=HasNumber(extract=extract).reward(correct=1.0, incorrect=-1.0),
        right=NumberVerifier(extract=extract).reward(correct=3.0, incorrect=-3.0),
    )
