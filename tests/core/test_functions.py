"""Promise: any function that users already have becomes a reward, in TRL's form or by name."""

from __future__ import annotations

import asyncio
import functools
import math
import pickle
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardkit import (
    FunctionReward,
    MissingColumnError,
    RewardError,
    Rubric,
    RubricError,
    Sample,
    UsageError,
    reward,
)
from rewardkit._limited import abandoned_threads


def by_name(completion: str, answer: str, level: int = 1) -> float:
    return float(completion == answer) * level


@reward(bounds=(0.0, 1.0), weight=2.0)
def decorated(completion: str) -> float:
    return 0.5


def trl_form(
    prompts: list[Any], completions: list[Any], answer: list[str], **kwargs: Any
) -> list[float | None]:
    assert {"level"} <= kwargs.keys()
    return [float(c == a) if a else None for c, a in zip(completions, answer, strict=True)]


async def asynchronous(completion: str) -> float:
    await asyncio.sleep(0)
    return float(len(completion))


async def asynchronous_batch(completions: list[str]) -> list[float]:
    return [float(len(c)) for c in completions]


class Callable_:
    def __call__(self, completion: str) -> float:
        return 3.0


class Raises:
    def __float__(self) -> float:
        raise KeyError("no number")


def sleepy(completion: str) -> float:
    time.sleep(60 if completion == "hang" else 0)
    return 1.0


def spinning(completion: str) -> float:
    return float(len(str(3**30_000_000)) if completion == "hang" else 1.0)


SAMPLES = [
    Sample(completion="4", answer="4", columns={"level": 2}),
    Sample(completion="5", answer="4", columns={"level": 2}),
]


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (by_name, [2.0, 0.0]),
        (lambda completion: int(completion), [4.0, 5.0]),
        (lambda sample: sample.columns["level"], [2.0, 2.0]),
        (lambda completion, **columns: columns["level"] + (columns["answer"] == "4"), [3.0, 3.0]),
        (lambda completion: completion == "4", [1.0, 0.0]),
        (trl_form, [1.0, 0.0]),
        (asynchronous, [1.0, 1.0]),
        (asynchronous_batch, [1.0, 1.0]),
        (functools.partial(by_name, level=7), [2.0, 0.0]),
        (Callable_(), [3.0, 3.0]),
        (decorated, [1.0, 1.0]),
        (lambda completions, trainer_state, log_metric, log_extra: [1, 2], [1.0, 2.0]),
    ],
)
def test_every_form_of_function_is_a_reward(fn: Callable[..., Any], expected: list[float]) -> None:
    rubric = Rubric(part=fn)
    assert [s.total for s in rubric.score_many(SAMPLES)] == expected
    assert [s.total for s in asyncio.run(rubric.ascore_many(SAMPLES))] == expected

    async def inside_a_loop() -> list[float | None]:
        return [s.total for s in rubric.score_many(SAMPLES)]

    assert asyncio.run(inside_a_loop()) == expected


def test_chats_reach_single_functions_as_text_and_batch_functions_as_they_are() -> None:
    chat = [{"role": "assistant", "content": "4"}]
    sample = Sample(completion=chat, prompt=[{"role": "user", "content": "2+2"}])
    assert (
        Rubric(p=lambda completion, prompt: float((completion, prompt) == ("4", "2+2")))
        .score(sample)
        .total
        == 1
    )
    assert Rubric(p=lambda completions: [float(completions == [chat])]).score(sample).total == 1


def test_a_decorated_function_stays_a_function() -> None:
    assert decorated(completion="x") == 0.5
    assert getattr(decorated, "__name__") == "decorated"  # noqa: B009
    assert (decorated.weight, decorated.range) == (2.0, (0.0, 1.0))
    assert Rubric(decorated).score(completion="x").total == 1.0


def test_none_is_no_verdict_and_not_zero() -> None:
    score = Rubric(part=lambda completion: None).score(completion="x")
    assert score.total is None
    assert score["part"].verdict is not None
    assert score["part"].verdict.status == "unscorable"
    assert score["part"].why == "the function returned None"


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, "1.0", [1.0], {}, object(), 10**400, 1e300, Raises()]
)
def test_what_is_not_a_finite_number_is_an_error_and_abstains_in_training(bad: Any) -> None:
    rubric = Rubric(part=lambda completion: bad)
    with pytest.raises(RewardError, match="reward 'part' (returned|must return)"):
        rubric.score(completion="x")
    score = rubric.score(completion="x", on_error="abstain")
    assert score.total is None
    assert score["part"].fault == "verifier"


