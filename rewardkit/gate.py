"""Gates: parts that must hold before others count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rewardkit.errors import RubricError
from rewardkit.rewards import Reward, VerifierReward, check_finite
from rewardkit.score import PartScore

__all__ = ["Gate", "check_gate", "is_open"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A part that must hold before others count.

    Attributes:
        on: the part that opens the gate.
        gated: the parts behind it; closed, they earn their least value and are not run.
        at_least: the value from which the gate is open; needed where ``on`` gives no verdicts.
        cap: instead of gating parts: closed, the total is at most this.
    """

    on: str
    gated: tuple[str, ...] = ()
    at_least: float | None = None
    cap: float | None = None


def is_open(gate: Gate, opener: PartScore) -> bool:
    """Whether a gate is open, given its (scorable) part. A gate that was itself gated is closed."""
    if opener.gated_by is not None:
        return False
    if gate.at_least is not None:
        return opener.value is not None and opener.value >= gate.at_least
    return opener.verdict is not None and opener.verdict.status == "correct"


def check_gate(gate: Gate, parts: Mapping[str, Reward]) -> None:
    """Raises ``RubricError`` for a gate that cannot open, or whose parts have no least value."""
    opener = parts[gate.on]
    if gate.at_least is None and not isinstance(opener, VerifierReward):
        raise RubricError(
            f"part {gate.on!r} gives numbers, not verdicts: say from which value the gate is open, "
            f"as in .gate(..., on={gate.on!r}, at_least=1.0)"
        )
    if gate.at_least is not None:
        check_finite("at_least", gate.at_least)
        if opener.range is not None and gate.at_least > opener.range[1]:
            raise RubricError(
                f"the gate can never open: {gate.on!r} is at most {opener.range[1]:g}, "
                f"at_least is {gate.at_least:g}"
            )
    if gate.cap is not None:
        check_finite("cap", gate.cap)
    for name in gate.gated:
        if parts[name].range is None:
            raise RubricError(
                f"part {name!r} stands behind a gate but its least value is unknown: declare its "
                f"range, as in @reward(bounds=(0.0, 1.0))"
            )
