"""Promise: slow rewards wait side by side, and one that hangs costs its limit and no more."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit import FunctionReward, MissingColumnError, Rubric
from rewardkit.sandbox import usable_cpus
from rewardkit.trainers import GRPOConfig, GRPOTrainer
from rewardkit.trainers.lanes import Lanes
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.scorer import Scorer

ROWS = [{"prompt": f"{i}+{i}="} for i in range(4)]


def items(groups: int = 4, size: int = 8) -> list[Completion]:
    return [
        Completion(g, g % len(ROWS), k, [1], [2, 3], False, "x" * (k + 1), [])
        for g in range(groups)
        for k in range(size)
    ]


def scored(rubric: Rubric, made: list[Completion], **options: Any) -> float:
    """Seconds that it took to score groups as they come."""
    scorer = Scorer(rubric, ROWS, **options)
    start = time.monotonic()
    for group in sorted({item.group for item in made}):
        scorer.add([item for item in made if item.group == group])
    scorer.finish()
    return time.monotonic() - start


class Together:
    """Calls that wait until ``wanted`` of them wait at the same time.

    One after another they would wait for a minute each: no clock has to tell the two apart.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.inside = 0
        self.lock = threading.Lock()
        self.met = threading.Event()

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside >= self.wanted:
                self.met.set()

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1

    def wait(self) -> None:
        self.enter()
        self.met.wait(60)
        self.leave()

    async def wait_in_a_loop(self) -> None:
        self.enter()
        deadline = time.monotonic() + 60
        while not self.met.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self.leave()


def per_batch(number: int, together: Together) -> Callable[..., Any]:
    def slow(completions: list[str]) -> list[float]:
        together.wait()
        return [float(len(text) + number) for text in completions]

    return slow


def per_completion(number: int, together: Together) -> Callable[..., Any]:
    def slow(completion: str) -> float:
        together.wait()
        return float(len(completion) + number)

    return slow


def in_a_loop(number: int, together: Together) -> Callable[..., Any]:
    async def slow(completion: str) -> float:
        await together.wait_in_a_loop()
        return float(len(completion) + number)

    return slow


@pytest.mark.parametrize(
    ("form", "wanted"), [(per_batch, 32), (per_completion, 64), (in_a_loop, 256)]
)
def test_eight_that_wait_wait_side_by_side(form: Callable[..., Any], wanted: int) -> None:
    """Eight parts of four groups of eight: by each batch 32 calls, by each completion 256, of
    which each lane may hold eight."""
    made, together = items(), Together(wanted)
    scored(Rubric(**{f"r{i}": form(i, together) for i in range(8)}), made)
    assert together.met.is_set()
    wanted_totals = [8 * len(item.text) + sum(range(8)) for item in made]
    assert [item.total for item in made] == wanted_totals


def test_under_limits_too() -> None:
    made, together = items(), Together(64)
    scored(Rubric(**{f"r{i}": per_completion(i, together) for i in range(8)}), made, limit_s=50.0)
    assert together.met.is_set()
    assert all(item.total is not None for item in made)


SLOW_REWARDS = """
import os, pathlib, time

folder = pathlib.Path(__file__).with_name("calls")

def waits(completion):
    # Until more wait at the same time than there are processors, or for a minute.
    mine = folder / f"{os.getpid()}.{time.monotonic_ns()}"
    mine.touch()
    deadline = time.monotonic() + 60
    while not (folder / "met").exists() and time.monotonic() < deadline:
        if len(list(folder.iterdir())) > WANTED:
            (folder / "met").touch()
        time.sleep(0.02)
    mine.unlink()
    return 1.0

def hangs(completion):
    time.sleep(600)
"""


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Functions that another process finds, in a module that imports next to nothing."""
    (tmp_path / "slow_rewards.py").write_text(SLOW_REWARDS.replace("WANTED", str(usable_cpus())))
    (tmp_path / "calls").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("slow_rewards")
    monkeypatch.delitem(sys.modules, "slow_rewards")
    monkeypatch.setitem(sys.modules, "slow_rewards", module)
    return module


@pytest.mark.skipif(usable_cpus() > 7, reason="eight parts are no more than the processors")
def test_functions_that_run_in_killable_workers_wait_side_by_side_too(
    importable: types.ModuleType,
) -> None:
    slow = FunctionReward(importable.waits, limit_s=60.0)
    rubric = Rubric(**{f"r{i}": slow for i in range(8)})
    made = items(groups=2, size=2)
    scored(rubric, made)
    assert (importable.folder / "met").exists()
    assert [item.total for item in made] == [8.0] * 4


def test_one_that_hangs_costs_its_limit_however_many_texts_make_it_hang(
    importable: types.ModuleType,
) -> None:
    def alone(completion: str) -> float:
        time.sleep(600)
        return 1.0

    for hangs in (importable.hangs, alone):
        hanging = FunctionReward(hangs, limit_s=1.0, unscorable=0.0)
        rubric = Rubric(good=lambda completion: 1.0, hangs=hanging)
        one = scored(rubric, items(groups=1, size=1))
        made = items(groups=4, size=4)
        assert scored(rubric, made) < 8 * max(one, 1.0), "one after another: sixteen limits"
        assert [item.total for item in made] == [1.0] * 16
        for item in made:
            assert item.score is not None
            assert "ran past its limit of 1 s" in item.score["hangs"].why


def test_a_reward_that_computes_is_called_by_one_thread_at_a_time() -> None:
    """So that one that was not made for threads need not be, as long as it does not wait."""
    inside, most = 0, 0

    def careful(completion: str) -> float:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        until = time.thread_time() + 0.01
        while time.thread_time() < until:
            pass
        inside -= 1
        return 1.0

    scored(Rubric(careful), items())
    assert most == 1


def test_a_group_is_scored_while_others_are_written(tiny_model: Path) -> None:
    """Told apart by time: when the last group's reward began, the others had long ended."""
    began: dict[str, float] = {}
    written: list[float] = []

    def note(completion: str, prompt: str) -> float:
        began.setdefault(prompt, time.monotonic())
        return float(len(completion))

    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=8, rollout_batch_size=2,
        max_completion_length=8, max_steps=1, gradient_checkpointing=False,
    )  # fmt: skip
    run = GRPOTrainer(tiny_model, Rubric(note), ROWS, config, quiet=True)
    plain = run.policy.advance

    def slow(*arguments: Any) -> Any:
        time.sleep(0.01)
        written.append(time.monotonic())
        return plain(*arguments)

    run.policy.advance = slow  # type: ignore[assignment, method-assign]
    run.train()
    assert len(began) == 4
    assert sum(moment < written[-1] for moment in began.values()) == 3


