"""Promise: a rubric travels to YAML and JSON and back without loss, and nothing unknown is let in."""

from __future__ import annotations

import functools
import json
import os
import pickle
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rewardkit import (
    AllOf,
    DataError,
    FunctionReward,
    Not,
    Reward,
    Rubric,
    Sample,
    SpecError,
    Verifier,
)
from rewardkit.lint import LINTS
from rewardkit.rewards import Outcome
from rewardkit.testing import load_fixtures
from rewardkit.verifiers import Contains, Keywords, NumberVerifier, Proximity, TagFormat

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


HARD = [
    "naïve ½ ≥ 漢字",
    "\U0001f600 and \U0001d4b3",
    "\u2028\u202e\x00\t",
    "on",
    "1:30",
    "~",
]


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("name", ["rubric.yaml", "rubric.json"])
def test_no_character_is_lost_on_the_way_to_a_file_and_back(
    tmp_path: Path, text: str, name: str
) -> None:
    made = Rubric.from_parts({text: Contains(f"x{text}").reward(values={text: 0.5})})
    made.save(tmp_path / name)
    assert Rubric.load(tmp_path / name) == made
    assert Rubric.from_spec(json.loads(json.dumps(made.to_spec()))) == made


@given(text=st.text(), name=st.sampled_from(["rubric.yaml", "rubric.json"]))
@example(text="\x85", name="rubric.yaml")
@example(text="a\u2028 \u2029\ufeff\r\n\t ", name="rubric.yaml")
def test_any_text_travels(tmp_path_factory: pytest.TempPathFactory, text: str, name: str) -> None:
    path = tmp_path_factory.mktemp("any") / name
    made = Rubric(p=Contains(f"x{text}"))
    made.save(path)
    assert Rubric.load(path) == made


def test_json_may_be_indented_by_tabs_and_begin_with_a_mark(tmp_path: Path) -> None:
    text = (
        '{\n\t"parts": {\n\t\t"a": {"verifier": "contains", "args": {"text": "\\ud83d\\ude00"}}}\n}'
    )
    (tmp_path / "rubric.json").write_text("\ufeff" + text, encoding="utf-8")
    assert Rubric.load(tmp_path / "rubric.json") == Rubric(a=Contains("\U0001f600"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"parts": {}, "parts": {}}', "'parts' is given twice"),
        ('{"parts": {"a": {"verifier": "number", "verifier": "math"}}}', "given twice"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"parts": {"a": {"verifier": "number", "weight": NaN}}}', "finite"),
    ],
)
def test_json_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rubric.json").write_text(text)
    with pytest.raises(SpecError, match=message):
        Rubric.load(tmp_path / "rubric.json")


def test_what_occurs_twice_is_written_twice(tmp_path: Path) -> None:
    """Aliases are not read, so none may be written."""
    shared = Keywords(any_of=("one", "two"))
    made = Rubric(a=AllOf((shared, shared)), b=shared)
    made.save(tmp_path / "rubric.yaml")
    assert Rubric.load(tmp_path / "rubric.yaml") == made


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
    ).silence(*LINTS)  # fmt: skip
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
        ("a: &x 1\nb: *x", "anchors .* and aliases .* are not read"),
        ("a: &x [1]", "anchors"),
        ("a: &x {<<: *x}", "anchors"),
        ("a: 2024-13-45", "not valid YAML"),
        ("[" * 10_000, "nested too deeply"),
    ],
)
def test_a_spec_that_is_wrong_is_refused_with_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "rubric.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        Rubric.load(tmp_path / "rubric.yaml")


def test_a_few_lines_that_stand_for_gigabytes_cost_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(SpecError, match="anchors"):
        Rubric.load(tmp_path / "bomb.yaml")


def test_a_mistake_is_explained_without_writing_out_all_that_was_given() -> None:
    class Huge(list[object]):
        def __repr__(self) -> str:
            raise AssertionError("the whole of it")

    huge: list[object] = [0]
    for _ in range(60):  # ten to the eighteenth items, were they all written out
        huge = [huge, huge]
    for bad in (huge, Huge([1]), "x" * 10**6):
        with pytest.raises(SpecError) as caught:
            Rubric.from_spec({"parts": {"a": {"verifier": bad}}})
        assert len(str(caught.value)) < 2_000


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


class Callable_:
    def __call__(self, completion: str) -> float:
        return 1.0

    def method(self, completion: str) -> float:
        return 1.0


class Thing:
    pass


class Arbitrary(Reward):
    def __init__(self, thing: Thing) -> None:
        super().__init__()
        object.__setattr__(self, "thing", thing)

    def outcomes(self, samples: object, limit_s: float | None = None) -> list[Outcome]:
        return []


