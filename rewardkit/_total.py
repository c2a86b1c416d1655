"""What the parts of one sample sum up to, by their policies and gates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from rewardkit.errors import RubricError
from rewardkit.gate import is_open
from rewardkit.rewards import Reward
from rewardkit.score import PartScore, Score
from rewardkit.verdict import Verdict

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["OnError", "failed_part", "total_score"]

OnError = Literal["raise", "abstain"]


def failed_part(name: str, reward: Reward, reason: str, seconds: float) -> PartScore:
    """A part whose reward failed: unscorable, and counted as a failure."""
    verdict = Verdict.unscorable(reason, fault="verifier", rule="function error")
    return PartScore(
        name, None, reward.weight, verdict, seconds, gives_verdicts=reward.gives_verdicts
    )


def total_score(rubric: Rubric, done: dict[str, PartScore], on_error: OnError) -> Score:
    """The total by the policies: this is the one place where values become a sum."""
    counted: dict[str, float] = {}
    notes: list[str] = []
    kept, lost, known = 0.0, 0.0, True
    for name, reward in rubric.parts.items():
        part, weight = done[name], float(reward.weight)
        value = part.value
        if value is None and weight and isinstance(reward.unscorable, int | float):
            value = float(reward.unscorable)
            notes.append(f"{name} could not be judged and counts as {value:g}, by its policy")
        if value is not None:
            counted[name] = weight * value
            kept += abs(weight)
        elif weight and reward.unscorable == "skip":
            lost += abs(weight)
            notes.append(f"{name} could not be judged and is left out, by its policy")
        elif weight:
            known = False
            notes.append(f"no total: {name} could not be judged: {part.why}")
    if lost:
        known = _scaled(counted, kept, lost, notes) and known
    total = sum(counted.values(), 0.0)
    if not math.isfinite(total):
        return _overflown(rubric, done, counted, on_error)
    total, known = _gated_total(rubric, done, total, known, notes)
    parts = {
        name: _counted(part, counted[name]) if name in counted else part
        for name, part in ((name, done[name]) for name in rubric.parts)
    }
    return Score(total if known else None, parts, rubric.fingerprint, tuple(notes))


def _scaled(counted: dict[str, float], kept: float, lost: float, notes: list[str]) -> bool:
    """Scales what the others count up to the weight of all; False if there are no others."""
    if not kept:
        notes.append("no total: every part that counts was left out")
        return False
    factor = (kept + lost) / kept
    counted.update({name: value * factor for name, value in counted.items()})
    notes.append(f"what the other parts count is multiplied by {factor:.6g} in its place")
    return True


def _overflown(
    rubric: Rubric, done: dict[str, PartScore], counted: dict[str, float], on_error: OnError
) -> Score:
    """No total, because the sum is no finite number. A huge value may be the judged text's doing,
    so in training it costs this score and not the run."""
    problem = "the total is not a finite number: the weights or values are too large"
    if on_error == "raise":
        raise RubricError(problem)
    largest = max(counted, key=lambda n: math.inf if math.isnan(counted[n]) else abs(counted[n]))
    part = failed_part(largest, rubric.parts[largest], problem, done[largest].seconds)
    parts = {name: part if name == largest else done[name] for name in rubric.parts}
    note = f"no total: {largest} could not be judged: {problem}"
    return Score(None, parts, rubric.fingerprint, (note,))


def _gated_total(
    rubric: Rubric, done: dict[str, PartScore], total: float, known: bool, notes: list[str]
) -> tuple[float, bool]:
    """Caps, and gates that could not be judged."""
    for gate in rubric.gates:
        opener = done[gate.on]
        if opener.state == "unscorable":
            known = False
            notes.append(f"no total: gate {gate.on!r} could not be judged")
        elif gate.cap is not None and total > gate.cap and not is_open(gate, opener):
            total = gate.cap
            notes.append(f"capped at {gate.cap:g}: gate {gate.on!r} is closed")
    return total, known


def _counted(part: PartScore, counted: float) -> PartScore:
    return PartScore(
        part.name, part.value, part.weight, part.verdict, part.seconds, part.gated_by, counted,
        part.gives_verdicts,
    )  # fmt: skip
