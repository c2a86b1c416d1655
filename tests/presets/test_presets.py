"""Every preset pays exactly what its docstring says, and its exploits are known and gated."""

from __future__ import annotations

from typing import Any

import pytest

from rewardkit import Rubric, Sample, Score, presets
from rewardkit.errors import MissingColumnError
from rewardkit.verifiers import TagFormat

ALL = {name: getattr(presets, name) for name in presets.__all__}


def totals(rubric: Rubric, gold: Any, *texts: str) -> list[float | None]:
    return [rubric.score(completion=text, answer=gold).total for text in texts]


@pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
def test_every_preset_travels_through_specs(make: Any) -> None:
    rubric = make()
    assert Rubric.from_spec(rubric.to_spec()) == rubric
    assert Rubric.from_spec({"preset": make.__name__}) == rubric
    assert rubric.fingerprint == Rubric.from_spec(rubric.to_spec()).fingerprint
    assert "Farmable" in make.__doc__ or "defined" in make.__doc__


@pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
def test_a_missing_gold_is_no_score_rather_than_a_bad_one(make: Any) -> None:
    if make is not presets.email:
        assert make().score(completion="<answer>4</answer>", answer=None).total is None


def test_arithmetic() -> None:
    rubric = presets.arithmetic()
    assert totals(rubric, "4", "4", "3", "8", "C", "") == [4.0, -2.0, -2.0, -4.0, -4.0]
    assert totals(rubric, 4, "The answer is 4.", "2 + 2 = 4", "4.0") == [4.0, 4.0, 4.0]
    assert totals(rubric, "4", "nan", "1e999999", "４") == [-4.0, -4.0, -4.0]


SIGNATURE = "Kind regards\nJo Doe\n+1 555 0100\njo@example.com\n12 Main Street, Springfield"
MAIL = f"Dear Alice,\n\nyour refund is on its way.\n\n{SIGNATURE}"
ROW = {
    "recipient": "Alice",
    "keywords": ["refund"],
    "phone": "+1 555 0100",
    "email": "jo@example.com",
    "address": "12 Main Street, Springfield",
}


def mail(text: str, ideal: str = "something else", **options: Any) -> Score:
    return presets.email(**options).score(Sample(completion=text, answer=ideal, columns=ROW))


def test_email() -> None:
    score = mail(MAIL)
    assert score.total == 3.0
    assert score.values == {
        "keyword": 1.0, "ideal": 0.0, "length": 0.0, "recipient": 1.0, "signature": 1.0,
    }  # fmt: skip
    assert mail(MAIL, ideal=MAIL).total == 4.0
    assert mail(MAIL + "\n", ideal=MAIL).total == 4.0
    assert mail(MAIL, max_length=5).values["length"] == -1.0
    assert mail(MAIL, max_length=len(MAIL), unit="characters").values["length"] == 0.0
    assert mail(MAIL, max_length=len(MAIL) - 1, unit="characters").values["length"] == -1.0
    assert mail("").total == 0.0


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("refund", "refunds", "keyword"),
        ("Alice", "Alicea", "recipient"),
        ("+1 555 0100", "+1 555 0101", "signature"),
        ("jo@example.com", "", "signature"),
        ("12 Main Street", "13 Main Street", "signature"),
    ],
)
def test_email_takes_off_for_each_thing_that_is_missing(old: str, new: str, part: str) -> None:
    score = mail(MAIL.replace(old, new))
    assert score.values[part] == 0.0
    assert score.total == 2.0


def test_email_wants_the_signature_at_the_end() -> None:
    body = "\n".join(f"line {i}" for i in range(20))
    assert mail(f"{SIGNATURE}\n\nDear Alice, your refund.\n{body}").values["signature"] == 0.0


def test_email_takes_constants_instead_of_columns_and_names_a_missing_column() -> None:
    rubric = presets.email(
        keywords=("refund",), recipient="Alice", phone="+1 555 0100",
        mail="jo@example.com", address="12 Main Street, Springfield",
    )  # fmt: skip
    assert rubric.score(completion=MAIL, answer="x").total == 3.0
    assert rubric.columns == {"answer"}
    with pytest.raises(MissingColumnError, match="keywords"):
        presets.email().score(completion=MAIL, answer="x")


