"""Promise: bad designs are warned of early, by names that silence them, and sound ones are not."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from rewardkit import (
    AllOf,
    AnyOf,
    Column,
    Not,
    Reward,
    Rubric,
    RubricError,
    Sample,
    presets,
    reward,
    verifiers,
)
from rewardkit.cli import main
from rewardkit.errors import RewardKitWarning
from rewardkit.lint import LINTS, Lint, LintWarning, lint
from rewardkit.testing.audit.lint_data import honest_samples, lint_scores
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers import (
    Choice,
    CodeVerifier,
    Contains,
    ExactText,
    HasNumber,
    IsInteger,
    Keywords,
    MarkerOnce,
    MathVerifier,
    MaxLength,
    NumberVerifier,
    Proximity,
    ProximityBands,
    RegexFormat,
    TagCount,
    TagFormat,
)

FORM = TagFormat("<think>...</think><answer>...</answer>")
NUMBER = NumberVerifier(extract="answer")
CODE = CodeVerifier([[[2], 4]], entry="double")  # which reads no column of the row


@reward(bounds=(0.0, 1.0))
def charm(completion: str) -> float:
    return 0.5


class Judge(Verifier):
    """Reads the prompt, and may judge anything."""

    needs = ("prompt",)

    def _verify(self, sample: Sample) -> Verdict:
        return Verdict.incorrect("no")


@reward(bounds=(2.0, 2.0))
def two(completion: str) -> float:
    return 2.0


FAULTY: dict[str, Rubric] = {
    "form-outweighs-answer": Rubric(form=FORM.reward(2.0), answer=NUMBER.reward(1.0)),
    "form-outweighs-answer, by tests written in": Rubric(form=FORM.reward(2.0), answer=CODE),
    "form-outweighs-answer, by a length that the row says": Rubric(
        short=MaxLength(Column("most")).reward(2.0), answer=NUMBER
    ),
    "right-pays-less, by tests written in": Rubric(answer=CODE.reward(-1.0, 1.0)),
    "right-pays-less": Rubric(answer=NUMBER.reward(-1.0, 1.0)),
    "constant-part": Rubric(answer=NUMBER, two=two),
    "missing-pays": Rubric(answer=NUMBER.reward(1.0, -1.0, values={"missing": 0.0})),
    "unscorable-pays": Rubric(answer=NUMBER.reward(1.0, unscorable=1.0)),
    "gate-always-open": Rubric(charm=charm, answer=NUMBER).gate("answer", on="charm", at_least=0.0),
    "cap-without-effect": Rubric(form=FORM.reward(0.1), answer=NUMBER).gate(on="form", cap=2.0),
}
NOTED: dict[str, Rubric] = {
    "form-alone": Rubric(form=FORM.reward(0.2), answer=NUMBER.reward(1.0)),
    "gate-on-form": Rubric(form=FORM.reward(0.2), answer=NUMBER).gate("answer", on="form"),
    "metric-gated": Rubric(form=FORM.reward(0.2), answer=NUMBER, charm=charm)
    .metrics("charm")
    .gate("charm", on="form"),
    "negligible-part": Rubric(answer=NUMBER.reward(10.0), form=FORM.reward(0.01)),
    "range-unknown": Rubric(answer=NUMBER, length=lambda completion: float(len(completion))),
}
SOUND: dict[str, Rubric] = {
    "one": Rubric(answer=NUMBER.reward(3.0, -1.0)),
    "form": Rubric(form=FORM.reward(0.5), answer=NUMBER.reward(3.0, -1.0)),
    "gated": FAULTY["form-outweighs-answer"].gate("answer", on="form"),
    "form behind the answer": FAULTY["form-outweighs-answer"].gate("form", on="answer"),
    "capped": FAULTY["form-outweighs-answer"].gate(on="form", cap=0.0),
    "a form alone": Rubric(form=FORM),
    "a penalty": Rubric(answer=NUMBER, short=MaxLength(100).reward(0.0, -1.0)),
    "a negative weight": Rubric(answer=NUMBER, sorry=Contains("sorry").reward(weight=-0.5)),
    "a gate that pays nothing": Rubric(form=FORM.reward(weight=0.0), answer=NUMBER)
    .gate("answer", on="form"),
    "a judge": Rubric(answer=NUMBER, judge=charm).weighted(judge=5.0),
    "tests written in": Rubric(code=CODE.reward(2.0, -1.0), answer=NUMBER),
    "tests written in, of a form too": Rubric(code=AllOf((FORM, CODE)).reward(2.0), answer=NUMBER),
    "a verifier that asks a judge": Rubric(answer=NUMBER, judge=Judge().reward(5.0)),
    "bands": Rubric(answer=ProximityBands().reward(3.0, -1.0, values={"missing": -2.0})),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_warned_of_before_the_first_score(name: str) -> None:
    rubric, name = FAULTY[name], name.split(",")[0]
    assert name in {one.name for one in lint(rubric) if one.level == "fault"}
    sample = Sample(completion="<answer>4</answer>", answer="4", columns={"most": 9})
    with pytest.warns(LintWarning) as caught:
        Rubric.from_parts(rubric.parts, rubric.gates).score(sample)
    assert name in {warning.message.name for warning in caught}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", FAULTY)
def test_it_is_silenced_by_its_name(name: str) -> None:
    rubric = FAULTY[name].silence(*LINTS)
    assert lint(rubric) == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        rubric.score(completion="<answer>4</answer>", answer="4", most=9)


@pytest.mark.parametrize("name", NOTED)
def test_a_note_is_no_warning(name: str) -> None:
    assert name in {one.name for one in lint(NOTED[name]) if one.level == "note"}
    NOTED[name].score(completion="<answer>4</answer>", answer="4")  # warnings are errors here


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_rubric_is_not_warned_of(name: str) -> None:
    assert [one for one in lint(SOUND[name]) if one.level == "fault"] == []


ASPECTS: dict[str, list[Any]] = {
    "answer": [
        MathVerifier(), NUMBER, Proximity(), ProximityBands(), ExactText(), Choice(), CODE,
        CodeVerifier(Column("tests"), kind="stdin"), CodeVerifier(format="mbpp"),
        Contains(Column("name")), Keywords(all_of=Column("words")), Not(NUMBER), Not(CODE),
        AllOf((FORM, CODE)), AnyOf((FORM, NUMBER)), AllOf((Judge(), NUMBER)),
    ],
    "form": [
        FORM, RegexFormat(".*"), MarkerOnce("<a>"), HasNumber(), IsInteger(), MaxLength(5),
        MaxLength(Column("most")), Contains("please"), Keywords(all_of=("refund",)), Not(FORM),
        AllOf((FORM, HasNumber())), TagCount(("<a>",)),
    ],
    "unknown": [Judge(), Not(Judge()), AllOf((FORM, Judge())), AnyOf((Judge(), FORM)), charm],
}  # fmt: skip


@pytest.mark.parametrize("aspect", ASPECTS)
def test_each_verifier_says_what_it_judges(aspect: str) -> None:
    for one in ASPECTS[aspect]:
        part = Rubric.from_parts({"part": one}).parts["part"]
        assert part.aspect == aspect, one


def test_no_verifier_is_left_out() -> None:
    classes = {getattr(verifiers, name) for name in verifiers.__all__}
    known = {c for c in classes if isinstance(c, type) and issubclass(c, Verifier | Reward)}
    assert known <= {type(one) for group in ASPECTS.values() for one in group}


@pytest.mark.parametrize("name", presets.__all__)
def test_a_preset_does_not_warn(name: str) -> None:
    assert [one for one in lint(getattr(presets, name)()) if one.level == "fault"] == []


def test_the_warning_comes_once_and_says_how_to_silence_it() -> None:
    rubric = Rubric.from_parts(FAULTY["form-outweighs-answer"].parts)
    samples = [Sample(completion="4", answer="4")]
    with pytest.warns(LintWarning, match=r"the form \(form\) moves the total by 2, .*silence") as w:
        assert [rubric.score_many(samples) for _ in range(2)]
    assert len(w) == 1
    assert pickle.loads(pickle.dumps(w[0].message)).name == "form-outweighs-answer"


def test_a_rubric_that_is_not_finished_is_not_warned_of() -> None:
    ungated = Rubric(form=FORM.reward(2.0), answer=NUMBER.reward(1.0))
    ungated.gate("answer", on="form").score(completion="4", answer="4")


def test_silence_travels_with_methods_and_specs() -> None:
    rubric = FAULTY["form-outweighs-answer"].silence("form-outweighs-answer")
    for other in (rubric.weighted(form=3.0), rubric.with_parts(two=NUMBER),
                  rubric.gate("answer", on="form"), pickle.loads(pickle.dumps(rubric)),
                  Rubric.from_spec(rubric.to_spec())):  # fmt: skip
        assert other.silenced == {"form-outweighs-answer"}
    assert rubric.to_spec()["silence"] == ["form-outweighs-answer"]
    assert rubric.fingerprint == FAULTY["form-outweighs-answer"].fingerprint
    assert repr(rubric).endswith(".silence('form-outweighs-answer')")
    spec = {"preset": "arithmetic", "silence": ["form-alone"]}
    assert Rubric.from_spec(spec).silenced == {"form-alone"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RubricError, match="there is no lint 'nonsense'; there are: form-outweighs"):
        Rubric(answer=NUMBER).silence("nonsense")


def names(found: tuple[Lint, ...]) -> set[str]:
    return {one.name for one in found}


def on(rubric: Rubric, *texts: str, answer: Any = "4") -> set[str]:
    scores = rubric.score_many([Sample(completion=text, answer=answer) for text in texts])
    return names(lint_scores(rubric, scores))


def test_lints_on_data() -> None:
    rubric = Rubric(form=FORM.reward(0.5), answer=NUMBER.reward(3.0))
    good, bad = "<think>a</think><answer>4</answer>", "<think>a</think><answer>5</answer>"
    assert on(rubric, good, bad) == {"constant-on-data"}
    assert on(rubric, good, "no") == set()
    assert on(rubric, bad, bad) == {"same-total", "constant-on-data"}
    gated = rubric.gate("answer", on="form")
    assert on(gated, "no", "none") == {"gate-never-opened", "constant-on-data", "same-total"}
    metric = gated.with_parts(charm=charm).metrics("charm").gate("charm", on="form")
    assert "metric-never-logged" in on(metric, "no", "none")
    assert on(rubric, good, bad, answer="?") == {"no-total", "never-judged", "constant-on-data"}
    assert on(rubric.silence("constant-on-data"), good, bad) == set()
    with pytest.raises(ValueError, match="at least two"):
        lint_scores(rubric, [])


def test_honest_completions_are_made_where_there_are_none() -> None:
    rubric = Rubric(form=FORM.reward(0.5), answer=NUMBER.reward(3.0))
    texts = [sample.text for sample in honest_samples(rubric, [{"answer": "4"}])]
    assert len(texts) == 3
    assert any("<answer>4</answer>" in text for text in texts)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "2+2", "answer": "4"}\n')
    SOUND["form"].save("sound.yaml")
    FAULTY["form-outweighs-answer"].save("faulty.yaml")
    return tmp_path


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "sound.yaml"]) == 0
    assert "0 faults, 1 notes" in capsys.readouterr().out
    assert main(["lint", "sound.yaml", "--strict"]) == 1
    assert main(["lint", "sound.yaml", "--data", "rows.jsonl"]) == 0
    capsys.readouterr()
    assert main(["lint", "faulty.yaml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["found"]
    assert found[0]["name"] == "form-outweighs-answer"
    assert main(["lint", "nowhere.yaml"]) == 2


def test_a_rubric_read_from_a_file_warns_then(folder: Path) -> None:
    with pytest.warns(LintWarning, match="form-outweighs-answer"):
        Rubric.load("faulty.yaml")


def test_tag_counting_of_a_part_without_least_value_is_only_noted() -> None:
    rubric = Rubric(tags=TagCount(("<a>", "</a>")), answer=NUMBER)
    assert names(lint(rubric)) == {"range-unknown"}