def test_a_function_that_raises_names_the_part_and_keeps_the_cause() -> None:
    def broken(completion: str) -> float:
        return 1 / 0

    with pytest.raises(RewardError, match="'part' raised ZeroDivisionError") as caught:
        Rubric(part=broken).score(completion="x")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert pickle.loads(pickle.dumps(caught.value)).part == "part"
    assert Rubric(part=broken).score(completion="x", on_error="abstain").total is None


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 1.0, None])
def test_a_batch_function_of_the_wrong_length_is_refused(values: Any) -> None:
    with pytest.raises(RewardError, match="for 2 completions|must return a list of 2"):
        Rubric(part=lambda completions: values).score_many(SAMPLES)


def test_values_outside_declared_bounds_are_refused() -> None:
    with pytest.raises(RewardError, match=r"outside its bounds \(0\.0, 1\.0\)"):
        Rubric(part=FunctionReward(lambda completion: 1.5, bounds=(0.0, 1.0))).score(completion="x")


@pytest.mark.parametrize(
    "fn", [lambda completion, leval: 1.0, lambda completions, leval: [1.0, 1.0]]
)
def test_a_missing_column_is_an_error_that_lists_those_there_are(fn: Callable[..., Any]) -> None:
    rubric = Rubric(part=fn)
    assert rubric.columns == {"leval"}
    with pytest.raises(MissingColumnError, match="'leval'.*level"):
        rubric.score_many(SAMPLES, on_error="abstain")
    with pytest.raises(MissingColumnError, match="part 'part' needs the column 'leval'"):
        rubric.check_columns(["prompt", "answer", "level"])


@pytest.mark.parametrize("fn", [lambda completion, /: 1.0, lambda *completions: 1.0])
def test_what_cannot_be_called_by_name_is_refused_at_construction(fn: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="called by argument name"):
        Rubric(part=fn)


@pytest.mark.parametrize(
    "options",
    [{"weight": math.nan}, {"weight": math.inf}, {"weight": True}, {"bounds": (1.0, 0.0)},
     {"bounds": (0.0, math.nan)}, {"limit_s": 0.0}, {"limit_s": math.inf}, {"unscorable": math.nan}],
)  # fmt: skip
def test_options_that_are_not_finite_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RubricError):
        FunctionReward(by_name, **options)


@pytest.mark.parametrize("fn", [sleepy, spinning])
def test_a_function_that_another_process_finds_is_killed_at_its_limit(
    fn: Callable[..., Any],
) -> None:
    """Also where the call holds the interpreter and no thread could go on."""
    rubric = Rubric(part=FunctionReward(fn, limit_s=1.0))
    samples = [Sample(completion=text) for text in ("fine", "hang", "fine")]
    start, before = time.monotonic(), abandoned_threads()
    scores = rubric.score_many(samples)
    assert [s.total for s in scores] == [1.0, None, 1.0]
    assert "ran past its limit of 1 s; its worker was killed" in scores[1]["part"].why
    assert time.monotonic() - start < 30
    assert abandoned_threads() == before


def dividing(completion: str) -> float:
    return 1 / len(completion)


def dying(completion: str) -> float:
    import os

    os._exit(3)


def test_a_function_that_raises_in_its_worker_fails_as_it_would_have_here() -> None:
    rubric = Rubric(part=FunctionReward(dividing, limit_s=20))
    with pytest.raises(RewardError, match="'part' raised ZeroDivisionError: division by zero"):
        rubric.score(completion="")
    assert rubric.score(completion="", on_error="abstain")["part"].fault == "verifier"


def test_a_worker_that_dies_is_infrastructure_and_no_wrong_answer() -> None:
    score = Rubric(part=FunctionReward(dying, limit_s=20)).score(completion="x")
    assert (score.total, score["part"].fault) == (None, "infrastructure")


UNGUARDED = """
import os, sys
from rewardkit import Rubric, reward

@reward(limit_s=20)
def f(completion):
    return 1.0

{guard}
    print(Rubric(f).score(completion="x").total)
"""


@pytest.mark.parametrize("guard", ["if True:", 'if __name__ == "__main__":'])
def test_a_script_without_the_guard_is_told_so_and_starts_no_workers_without_end(
    tmp_path: Path, guard: str
) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED.format(guard=guard))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120
    )
    if guard == "if True:":
        assert done.returncode == 1
        assert 'if __name__ == "__main__":' in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr


def test_a_function_whose_module_no_worker_can_import_gets_the_soft_limit() -> None:
    module = types.ModuleType("made_on_the_spot")
    exec("def f(completion):\n    return 2.0", module.__dict__)
    sys.modules[module.__name__] = module
    try:
        assert Rubric(p=FunctionReward(module.f, limit_s=20)).score(completion="x").total == 2.0
    finally:
        del sys.modules[module.__name__]