def test_email_arguments_may_come_from_a_spec() -> None:
    spec = {"preset": "email", "args": {"recipient": {"column": "to"}, "keywords": ["refund"]}}
    assert Rubric.from_spec(spec).columns == {"answer", "to", "phone", "email", "address"}


GSM8K = "<reasoning>\nTwo and two.\n</reasoning>\n<answer>\n4\n</answer>\n"
GOLD = "Two and two make four.\n#### 4"


def test_gsm8k_pays_a_perfect_answer_in_full() -> None:
    score = presets.gsm8k().score(completion=GSM8K, answer=GOLD)
    assert score.values == {
        "correctness": 2.0, "integer": 0.5, "soft_format": 0.5, "strict_format": 0.5, "tags": 0.5,
    }  # fmt: skip
    assert score.total == 4.0
    assert totals(presets.gsm8k(), "4", GSM8K) == [4.0]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (GSM8K.replace("4", "5"), {"correctness": 0.0, "integer": 0.5, "strict_format": 0.5}),
        (GSM8K.replace("4", "4.0"), {"correctness": 0.0, "integer": 0.0}),
        (GSM8K.replace("4", "four"), {"correctness": 0.0, "integer": 0.0, "soft_format": 0.5}),
        (GSM8K.replace("\n", ""), {"correctness": 2.0, "soft_format": 0.5, "strict_format": 0.0}),
        (GSM8K.replace("\n", " "), {"soft_format": 0.5, "strict_format": 0.0, "tags": 0.5}),
        (GSM8K.strip() + "x" * 100, {"soft_format": 0.0, "strict_format": 0.0, "tags": 0.4}),
        (
            "<answer>4</answer>",
            {"correctness": 2.0, "integer": 0.5, "soft_format": 0, "tags": 0.25},
        ),
        (GSM8K + GSM8K, {"correctness": 2.0, "soft_format": 0.0, "tags": 0.0}),
        ("4", {"correctness": 0.0, "integer": 0.0, "soft_format": 0.0, "tags": 0.0}),
        ("<answer>4", {"correctness": 0.0, "integer": 0.0, "tags": 0.125}),
    ],
)
def test_gsm8k_part_by_part(text: str, parts: dict[str, float]) -> None:
    values = presets.gsm8k().score(completion=text, answer=GOLD).values
    assert {name: values[name] for name in parts} == pytest.approx(parts)


def test_gsm8k_exploits_are_as_documented_and_a_gate_closes_them() -> None:
    rubric = presets.gsm8k()
    empty = "<reasoning></reasoning><answer></answer>"
    form = GSM8K.replace("4", "0")
    assert totals(rubric, GOLD, empty, form) == [0.5, 2.0]
    gated = rubric.gate("integer", on="correctness").weighted(tags=0.1, soft_format=0.1)
    assert (gated.score(completion=form, answer=GOLD).total or 0) < 0.7
    other = presets.gsm8k(reasoning="think", answer="final")
    text = GSM8K.replace("reasoning", "think").replace("answer", "final")
    assert totals(other, GOLD, text) == [4.0]


def test_gsm8k_two_part() -> None:
    rubric = presets.gsm8k_two_part()
    exact, equal, wrong = (f"<reasoning>x</reasoning><answer>{a}</answer>" for a in ("4", "4.0", 5))
    assert totals(rubric, GOLD, exact, equal, wrong) == pytest.approx([2.8, 2.3, 0.8])
    assert totals(rubric, GOLD, "4", "<answer>4</answer>") == pytest.approx([0.0, 2.4])
    tags_alone = "<reasoning></reasoning><answer></answer>"
    assert totals(rubric, GOLD, tags_alone) == pytest.approx([0.8])
    form = TagFormat("<reasoning>...</reasoning><answer>...</answer>")
    gated = Rubric(**rubric.parts, form=form.reward()).gate("format", on="form")
    assert totals(gated.metrics("form"), GOLD, tags_alone) == [0.0]


