"""Promise: the word problems are right, step by step, and the run that goes with them runs."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewardkit import Rubric, Sample, presets
from rewardkit.cli import main
from rewardkit.data import load_rows
from rewardkit.spec import read_data
from rewardkit.trainers import GRPOConfig, RunConfig, make_tiny_model

FOLDER = Path(__file__).parents[2] / "examples" / "word_problems"
Row = dict[str, Any]


def read(name: str) -> list[Row]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


TRAIN, TEST = read("train.jsonl"), read("test.jsonl")
ROWS = TRAIN + TEST

_OPERATIONS = {
    ast.Add: Fraction.__add__,
    ast.Sub: Fraction.__sub__,
    ast.Mult: Fraction.__mul__,
    ast.Div: Fraction.__truediv__,
}


def value(text: str) -> Fraction:
    """The exact value of numbers, + - * / and brackets; anything else is an error."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            return _OPERATIONS[type(node.op)](of(node.left), of(node.right))
        assert isinstance(node, ast.Constant), text
        assert type(node.value) in (int, float), text
        return Fraction(str(node.value))

    return of(ast.parse(text, mode="eval").body)


# An equation in a sentence: "6 * 8 = 48", where the period of the sentence is no decimal point.
_STEP = re.compile(r"([0-9.]+(?: [-+*/] [0-9.]+)+) = ([0-9]+(?:\.[0-9]+)?)")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question"][:40])
def test_a_solution_is_right_step_by_step(row: Row) -> None:
    solution, marker, gold = row["answer"].rpartition("\n#### ")
    assert marker
    steps = _STEP.findall(solution)
    assert len(steps) == solution.count("=") >= 1, "an equation that this test does not read"
    for expression, result in steps:
        assert value(expression) == value(result), expression
    assert value(steps[-1][1]) == value(gold) == value(row["check"])
    assert re.fullmatch("[0-9]+", gold), "golds are whole numbers, as in GSM8K"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question"][:40])
def test_a_check_uses_the_numbers_of_the_question(row: Row) -> None:
    """Numbers that the question does not name are small ones: halves, hours, weeks."""
    named = Counter(map(Fraction, re.findall(r"[0-9]+(?:\.[0-9]+)?", row["question"])))
    used = map(Fraction, re.findall(r"[0-9]+(?:\.[0-9]+)?", row["check"]))
    unknown = {number for number in used if number not in named}
    assert unknown <= {Fraction(n) for n in ("0.5", "1", "2", "3", "4", "5", "6", "60", "100")}


def test_the_evaluator_refuses_what_is_no_arithmetic() -> None:
    for text in ("__import__('os')", "2**9999999", "'a'*3", "True + 1", "-1"):
        with pytest.raises((AssertionError, KeyError)):
            value(text)


def test_the_split_is_clean() -> None:
    questions = [row["question"] for row in ROWS]
    assert (len(TRAIN), len(TEST)) == (48, 12)
    assert len(set(questions)) == len(questions)
    golds = Counter(row["answer"].rpartition("#### ")[2] for row in ROWS)
    assert golds.most_common(1)[0][1] <= 4, "one answer is so frequent that guessing it pays"


def test_a_perfect_completion_of_every_row_earns_the_most() -> None:
    rubric = Rubric.load(FOLDER / "rubric.yaml")
    assert rubric.range is not None
    for row in ROWS:
        gold = row["answer"].rpartition("#### ")[2]
        text = f"<reasoning>\n{row['check']}\n</reasoning>\n<answer>\n{gold}\n</answer>"
        sample = Sample(completion=text, prompt=row["question"], answer=row["answer"])
        assert rubric.score(sample).total == pytest.approx(rubric.range[1])
        assert presets.gsm8k().score(sample).total == pytest.approx(4.0)
        wrong = Sample(completion=text.replace(gold, "-1"), answer=row["answer"])
        assert rubric.score(wrong)["answer"].status == "incorrect"


def test_the_configuration_reads_as_it_is() -> None:
    config = RunConfig(**read_data(FOLDER / "train.yaml"))
    for data, rows in ((config.data, TRAIN), (config.eval_data, TEST)):
        assert data is not None
        loaded = load_rows(data, folder=FOLDER, require=("prompt", "answer"))
        assert [row["prompt"][-1]["content"] for row in loaded] == [r["question"] for r in rows]
        assert "<reasoning>" in loaded[0]["prompt"][0]["content"]
    assert isinstance(config.grpo, GRPOConfig)
    assert config.grpo.prompts_per_generation == 4


def test_the_run_runs(
    examples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = examples / "word_problems"
    make_tiny_model(folder / "model", hidden_size=32, heads=2, max_length=512)
    config = yaml.safe_load((folder / "train.yaml").read_text())
    config["eval_data"]["limit"] = 2
    tiny = {
        "num_generations": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1,
        "max_completion_length": 4, "max_steps": 1,
    }  # fmt: skip
    config["grpo"].update(tiny)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", str(folder / "tiny.yaml")]) == 0
    assert main(["report", str(folder / "runs" / "word_problems")]) == 0
    assert "status   finished" in capsys.readouterr().out


def test_a_missing_model_is_told_in_one_message(
    examples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(examples / "word_problems" / "train.yaml")]) == 2
    assert "model" in capsys.readouterr().err
