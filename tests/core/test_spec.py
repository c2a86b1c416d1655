"""Promise: a rubric travels to YAML and JSON and back without loss, and nothing unknown is let in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardkit import AllOf, FunctionReward, Not, Rubric, Sample, SpecError, Verifier
from rewardkit.verifiers import NumberVerifier, Proximity, TagFormat

TAGS = TagFormat("<think>...</think><answer>...</answer>")

MODULE = """
from rewardkit import reward

@reward(bounds=(0.0, 1.0), weight=9.0)
def brevity(completion):
    return 1.0 if len(completion) < 10 else 0.0

def plain(completion):
    return 2.0
"""


def rubric() -> Rubric:
    return (
        Rubric(
            format=TAGS.reward(correct=0.5),
            answer=NumberVerifier(extract="answer").reward(3.0, -1.0, unscorable="skip"),
            near=Proximity(extract="answer").reward(partial=True, weight=0.5, unscorable=-0.25),
            both=AllOf((TAGS, Not(NumberVerifier()))).reward(values={"x": 1.0}),
        )
        .gate("answer", "near", on="format")
        .gate(on="answer", cap=2.0)
        .metrics("both")
    )


def test_a_rubric_round_trips_through_data_json_and_yaml(tmp_path: Path) -> None:
    made = rubric()
    assert Rubric.from_spec(made.to_spec()) == made
    assert Rubric.from_spec(json.loads(json.dumps(made.to_spec()))) == made
    for name in ("rubric.yaml", "rubric.json"):
        made.save(tmp_path / name)
        again = Rubric.load(tmp_path / name)
        assert again == made
        assert again.fingerprint == made.fingerprint


numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(correct=numbers, incorrect=numbers, weight=numbers, partial=st.booleans(),
       policy=st.sampled_from(["abstain", "skip"]) | numbers, tolerance=st.floats(1e-6, 1e6))  # fmt: skip
def test_every_number_comes_back_as_it_went(
    correct: float, incorrect: float, weight: float, partial: bool, policy: object, tolerance: float
) -> None:
    made = Rubric(
        p=Proximity(tolerance=tolerance).reward(
            correct, incorrect, partial=partial, weight=weight, unscorable=policy  # type: ignore[arg-type]
        )
    )  # fmt: skip
    assert Rubric.from_spec(json.loads(json.dumps(made.to_spec()))) == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "parts: {a: {verifier: number, corect: 1}}",
            "corect(.|\n)*keys there are: verifier, .*correct",
        ),
        ("partz: {}", "partz"),
        ("parts: {a: {verifier: numbr}}", "unknown verifier 'numbr'; there are: .*number"),
        ("parts: {a: {verifier: number, args: {extrct: answer}}}", "extrct"),
        ("parts: {a: {verifier: number, correct: .nan}}", "finite"),
        ("parts: {a: {verifier: number, weight: .inf}}", "finite"),
        ("parts: {a: {verifier: number}, a: {verifier: number}}", "'a' is given twice"),
        ("parts: {a: {}}", "exactly one of verifier, reward, function"),
        ("parts: {a: {verifier: number, function: 'x:y'}}", "exactly one"),
        ("parts: {a: {verifier: number, bounds: [0, 1]}}", "does not apply"),
        ("parts: {a: {function: 'os:getcwd'}}", "--allow-code"),
        ("parts: {a: {verifier: 'os:getcwd'}}", "--allow-code"),
        ("preset: no_such", "unknown preset"),
        ("rewardkit: 2\nparts: {a: {verifier: number}}", "rewardkit"),
        ("[1, 2]", "must hold a mapping"),
        ("a: [", "not valid YAML"),
        ("parts: {a: !!python/object/apply:os.getcwd []}", "not valid YAML"),
    ],
)
def test_a_spec_that_is_wrong_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "rubric.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        Rubric.load(tmp_path / "rubric.yaml")


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot read .*none.yaml"):
        Rubric.load(tmp_path / "none.yaml")


def test_the_words_on_yes_and_no_stay_words(tmp_path: Path) -> None:
    """YAML 1.1 reads them as booleans: the key of a gate and the keywords of a text would change."""
    text = """
    parts:
      format: {verifier: tag_format, args: {template: "<a>...</a>"}}
      word: {verifier: keywords, args: {any_of: [yes, no, on, off]}}
    gates:
      - {on: format, gated: [word]}
    """
    (tmp_path / "rubric.yaml").write_text(text)
    loaded = Rubric.load(tmp_path / "rubric.yaml")
    assert loaded.gates[0].on == "format"
    assert "'yes', 'no', 'on', 'off'" in repr(loaded)


def test_functions_come_from_files_beside_the_spec_where_code_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    spec = "parts: {short: {function: 'mine.py:brevity', weight: 0.5}, two: {function: 'mine.py:plain'}}"
    (tmp_path / "rubric.yaml").write_text(spec)
    loaded = Rubric.load(tmp_path / "rubric.yaml", allow_code=True)
    assert loaded.score(Sample(completion="hi")).total == 2.5
    assert loaded.parts["short"].range == (0.0, 1.0)
    loaded.save(tmp_path / "again.yaml")
    assert str(tmp_path / "mine.py") in (tmp_path / "again.yaml").read_text()
    assert Rubric.load(tmp_path / "again.yaml", allow_code=True) == loaded
    with pytest.raises(SpecError, match="Did you mean mine.py:plain"):
        Rubric.from_spec({"parts": {"a": {"function": "mine:plain"}}}, allow_code=tmp_path)
    with pytest.raises(SpecError, match="cannot load 'mine.py:none'"):
        Rubric.from_spec({"parts": {"a": {"function": "mine.py:none"}}}, allow_code=tmp_path)


def test_what_could_not_be_found_again_does_not_serialise_and_says_so() -> None:
    with pytest.raises(SpecError, match="a lambda needs a def"):
        Rubric(a=lambda completion: 1.0).to_spec()

    class Local(Verifier):
        pass

    with pytest.raises(SpecError, match="found by name"):
        Rubric(a=Local()).to_spec()


def length(completion: str) -> float:
    return SCALE * len(completion)


SCALE = 1.0


class TestFingerprint:
    """Promise: a fingerprint changes whenever a score might."""

    def test_it_covers_arguments_weights_policies_and_gates(self) -> None:
        base = Rubric(f=TAGS, n=NumberVerifier())
        prints = {
            base.fingerprint,
            Rubric(f=TAGS, n=NumberVerifier(extract="answer")).fingerprint,
            base.weighted(n=2.0).fingerprint,
            base.gate("n", on="f").fingerprint,
            Rubric(f=TAGS, n=NumberVerifier().reward(unscorable="skip")).fingerprint,
            Rubric(f=TAGS, n=NumberVerifier().reward(2.0)).fingerprint,
            Rubric(f=TAGS, m=NumberVerifier()).fingerprint,
        }
        assert len(prints) == 7
        assert base.fingerprint == Rubric(f=TAGS, n=NumberVerifier()).fingerprint

    def test_it_covers_a_verifiers_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = Rubric(n=AllOf((NumberVerifier(),))).fingerprint
        monkeypatch.setattr(NumberVerifier, "version", "1.1-test")
        assert Rubric(n=AllOf((NumberVerifier(),))).fingerprint != before

    def test_it_covers_the_version_of_what_a_verifier_stands_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from rewardkit import fingerprint

        monkeypatch.setattr(NumberVerifier, "stands_on", ("regex",))
        before = Rubric(n=NumberVerifier()).fingerprint
        monkeypatch.setattr(fingerprint, "_version", lambda name: "0.0")
        assert Rubric(n=NumberVerifier()).fingerprint != before

    def test_it_covers_a_functions_source_constants_closure_and_defaults(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def make(factor: float, power: int) -> FunctionReward:
            return FunctionReward(lambda completion, p=power: factor * len(completion) ** p)

        prints = {Rubric(a=make(f, p)).fingerprint for f, p in ((1, 1), (2, 1), (1, 2))}
        assert len(prints) == 3
        before = Rubric(length).fingerprint
        monkeypatch.setitem(globals(), "SCALE", 2.0)
        assert Rubric(length).fingerprint != before