def test_gsm8k_eval_matched() -> None:
    rubric = presets.gsm8k_eval_matched()
    text = "<reasoning>x</reasoning><answer>\n#### 4\n</answer>"
    assert totals(rubric, GOLD, text, text + "\n") == pytest.approx([3.0, 3.0])
    assert totals(rubric, GOLD, text + "y" * 50) == pytest.approx([2.95])
    assert totals(rubric, GOLD, text.replace("4", "4.0")) == pytest.approx([2.5])
    assert totals(rubric, GOLD, text.replace("#### ", "")) == pytest.approx([0.8])
    # The harness reads the first "#### ", whatever comes later.
    assert totals(rubric, GOLD, "#### 5 " + text) == pytest.approx([1.0])
    assert totals(rubric, GOLD, text.replace("#### 4", "####4")) == pytest.approx([1.0])


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("10", 3.0), (" 10", 1.5), ("10.0", 0.5), ("9", 0.5), ("11", 0.5), ("8", 0.25),
        ("12", 0.25), ("3", -1.0), ("100", -1.0), ("-10", -1.0), ("ten", -1.0), ("", -1.0),
        ("nan", -1.0), ("inf", -1.0), ("1e999", -1.0),
    ],
)  # fmt: skip
def test_proximity_banded(text: str, total: float) -> None:
    rubric = presets.proximity_banded(extract="answer")
    assert totals(rubric, "10", f"<answer>{text}</answer>") == [total]


def test_proximity_smooth() -> None:
    rubric = presets.proximity_smooth()
    assert totals(rubric, "10", "10", "10.0", "9", "3") == pytest.approx([3.0, 3.0, 0.8, -0.4])
    assert totals(rubric, "10", "30", "ten", "nan", "1e300") == [-1.0, -1.0, -1.0, -1.0]
    reciprocal = presets.proximity_smooth(shape="reciprocal", scale="absolute", tolerance=5.0)
    assert totals(reciprocal, "10", "15") == pytest.approx([0.0])


MARKED = "<start_working_out>2 and 2<end_working_out><SOLUTION>4</SOLUTION>"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (MARKED, {"format": 3.0, "markers": 2.0, "answer": 3.0}),
        (MARKED.replace("><", ">\n<"), {"format": 3.0, "markers": 2.0, "answer": 3.0}),
        (MARKED.replace("4", "40"), {"format": 3.0, "markers": 2.0, "answer": -1.0}),
        (MARKED + "!", {"format": 0.0, "markers": 2.0, "answer": 3.0}),
        (MARKED.replace("<end_working_out>", ""), {"format": 0.0, "markers": 0.5, "answer": -1.0}),
        ("<SOLUTION>4</SOLUTION>", {"format": 0.0, "markers": -1.0, "answer": 3.0}),
        ("4", {"format": 0.0, "markers": -4.0, "answer": -1.0}),
        ("", {"format": 0.0, "markers": -4.0, "answer": -1.0}),
        (MARKED + MARKED, {"format": 0.0, "markers": -4.0, "answer": 3.0}),
    ],
)
def test_custom_markers(text: str, parts: dict[str, float]) -> None:
    assert presets.custom_markers().score(completion=text, answer="4").values == parts


def test_custom_markers_exploits_are_as_documented() -> None:
    rubric = presets.custom_markers()
    wrong = MARKED.replace("4", "400")
    bare = "<start_working_out><end_working_out><SOLUTION></SOLUTION>"
    assert totals(rubric, "4", wrong, bare) == [4.0, 1.0]
    weighed = rubric.weighted(format=0.1, markers=0.1)
    assert (weighed.score(completion=wrong, answer="4").total or 0) < 0
    own = presets.custom_markers(
        working_start="[w]", working_end="[/w]", solution_start="[s]", solution_end="[/s]"
    )
    assert totals(own, "4", "[w]x[/w][s]4[/s]") == [8.0]
