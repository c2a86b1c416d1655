"""How a rubric runs: one plan for sync, async and batch.

``plan`` is a generator that knows the order of the parts, the gates and the policies, but runs
nothing: it yields the tasks that may run side by side and is sent their outcomes. ``drive`` and
``adrive`` run them, with threads or on the event loop.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rewardkit.errors import RewardError, RubricError, UsageError
from rewardkit.gate import Gate, is_open
from rewardkit.rewards import Outcome, Reward
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score
from rewardkit.verdict import Verdict

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["OnError", "adrive", "drive", "plan"]


@dataclass(frozen=True, slots=True)
class Task:
    """One part on some of the samples."""

    part: str
    reward: Reward
    rows: tuple[int, ...]
    samples: tuple[Sample, ...]


OnError = Literal["raise", "abstain"]
Plan = Generator[list[Task], list[list[Outcome]], list[Score]]


def plan(
    rubric: Rubric, samples: Sequence[Sample], group_ids: Sequence[Any] | None, on_error: OnError
) -> Plan:
    """Yields tasks stage by stage, is sent a list of outcomes per task, returns the scores."""
    _check(rubric, samples, group_ids)
    gates = {name: [g for g in rubric.gates if name in g.gated] for name in rubric.parts}
    table: list[dict[str, PartScore]] = [{} for _ in samples]
    for stage in rubric.stages:
        tasks: list[Task] = []
        for name in stage:
            reward = rubric.parts[name]
            rows = [i for i in range(len(samples)) if _admit(table[i], name, reward, gates[name])]
            tasks.extend(_split(name, reward, rows, samples, group_ids))
        results = yield tasks
        for task, outcomes in zip(tasks, results, strict=True):
            for row, outcome in zip(task.rows, outcomes, strict=True):
                table[row][task.part] = _part(task, outcome, on_error)
    return [_score(rubric, row) for row in table]


def drive(plan: Plan, limit_s: float | None) -> list[Score]:
    """Run a plan from sync code."""
    try:
        tasks = next(plan)
        while True:
            tasks = plan.send(_run(tasks, limit_s))
    except StopIteration as end:
        scores: list[Score] = end.value
        return scores


async def adrive(plan: Plan, limit_s: float | None) -> list[Score]:
    """Run a plan from async code."""
    try:
        tasks = next(plan)
        while True:
            calls = (t.reward.aoutcomes(t.samples, limit_s) for t in tasks)
            tasks = plan.send(list(await asyncio.gather(*calls)))
    except StopIteration as end:
        scores: list[Score] = end.value
        return scores


def _run(tasks: list[Task], limit_s: float | None) -> list[list[Outcome]]:
    """Outcomes of tasks that may run side by side: those that wait get threads meanwhile."""
    waiting = [t for t in tasks if t.reward.waits or limit_s is not None]
    if len(tasks) < 2 or not waiting:
        return [t.reward.outcomes(t.samples, limit_s) for t in tasks]
    with ThreadPoolExecutor(len(waiting), thread_name_prefix="rewardkit-part") as pool:
        futures = {id(t): pool.submit(t.reward.outcomes, t.samples, limit_s) for t in waiting}
        inline = {
            id(t): t.reward.outcomes(t.samples, limit_s) for t in tasks if id(t) not in futures
        }
        return [inline[id(t)] if id(t) in inline else futures[id(t)].result() for t in tasks]


def _check(rubric: Rubric, samples: Sequence[Sample], group_ids: Sequence[Any] | None) -> None:
    for sample in samples:
        if not isinstance(sample, Sample):
            raise UsageError(f"expected Samples, got {type(sample).__name__}: {sample!r:.80}")
    if group_ids is not None and len(group_ids) != len(samples):
        raise UsageError(f"{len(group_ids)} group_ids for {len(samples)} samples")
    needy = [name for name, reward in rubric.parts.items() if reward.needs_group]
    if needy and group_ids is None:
        raise UsageError(
            f"part {needy[0]!r} sees all completions of a prompt at once: pass group_ids, which "
            f"say which samples belong together (never guessed from their position)"
        )


def _admit(done: dict[str, PartScore], name: str, reward: Reward, gates: list[Gate]) -> bool:
    """True if the part is to be run; else its score behind a closed or unscorable gate is noted."""
    for gate in gates:
        opener = done[gate.on]
        if opener.value is None and opener.gated_by is None:
            reason = f"gate {gate.on!r} could not be judged"
            verdict = Verdict.unscorable(reason, fault=opener.fault or "verifier", rule="gate")
            done[name] = PartScore(name, None, reward.weight, verdict, 0.0)
            return False
        if not is_open(gate, opener):
            low, high = reward.range or (0.0, 0.0)
            least = low if reward.weight >= 0 else high
            done[name] = PartScore(name, least, reward.weight, None, 0.0, gated_by=gate.on)
            return False
    return True


def _split(
    name: str,
    reward: Reward,
    rows: list[int],
    samples: Sequence[Sample],
    group_ids: Sequence[Any] | None,
) -> Iterable[Task]:
    """One task for all rows, or one per group where the part needs whole groups."""
    if not rows:
        return
    if not reward.needs_group or group_ids is None:
        yield Task(name, reward, tuple(rows), tuple(samples[i] for i in rows))
        return
    groups: dict[Any, list[int]] = {}
    for i in rows:
        groups.setdefault(group_ids[i], []).append(i)
    for members in groups.values():
        yield Task(name, reward, tuple(members), tuple(samples[i] for i in members))


def _part(task: Task, outcome: Outcome, on_error: OnError) -> PartScore:
    error = outcome.error
    if error is None:
        return PartScore(
            task.part, outcome.value, task.reward.weight, outcome.verdict, outcome.seconds
        )
    if on_error == "raise":
        raise RewardError(task.part, error.problem) from error.__cause__
    reason = f"the reward {error.problem}"
    verdict = Verdict.unscorable(reason, fault="verifier", rule="function error")
    return PartScore(task.part, None, task.reward.weight, verdict, outcome.seconds)


def _score(rubric: Rubric, done: dict[str, PartScore]) -> Score:
    """The total by the policies: this is the one place where values become a sum."""
    parts: dict[str, PartScore] = {}
    notes: list[str] = []
    total, kept, lost, known = 0.0, 0.0, 0.0, True
    for name, reward in rubric.parts.items():
        part = done[name]
        value = part.value
        if value is None and reward.weight and isinstance(reward.unscorable, int | float):
            value = float(reward.unscorable)
            notes.append(f"{name} could not be judged and counts as {value:g}, by its policy")
        if value is not None:
            counted = reward.weight * value
            total += counted
            kept += abs(reward.weight)
            part = _counted(part, counted)
        elif reward.weight and reward.unscorable == "skip":
            lost += abs(reward.weight)
            notes.append(f"{name} could not be judged and is left out, by its policy")
        elif reward.weight:
            known = False
            notes.append(f"no total: {name} could not be judged: {part.why}")
        parts[name] = part
    if lost and kept:
        total *= (kept + lost) / kept
    elif lost:
        known = False
        notes.append("no total: every part that counts was left out")
    total, known = _gated_total(rubric, done, total, known, notes)
    if known and not math.isfinite(total):
        raise RubricError(f"the total is {total}: the weights or values are too large")
    return Score(total if known else None, parts, rubric.fingerprint, tuple(notes))


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
        part.name, part.value, part.weight, part.verdict, part.seconds, part.gated_by, counted
    )