def test_any_other_function_is_left_behind_at_its_limit_and_counted() -> None:
    rubric = Rubric(part=FunctionReward(lambda completion: sleepy(completion), limit_s=0.2))
    samples = [Sample(completion=text) for text in ("fine", "hang", "fine")]
    before = abandoned_threads()
    scores = rubric.score_many(samples)
    assert [s.total for s in scores] == [1.0, None, 1.0]
    assert "its thread was left running" in scores[1]["part"].why
    assert abandoned_threads() == before + 1


def test_many_that_hang_cost_little_more_than_one_and_lose_no_other_score() -> None:
    def some_hang(completion: str) -> float:
        time.sleep(60 if int(completion) % 3 else 0)
        return 1.0

    rubric = Rubric(part=FunctionReward(some_hang, limit_s=0.5))
    start = time.monotonic()
    scores = rubric.score_many([Sample(completion=str(i)) for i in range(40)])
    assert [s.total for s in scores] == [None if i % 3 else 1.0 for i in range(40)]
    assert time.monotonic() - start < 20


def test_a_process_full_of_hanging_threads_starts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardkit import _limited

    monkeypatch.setattr(_limited, "MAX_ABANDONED", abandoned_threads())
    rubric = Rubric(part=FunctionReward(lambda completion: 1.0, limit_s=5.0))
    assert "not called" in rubric.score(completion="x")["part"].why


def test_a_text_that_makes_a_function_compute_too_long_earns_the_least_and_no_abstention() -> None:
    rubric = Rubric(part=FunctionReward(spinning, limit_s=1.0, bounds=(-1.0, 1.0)))
    score = rubric.score(completion="hang")
    assert (score.total, score["part"].status) == (-1.0, "incorrect")
    waiting = Rubric(part=FunctionReward(sleepy, limit_s=1.0, bounds=(-1.0, 1.0)))
    assert waiting.score(completion="hang").total is None


def test_an_async_function_is_cancelled_at_its_limit() -> None:
    async def hang(completion: str) -> float:
        await asyncio.sleep(60 if completion == "hang" else 0)
        return 1.0

    rubric = Rubric(part=FunctionReward(hang, limit_s=0.3))
    scores = rubric.score_many([Sample(completion=t) for t in ("fine", "hang")])
    assert [s.total for s in scores] == [1.0, None]
    assert "cancelled" in scores[1]["part"].why


def test_a_timeout_error_of_the_function_itself_is_its_failure() -> None:
    async def offline(completion: str) -> float:
        raise TimeoutError("the service did not answer")

    with pytest.raises(RewardError, match="did not answer"):
        Rubric(part=FunctionReward(offline, limit_s=30)).score(completion="x")


def test_a_default_limit_applies_where_there_is_no_own() -> None:
    rubric = Rubric(part=sleepy, other=lambda completion: 1.0)
    scores = rubric.score_many([Sample(completion="hang")], limit_s=0.2)
    assert scores[0]["part"].value is None
    assert scores[0]["other"].value == 1.0


@pytest.mark.parametrize(
    "made", [decorated, FunctionReward(by_name, weight=3.0), decorated.with_weight(9.0)]
)
def test_rewards_of_importable_functions_survive_pickling(made: FunctionReward) -> None:
    again = pickle.loads(pickle.dumps(made))
    assert (again.weight, again.fn, again.range) == (made.weight, made.fn, made.range)


def test_a_group_function_sees_exactly_one_group() -> None:
    seen: list[list[str]] = []

    def spread(completions: list[str]) -> list[float]:
        seen.append(list(completions))
        return [float(len(set(completions)))] * len(completions)

    rubric = Rubric(part=FunctionReward(spread, form="group"))
    samples = [Sample(completion=c) for c in ("a", "x", "b", "x")]
    scores = rubric.score_many(samples, group_ids=["p", "q", "p", "q"])
    assert seen == [["a", "b"], ["x", "x"]]
    assert [s.total for s in scores] == [2.0, 1.0, 2.0, 1.0]
    with pytest.raises(UsageError, match="pass group_ids"):
        rubric.score_many(samples)
    with pytest.raises(UsageError, match="3 group_ids for 4 samples"):
        rubric.score_many(samples, group_ids=[1, 2, 3])


def test_what_trl_passes_besides_the_columns_travels_to_the_worker_of_a_hard_limit() -> None:
    rubric = Rubric(logs=FunctionReward(logs_a_column, limit_s=20.0))
    assert rubric.score(completion="x").total == 1.0


def logs_a_column(completions: list[str], log_extra: Any, log_metric: Any) -> list[float]:
    log_extra("seen", completions)
    log_metric("seen", 1.0)
    return [1.0 for _ in completions]