def test_without_workers_everything_is_called_in_the_trainers_own_thread_in_order() -> None:
    """For what works nowhere else: alarms of the main thread, connections of SQLite."""
    calls: list[tuple[str, str]] = []

    def first(completion: str) -> float:
        assert threading.current_thread() is threading.main_thread()
        calls.append(("first", completion))
        return 1.0

    def second(completion: str) -> float:
        calls.append(("second", completion))
        return 1.0

    made = items(groups=2, size=2)
    scored(Rubric(first, second), made, workers=0)
    texts = ["x", "xx"]
    assert calls == [(n, t) for _ in range(2) for n in ("first", "second") for t in texts]


def test_gates_and_groups_hold_as_anywhere_else() -> None:
    def short(completion: str) -> float:
        return float(len(completion) < 5)

    def rank(completions: list[str]) -> list[float]:
        return [float(sorted(completions).index(text)) for text in completions]

    rubric = Rubric(
        short=FunctionReward(short, bounds=(0.0, 1.0)),
        rank=FunctionReward(rank, form="group", bounds=(0.0, 9.0)),
        longer=FunctionReward(lambda completion: float(len(completion)), bounds=(0.0, 99.0)),
    ).gate("rank", "longer", on="short", at_least=1.0)
    made = items()
    scored(rubric, made)
    samples = [item.sample for item in made if item.sample is not None]
    wanted = rubric.score_many(samples, group_ids=[item.group for item in made])
    assert [item.total for item in made] == [score.total for score in wanted]
    assert [item.score.values for item in made if item.score] == [s.values for s in wanted]


@pytest.mark.parametrize("workers", [0, 8])
def test_the_callers_mistake_is_raised_and_the_next_batch_is_scored(workers: int) -> None:
    def needs(completion: str, tests: str) -> float:
        return 1.0

    made = items()
    scorer = Scorer(Rubric(needs), ROWS, workers=workers)
    scorer.add(made)
    with pytest.raises(MissingColumnError, match="'tests'"):
        scorer.finish()
    good = Scorer(Rubric(one=lambda completion: 1.0), ROWS, workers=workers)
    good.add(made)
    good.finish()
    assert {item.total for item in made} == {1.0}


def test_an_exit_in_a_reward_ends_the_caller_and_hangs_nobody() -> None:
    def leaves(completion: str) -> float:
        raise SystemExit(3)

    scorer = Scorer(Rubric(leaves), ROWS)
    scorer.add(items())
    with pytest.raises(SystemExit):
        scorer.finish()


def test_a_reward_that_fails_for_one_text_takes_no_other_score_along() -> None:
    def odd(completion: str) -> float:
        return 1 / (len(completion) % 2)

    made = items(groups=1)
    scored(Rubric(odd), made)
    assert [item.total for item in made] == [1.0, None] * 4


def test_a_lane_stays_as_wide_as_it_had_to_become_and_never_wider_than_allowed() -> None:
    lanes, done = Lanes(most=4), threading.Semaphore(0)
    most = 0
    for _ in range(2):
        together = Together(4)
        most = 0

        def call(together: Together = together) -> None:
            nonlocal most
            together.wait()
            with together.lock:
                together.inside += 1
                most = max(most, together.inside)
            time.sleep(0.05)  # time enough to become wider than it may
            together.leave()
            done.release()

        for _ in range(12):
            lanes.submit("slow", call)
        for _ in range(12):
            assert done.acquire(timeout=300)
        assert together.met.is_set()
        assert most <= 4
