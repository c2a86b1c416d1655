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
from typing import TYPE_CHECKING, Any

from rewardkit._running import waiting
from rewardkit._total import OnError, failed_part, total_score
from rewardkit.errors import RewardError, UsageError, brief, must_be_raised, told
from rewardkit.gate import Gate, is_open
from rewardkit.rewards import Outcome, Reward
from rewardkit.sample import Sample
from rewardkit.score import PartScore, Score
from rewardkit.verdict import Verdict

if TYPE_CHECKING:
    from rewardkit.rubric import Rubric

__all__ = ["OnError", "Plan", "Task", "adrive", "drive", "outcomes", "plan"]


@dataclass(frozen=True, slots=True)
class Task:
    """One part on some of the samples."""

    part: str
    reward: Reward
    rows: tuple[int, ...]
    samples: tuple[Sample, ...]


MAX_THREADS = 32
"""Parts that wait at the same time, in one call of a rubric."""

Plan = Generator[list[Task], list[list[Outcome]], list[Score]]


def plan(
    rubric: Rubric, samples: Sequence[Sample], group_ids: Sequence[Any] | None, on_error: OnError
) -> Plan:
    """Yields tasks stage by stage, is sent a list of outcomes per task, returns the scores."""
    _check(rubric, samples, group_ids)
    _ = rubric.linted  # a finished rubric: while it is put together, a gate may yet come
    _ = rubric.fingerprint  # before anything runs: functions may keep what they have seen
    gates = {name: [g for g in rubric.gates if name in g.gated] for name in rubric.parts}
    table: list[dict[str, PartScore]] = [{} for _ in samples]
    for stage in rubric.stages:
        tasks: list[Task] = []
        for name in stage:
            reward = rubric.parts[name]
            rows = [i for i in range(len(samples)) if _admit(table[i], name, reward, gates[name])]
            tasks.extend(_split(name, reward, rows, samples, group_ids))
        results = yield tasks
        for task, found in zip(tasks, results, strict=True):
            for row, outcome in zip(task.rows, found, strict=True):
                table[row][task.part] = _part(task, outcome, on_error)
    return [total_score(rubric, row, on_error) for row in table]


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
            tasks = plan.send(list(await asyncio.gather(*(_aoutcomes(t, limit_s) for t in tasks))))
    except StopIteration as end:
        scores: list[Score] = end.value
        return scores


def _run(tasks: list[Task], limit_s: float | None) -> list[list[Outcome]]:
    """Outcomes of tasks that may run side by side: those that wait get threads meanwhile."""
    slow = [t for t in tasks if t.reward.waits or limit_s is not None]
    if len(tasks) < 2 or not slow:
        return [outcomes(t, limit_s) for t in tasks]
    # A rubric with a part by group has a task per group: a thread for each could be thousands.
    threads = min(len(slow), MAX_THREADS)
    with waiting(), ThreadPoolExecutor(threads, thread_name_prefix="rewardkit") as pool:
        futures = {id(t): pool.submit(outcomes, t, limit_s) for t in slow}
        inline = {id(t): outcomes(t, limit_s) for t in tasks if id(t) not in futures}
        return [inline[id(t)] if id(t) in inline else futures[id(t)].result() for t in tasks]


def outcomes(task: Task, limit_s: float | None) -> list[Outcome]:
    """A task's outcomes; a reward that fails as a whole is asked about one sample at a time, so
    that one text cannot take the scores of the others along."""
    try:
        return _one_each(task, task.reward.outcomes(task.samples, limit_s))
    except Exception as error:
        if len(task.rows) == 1 or task.reward.needs_group:
            return _all_failed(task, error)
        return [o for single in _singles(task, error) for o in outcomes(single, limit_s)]


async def _aoutcomes(task: Task, limit_s: float | None) -> list[Outcome]:
    """:func:`outcomes` for async code."""
    try:
        return _one_each(task, await task.reward.aoutcomes(task.samples, limit_s))
    except Exception as error:
        if len(task.rows) == 1 or task.reward.needs_group:
            return _all_failed(task, error)
        return [o for single in _singles(task, error) for o in await _aoutcomes(single, limit_s)]


def _one_each(task: Task, given: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes, if they are one per sample. Raises ``TypeError`` or ``ValueError``."""
    found = list(given)
    if len(found) != len(task.rows):
        raise ValueError(f"{len(found)} outcomes for {len(task.rows)} samples")
    if not all(isinstance(outcome, Outcome) for outcome in found):
        raise TypeError("its outcomes must be of the class Outcome")
    return found


def _singles(task: Task, error: Exception) -> list[Task]:
    """The task, cut into one for each sample. Raises what is the caller's to mend."""
    if must_be_raised(error):
        raise error
    pairs = zip(task.rows, task.samples, strict=True)
    return [Task(task.part, task.reward, (row,), (sample,)) for row, sample in pairs]


def _all_failed(task: Task, error: Exception) -> list[Outcome]:
    """Raises the error if it is the caller's to mend."""
    if must_be_raised(error):
        raise error
    problem = (
        error if isinstance(error, RewardError) else RewardError(task.part, f"raised {told(error)}")
    )
    if problem is not error:
        problem.__cause__ = error
    return [Outcome(None, error=problem)] * len(task.rows)


def _check(rubric: Rubric, samples: Sequence[Sample], group_ids: Sequence[Any] | None) -> None:
    for sample in samples:
        if not isinstance(sample, Sample):
            raise UsageError(f"expected Samples, got {type(sample).__name__}: {brief(sample)}")
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
            done[name] = PartScore(
                name, None, reward.weight, verdict, 0.0, gives_verdicts=reward.gives_verdicts
            )
            return False
        if not is_open(gate, opener):
            low, high = reward.range or (0.0, 0.0)
            least = low if reward.weight >= 0 else high
            done[name] = PartScore(
                name, least, reward.weight, None, 0.0, gate.on, None, reward.gives_verdicts
            )
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
    """What a part came to. Every outcome passes here, so this is where it is looked at."""
    reward, error = task.reward, outcome.error
    value, problem = (None, error.problem) if error is not None else _value(outcome)
    if problem is None:
        verdict = outcome.verdict
        if value is None and verdict is None:
            verdict = Verdict.unscorable("it gave no value", fault="verifier", rule="function")
        return PartScore(
            task.part, value, reward.weight, verdict, outcome.seconds,
            gives_verdicts=reward.gives_verdicts,
        )  # fmt: skip
    if on_error == "raise":
        raise RewardError(task.part, problem) from (error.__cause__ if error else None)
    return failed_part(task.part, reward, f"the reward {problem}", outcome.seconds)


def _value(outcome: Outcome) -> tuple[float | None, str | None]:
    """The value as a finite float, or in words why it is none."""
    value, verdict = outcome.value, outcome.verdict
    if value is None:
        return None, None
    if verdict is not None and verdict.status == "unscorable":
        return None, f"gave {value!r:.40} beside an unscorable verdict"
    try:
        number = float(value)
    except Exception as error:
        return None, f"gave no number but {type(value).__name__}: {told(error)}"
    if not math.isfinite(number):
        return None, f"came to {number}: a reward must be finite"
    return number, None
