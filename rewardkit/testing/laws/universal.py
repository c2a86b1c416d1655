"""Laws of every reward."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import random
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from rewardkit.sample import Sample
from rewardkit.score import Score
from rewardkit.testing.audit.attack import all_attacks, samples_of
from rewardkit.testing.audit.earning import LIMIT_S, earn
from rewardkit.testing.laws.strategies import completions
from rewardkit.testing.laws.subject import Trying, essence

__all__ = [
    "batch", "bounded", "deterministic", "for_texts", "in_a_process", "in_a_thread", "in_async",
    "in_time", "order", "pickled", "unchanged",
]  # fmt: skip

_EPSILON = 1e-9


def for_texts(trying: Trying, check: Callable[..., None], *more: SearchStrategy[Any]) -> None:
    """Check something of many texts of many rows: ``check(row, text, *of what more is drawn)``."""

    @settings(
        max_examples=trying.examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_row_and_text(trying), st.tuples(*more))
    def run(drawn: tuple[int, str], further: tuple[Any, ...]) -> None:
        check(*drawn, *further)

    run()


def _row_and_text(trying: Trying) -> SearchStrategy[tuple[int, str]]:
    def of(row: int) -> SearchStrategy[tuple[int, str]]:
        target = trying.cases[row].target
        texts = completions(target.form, target.gold, target.wrong)
        return texts.map(lambda text: (row, text))

    return st.integers(0, len(trying.cases) - 1).flatmap(of)


def _some(trying: Trying, count: int = 12) -> list[Sample]:
    """A batch of completions, the same at every call: honest ones and others."""
    chosen, samples = random.Random(0), []
    pieces = ("", "4", "<answer>", "</answer>", "\\boxed{4}", "#### 5", "no", "\ud83d", "\x00")
    for row, case in enumerate(trying.cases):
        honest = [case.wrong[0], *([case.right[0]] if case.right else [])]
        texts = [*honest, "", *("".join(chosen.choices(pieces, k=4)) for _ in range(3))]
        samples += [trying.sample(text, row) for text in texts]
    return samples[:count]


def _same(trying: Trying, found: Sequence[Score], how: str) -> None:
    expected = [trying.scores([sample])[0] for sample in _some(trying)]
    for sample, a, b in zip(_some(trying), expected, found, strict=True):
        assert essence(a) == essence(b), f"{how} {sample.text!r} scores {b!r}, alone {a!r}"


def _grouped(trying: Trying) -> bool:
    return any(part.needs_group for part in trying.rubric.parts.values())


def bounded(trying: Trying) -> None:
    """Every total is finite, and every value within its declared range."""

    def check(row: int, text: str) -> None:
        score = trying.scores([trying.sample(text, row)])[0]
        assert score.total is None or math.isfinite(score.total), f"{text!r}: {score.total}"
        for part in score:
            span = trying.rubric.parts[part.name].range
            if part.value is not None and span is not None:
                low, high = span[0] - _EPSILON, span[1] + _EPSILON
                assert low <= part.value <= high, f"{text!r}: {part.name} is {part.value}"

    for_texts(trying, check)


def deterministic(trying: Trying) -> None:
    """The same completion scores the same again."""

    def check(row: int, text: str) -> None:
        sample = trying.sample(text, row)
        first, second = trying.scores([sample])[0], trying.scores([sample])[0]
        assert essence(first) == essence(second), f"{text!r}: {first!r}, then {second!r}"

    for_texts(trying, check)


def unchanged(trying: Trying) -> None:
    """The row is not changed."""

    def check(row: int, text: str) -> None:
        sample = trying.sample(text, row)
        before = copy.deepcopy(sample)
        trying.scores([sample])
        assert sample == before, f"{text!r}: the row was changed to {sample!r}"

    for_texts(trying, check)


def batch(trying: Trying) -> None:
    """A batch scores as its completions do one by one."""
    if not _grouped(trying):
        ids = list(range(len(_some(trying))))
        _same(trying, trying.rubric.score_many(_some(trying), group_ids=ids), "in a batch")


def order(trying: Trying) -> None:
    """In another order, each completion scores the same (of a group too)."""
    samples = _some(trying)
    if _grouped(trying):  # only completions of one prompt make a group
        samples = [trying.sample(sample.completion) for sample in samples]
    shuffled = list(range(len(samples)))
    random.Random(1).shuffle(shuffled)
    straight = trying.scores(samples)
    other = trying.scores([samples[i] for i in shuffled])
    for place, i in enumerate(shuffled):
        assert essence(straight[i]) == essence(other[place]), (
            f"{samples[i].text!r} scores {straight[i]!r}, in another order {other[place]!r}"
        )


def pickled(trying: Trying) -> None:
    """A copy by pickling scores the same."""
    rubric = pickle.loads(pickle.dumps(trying.rubric))
    scores = [rubric.score_many([s], group_ids=[0])[0] for s in _some(trying)]
    _same(trying, scores, "pickled,")


def in_a_thread(trying: Trying) -> None:
    """In other threads, side by side, it scores the same."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda sample: trying.scores([sample])[0], _some(trying)))
    _same(trying, found, "in a thread")


def in_async(trying: Trying) -> None:
    """From async code, side by side, it scores the same."""

    async def main() -> list[Score]:
        calls = [trying.rubric.ascore_many([s], group_ids=[0]) for s in _some(trying)]
        return [scores[0] for scores in await asyncio.gather(*calls)]

    _same(trying, _run(main()), "from async code")


def _run(main: Coroutine[Any, Any, list[Score]]) -> list[Score]:
    """Run it in this thread, so that what only minds threads is not blamed for minding loops."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    with ThreadPoolExecutor(1) as pool:  # the caller has a loop of its own here
        return pool.submit(asyncio.run, main).result()


def in_a_process(trying: Trying) -> None:
    """In another process it scores the same."""
    from rewardkit.sandbox import FunctionRef, WorkerFunctionError, shared_pool

    ref = FunctionRef.of(score_here)
    assert ref is not None
    data = pickle.dumps((trying.rubric, _some(trying)))
    try:
        found = pickle.loads(shared_pool().call(ref, (data,), {}, cpu_s=60.0, wall_s=240.0))
    except WorkerFunctionError as error:
        raise AssertionError(f"another process cannot score it: {error}") from error
    _same(trying, found, "in another process")


def score_here(data: bytes) -> bytes:
    """Scores of a pickled rubric and samples, pickled."""
    rubric, samples = pickle.loads(data)
    return pickle.dumps([rubric.score_many([s], group_ids=[0])[0] for s in samples])


def in_time(trying: Trying) -> None:
    """Empty, huge and hostile texts end in time, with a score where honest ones have one."""
    case = trying.cases[0]
    attacks = [a for a in all_attacks() if a.family in ("hostile", "void", "unicode", "numbers")]
    made = samples_of(attacks, case.target)
    samples = [sample for _, sample in made]
    earned = earn(trying.rubric, samples, LIMIT_S, samples[:1])
    for (attack, _), found in zip(made, earned, strict=True):
        assert not found.trouble, f"the text {attack.name!r} {found.trouble}: {found.why}"
