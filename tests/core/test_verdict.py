"""Promise: a verdict has three outcomes, and none can be mistaken for another."""

from __future__ import annotations

import pickle

import pytest

from rewardkit import Evidence, UsageError, Verdict


def test_the_three_outcomes() -> None:
    assert Verdict.correct("yes", rule="r").credit == 1.0
    assert Verdict.incorrect("no").credit is None
    assert Verdict.incorrect("nearly", credit=0.75).credit == 0.75
    lost = Verdict.unscorable("the gold does not parse", fault="dataset", text="?")
    assert (lost.status, lost.fault, lost.credit) == ("unscorable", "dataset", None)
    assert lost.evidence == Evidence(text="?")


@pytest.mark.parametrize(
    "arguments",
    [
        ("maybe",),
        ("correct", "", 0.5),
        ("correct",),
        ("incorrect", "", 1.0),
        ("incorrect", "", float("nan")),
        ("incorrect", "", -0.1),
        ("incorrect", "", None, None, "dataset"),
        ("unscorable", "", None, None, "dataset"),
        ("unscorable", "why"),
        ("unscorable", "why", 0.5, None, "dataset"),
        ("unscorable", "why", None, None, "the model"),
    ],
)
def test_a_contradiction_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(UsageError, match="not a possible verdict"):
        Verdict(*arguments)  # type: ignore[arg-type]


def test_unscorable_cannot_be_read_as_false_by_accident() -> None:
    for verdict in (Verdict.correct(), Verdict.unscorable("x", fault="verifier")):
        with pytest.raises(TypeError, match="three outcomes"):
            bool(verdict)


def test_evidence_can_be_added_to() -> None:
    verdict = Verdict.incorrect("no", rule="r").with_evidence(seconds=1.5)
    assert (verdict.evidence.rule, verdict.evidence.seconds) == ("r", 1.5)
    assert pickle.loads(pickle.dumps(verdict)) == verdict
