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
    MissingExtraError,
    Not,
    Rubric,
    Sample,
    UsageError,
    Verdict,
    Verifier,
)
from rewardkit.sandbox import SandboxUnavailable
from rewardkit.verifiers import NumberVerifier, RegexFormat


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


class Careless(Verifier):
    """Fails in a way of its own."""

    how: str

    def _verify(self, sample: Sample) -> Verdict:
        if self.how == "none":
            return None  # type: ignore[return-value]
        if self.how == "number":
            return 1.0  # type: ignore[return-value]
        if self.how == "impossible":
            return Verdict.incorrect(credit=float(len(sample.text)))
        if self.how == "empty reason":
            return Verdict.unscorable("", fault="dataset")
        if self.how == "no evidence":
            return Verdict("correct", "", 1.0, evidence="text")  # type: ignore[arg-type]
        if self.how == "no argument":
            return EndsWith(3).verify(sample)  # type: ignore[arg-type]
        raise UnprintableError


class CarelessToo(Careless):
    async def _averify(self, sample: Sample) -> Verdict:
        return Careless._verify(self, sample)

    _verify = Verifier._verify


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


@pytest.mark.parametrize("made", [Careless, CarelessToo])
@pytest.mark.parametrize(
    "how",
    ["none", "number", "impossible", "empty reason", "no evidence", "no argument", "unprintable"],
)
def test_whatever_a_verifier_does_wrong_no_text_can_stop_a_run_by_it(
    made: type[Careless], how: str
) -> None:
    for verdict in (made(how).verify(SAMPLES[0]), asyncio.run(made(how).averify(SAMPLES[0]))):
        assert (verdict.status, verdict.fault) == ("unscorable", "verifier")
        assert (verdict.evidence.rule, verdict.evidence.verifier) == (
            "verifier error",
            made.__name__,
        )
    score = Rubric(p=made(how)).score(SAMPLES[0], on_error="abstain")
    assert score.total is None


@pytest.mark.parametrize(
    "error",
    [MissingExtraError("It", "math", "sympy"), SandboxUnavailable("no user namespaces here")],
)
def test_what_every_row_would_meet_again_is_raised(error: Exception) -> None:
    class Needs(Verifier):
        def _verify(self, sample: Sample) -> Verdict:
            raise error

    with pytest.raises(type(error)):
        Needs().verify(SAMPLES[0])
    with pytest.raises(type(error)):
        Rubric(p=Needs()).score(SAMPLES[0], on_error="abstain")


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


@pytest.mark.parametrize("made", [AllOf, AnyOf])
def test_a_combination_of_nothing_is_refused(made: type[AllOf]) -> None:
    with pytest.raises(UsageError, match="at least one verifier"):
        made(())


@pytest.mark.parametrize(
    ("verifier", "blocks"),
    [
        (AllOf((EndsWith("!"),)), False),
        (AllOf((EndsWith("!"), Blocking())), True),
        (AnyOf((Slow(),)), True),
        (Not(Blocking()), True),
        (Not(AllOf((AnyOf((Slow(),)),))), True),
        (Not(EndsWith("!")), False),
    ],
)
def test_a_combination_waits_if_a_member_does(verifier: Verifier, blocks: bool) -> None:
    assert verifier.blocking is blocks
    assert verifier.reward().waits is blocks


def test_a_batch_of_a_combination_that_waits_waits_side_by_side() -> None:
    assert statuses(AllOf((Blocking(),)).verify_many(SAMPLES[:2])) == ["correct", "correct"]


class Confined(Verifier):
    where: str

    def environment(self) -> dict[str, Any]:
        return {"sandbox": self.where}


def test_a_combination_says_what_its_members_depend_on() -> None:
    assert Not(Confined("here")).environment() == {"sandbox": "here"}
    assert AllOf((Confined("here"), Confined("here"))).environment() == {"sandbox": "here"}
    both = AnyOf((EndsWith("!"), Confined("here"), Confined("there"))).reward().environment()
    assert both == {"sandbox": "here", "sandbox of verifier 3": "there"}


class Undecided(Verifier):
    label: str | None = None
    rule: str = ""
    reason: str = "it is not so"

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect(self.reason, label=self.label, rule=self.rule)


@pytest.mark.parametrize(
    "inner",
    [
        Undecided(label="missing"),
        Undecided(label="limit"),
        Undecided(rule="limit"),
        RegexFormat(r"(x+x+)+y", timeout_s=0.05),
        NumberVerifier(),
    ],
)
def test_neither_a_missing_answer_nor_a_limit_is_turned_into_a_pass(inner: Verifier) -> None:
    sample = Sample(completion="x" * 5_000, answer="4")
    found = inner.verify(sample)
    assert found.status == "incorrect"
    turned = Not(inner).verify(sample)
    assert (turned.status, turned.reason) == ("incorrect", found.reason)
    assert Not(Undecided()).verify(sample).status == "correct"