@pytest.mark.parametrize(
    "part",
    [functools.partial(json.dumps, indent=2), Callable_(), Callable_().method, Arbitrary(Thing())],
    ids=["partial", "object", "method", "class"],
)
def test_what_has_no_name_or_no_plain_form_is_a_spec_error(tmp_path: Path, part: Any) -> None:
    made = Rubric(p=FunctionReward(part, form="single") if callable(part) else part)
    with pytest.raises(SpecError):
        made.to_spec()
    with pytest.raises(SpecError):
        made.save(tmp_path / "rubric.yaml")
    assert not (tmp_path / "rubric.yaml").exists()


class TestFilesOfFunctions:
    """Promise: a file named by a spec is loaded whole or not at all, and stands in nobody's way."""

    def load(self, folder: Path, reference: str, **options: object) -> Rubric:
        spec = {"parts": {"a": {"function": reference, **options}}}
        return Rubric.from_spec(spec, allow_code=folder)

    def test_half_a_module_is_not_found_whole_the_next_time(self, tmp_path: Path) -> None:
        (tmp_path / "half.py").write_text(
            "def early(completion):\n    return 1.0\n\nraise ValueError('not finished')\n"
        )
        for _ in range(2):
            with pytest.raises(SpecError, match=r"ValueError: not finished"):
                self.load(tmp_path, "half.py:early")
        (tmp_path / "half.py").write_text("def early(completion):\n    return 2.0 + 0\n")
        assert self.load(tmp_path, "half.py:early").score(completion="x").total == 2.0

    def test_a_file_takes_no_other_modules_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import random

        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "random.py").write_text("def draw(completion):\n    return 4.0\n")
        assert self.load(tmp_path, "random.py:draw").score(completion="x").total == 4.0
        assert sys.modules["random"] is random

    def test_two_files_of_one_name_are_two_modules(self, tmp_path: Path) -> None:
        for value in (1.0, 2.0):
            folder = tmp_path / str(value)
            folder.mkdir()
            (folder / "mine.py").write_text(f"def f(completion):\n    return {value}\n")
        found = [self.load(tmp_path / str(v), "mine.py:f") for v in (1.0, 2.0)]
        assert [r.score(completion="x").total for r in found] == [1.0, 2.0]

    def test_the_same_file_elsewhere_has_the_same_fingerprint(self, tmp_path: Path) -> None:
        prints = set()
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "mine.py").write_text(MODULE)
            prints.add(self.load(tmp_path / name, "mine.py:plain").fingerprint)
        assert len(prints) == 1

    def test_its_functions_pickle_and_run_under_a_hard_limit(self, tmp_path: Path) -> None:
        code = "import os\n\ndef where(completion):\n    return float(os.getpid())\n"
        code += "\ndef spins(completion):\n    while True:\n        pass\n"
        (tmp_path / "hard.py").write_text(code)
        loaded = self.load(tmp_path, "hard.py:where", limit_s=20.0)
        assert pickle.loads(pickle.dumps(loaded.parts["a"])).fn is loaded.parts["a"].fn  # type: ignore[attr-defined]
        assert loaded.score(completion="x").total not in (None, float(os.getpid()))
        stuck = self.load(tmp_path, "hard.py:spins", limit_s=1.0).score(completion="x")
        assert "its worker was killed" in stuck["a"].why


def test_a_name_that_two_packages_register_is_refused_and_not_taken_from_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from rewardkit import registry

    real = entry_points

    def with_another(group: str) -> list[EntryPoint]:
        mine = EntryPoint("number", "elsewhere:Number", group)
        return (
            [*real(group=group), mine] if group == registry.VERIFIERS else list(real(group=group))
        )

    monkeypatch.setattr(registry, "entry_points", with_another)
    registry._registered.cache_clear()
    try:
        with pytest.raises(SpecError, match=r"'number' is registered twice, by rewardkit .* and "):
            Rubric.from_spec({"parts": {"a": {"verifier": "number"}}})
        assert Rubric.from_spec({"parts": {"a": {"verifier": "contains", "args": {"text": "x"}}}})
    finally:
        registry._registered.cache_clear()


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


def test_fixtures_read_no_aliases_either(tmp_path: Path) -> None:
    (tmp_path / "x.rewards.yaml").write_text(
        "- &a {id: a, completion: x, expect: {total: 1}}\n- *a\n"
    )
    with pytest.raises(DataError, match="anchors"):
        load_fixtures(tmp_path / "x.rewards.yaml")
