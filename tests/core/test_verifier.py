"""Promise: a verifier is written once and works sync, async, in batches; it never raises a verdict."""

from __future__ import annotations

import asyncio
import pickle
import threading
from typing import Any

import pytest

from rewardkit import (
    AllOf,
    AnyOf,
    Column,
    MissingColumnError,
    Not,
    Rubric,
    Sample,
    UsageError,
    Verdict,
    Verifier,
)


class EndsWith(Verifier):
    suffix: str | Column

    def _verify(self, sample: Sample) -> Verdict:
        suffix = self._argument(self.suffix, sample)
        made = Verdict.correct if sample.text.endswith(suffix) else Verdict.incorrect
        return made(f"looked for {suffix!r}", rule="end")


class Slow(Verifier):
    async def _averify(self, sample: Sample) -> Verdict:
        await asyncio.sleep(0)
        return Verdict.correct("in its own time")


class Broken(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        raise KeyError("a bug of ours")


class Blocking(Verifier):
    blocking = True
    barrier = threading.Barrier(2, timeout=20)

    def _verify(self, sample: Sample) -> Verdict:
        self.barrier.wait()
        return Verdict.correct()


class Unknown(Verifier):
    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.unscorable("cannot say", fault="infrastructure")


SAMPLES = [Sample(completion=text) for text in ("yes!", "no", "!")]


def statuses(verdicts: list[Verdict]) -> list[str]:
    return [v.status for v in verdicts]


@pytest.mark.parametrize("verifier", [EndsWith("!"), Slow(), Broken(), Unknown()])
def test_one_by_one_batch_and_async_agree(verifier: Verifier) -> None:
    alone = statuses([verifier.verify(s) for s in SAMPLES])
    assert statuses(verifier.verify_many(SAMPLES)) == alone
    assert statuses(asyncio.run(verifier.averify_many(SAMPLES))) == alone

    async def inside_a_loop() -> list[Verdict]:
        return [verifier.verify(s) for s in SAMPLES] + [await verifier.averify(SAMPLES[0])]

    assert statuses(asyncio.run(inside_a_loop())) == [*alone, alone[0]]


def test_a_defect_of_the_verifier_is_unscorable_and_its_own_fault() -> None:
    verdict = Broken().verify(SAMPLES[0])
    assert (verdict.status, verdict.fault) == ("unscorable", "verifier")
    assert "KeyError" in verdict.reason


def test_a_missing_column_is_raised_and_not_judged() -> None:
    assert EndsWith(Column("end")).columns == {"end"}
    row = Sample(completion="yes!", columns={"end": "!"})
    assert EndsWith(Column("end")).verify(row).status == "correct"
    with pytest.raises(MissingColumnError, match="EndsWith needs the column 'end'"):
        EndsWith(Column("end")).verify(SAMPLES[0])


def test_every_verdict_carries_verifier_version_and_time() -> None:
    evidence = EndsWith("!").verify(SAMPLES[0]).evidence
    assert (evidence.verifier, evidence.version, evidence.rule) == ("EndsWith", "1", "end")
    assert evidence.seconds > 0


def test_a_verifier_is_frozen_equal_by_value_picklable_and_prints_itself() -> None:
    verifier = EndsWith("!")
    assert verifier == EndsWith("!") != EndsWith("?")
    assert repr(verifier) == "EndsWith(suffix='!')"
    assert pickle.loads(pickle.dumps(verifier)) == verifier
    with pytest.raises(Exception, match="suffix"):
        verifier.suffix = "?"  # type: ignore[misc]


@pytest.mark.parametrize("arguments", [{"suffix": 3}, {"suffix": "!", "sufix": "?"}, {}])
def test_wrong_arguments_are_refused_with_the_class_and_the_mend(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="EndsWith: "):
        EndsWith(**arguments)


def test_a_batch_of_a_blocking_verifier_waits_side_by_side() -> None:
    """Both threads must be inside at once for the barrier to open."""
    assert statuses(Blocking().verify_many(SAMPLES[:2])) == ["correct", "correct"]


@pytest.mark.parametrize(
    ("verifier", "expected"),
    [
        (AllOf((EndsWith("!"), Slow())), "correct"),
        (AllOf((EndsWith("?"), Unknown())), "incorrect"),
        (AllOf((Unknown(), EndsWith("?"))), "incorrect"),
        (AllOf((EndsWith("!"), Unknown())), "unscorable"),
        (AnyOf((EndsWith("?"), Slow())), "correct"),
        (AnyOf((Unknown(), EndsWith("!"))), "correct"),
        (AnyOf((EndsWith("?"), Unknown())), "unscorable"),
        (Not(EndsWith("!")), "incorrect"),
        (Not(EndsWith("?")), "correct"),
        (Not(Unknown()), "unscorable"),
    ],
)
def test_combinations_keep_what_is_unknown_unknown(verifier: Verifier, expected: str) -> None:
    assert verifier.verify(SAMPLES[0]).status == expected


def test_combinations_need_the_columns_of_their_members() -> None:
    nested = AllOf((Not(EndsWith(Column("a"))), AnyOf((EndsWith(Column("b")),))))
    assert nested.columns == {"a", "b"}
    assert Rubric(part=nested).columns == {"a", "b"}
