"""Promise: a mistake is told in one message that says what was wrong and what to do, with exit code 2,
and never by a traceback."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

FORM = "{verifier: tag_format, args: {template: '<a>...</a>'}, correct: 0.5}"
FILES = {
    "rubric.yaml": f"parts: {{form: {FORM}, answer: {{verifier: number, args: {{extract: last_number}}}}}}",
    "verifier.yaml": "parts: {answer: {verifier: numbr}}",
    "argument.yaml": "parts: {answer: {verifier: number, args: {extrct: answer}}}",
    "key.yaml": "parts: {answer: {verifier: number, corect: 2.0}}",
    "gate.yaml": "parts: {answer: {verifier: number}}\ngates: [{on: fromat, gated: [answer]}]",
    "broken.yaml": "parts: [",
    "empty.yaml": "",
    "rows.jsonl": '{"prompt": "2+2", "answer": "4", "completion": "4"}\n',
    "no_answer.jsonl": '{"prompt": "2+2", "completion": "4"}\n' * 2,
    "no_completion.jsonl": '{"prompt": "2+2", "answer": "4"}\n',
    "broken.jsonl": '{"prompt": "2+2", "answer": "4", "completion": "4"}\n{"prompt": \n',
    "empty.jsonl": "",
    "rows.txt": "4",
    "broken.py": "def f(:",
    "missing.py": "import nothing_like_it",
    "functions.py": "NUMBER = 5\nclass Grader:\n    def __call__(self, completions, **columns): ...\ndef f(completions, **columns):\n    raise ValueError('always')\n",
    "hand.rewards.jsonl": '{"rubric": "rubric.yaml"}\n{"id": "a", "completion": "4", "answer": "4", "expect": {"total": 1.0}}\n',
    "key.rewards.jsonl": '{"rubric": "rubric.yaml"}\n{"id": "a", "completion": "4", "answer": "4", "expects": {"total": 1.0}}\n',
    "gone.rewards.jsonl": '{"rubric": "nowhere.yaml"}\n{"id": "a", "completion": "4", "expect": {"total": 1.0}}\n',
    "typo.rewards.jsonl": '{"rubric": "verifier.yaml"}\n{"id": "a", "completion": "4", "expect": {"total": 1.0}}\n',
    "empty.rewards.jsonl": "",
    "empty.rewards.yaml": "",
    "truth.rewards.jsonl": '{"rubric": "rubric.yaml"}\n{"id": "a", "completion": "4", "truth": "yes"}\n',
    "label.rewards.jsonl": '{"rubric": "rubric.yaml"}\n{"id": "a", "completion": "4", "answer": "4", "truth": {"answer": "correct"}}\n',
}
MISTAKES = [
    ("audit functions.py:f --data rows.jsonl", "pass --allow-code on the command line"),
    ("audit functions.py --allow-code --data rows.jsonl", "which function of functions.py? Say functions.py:NAME"),
    ("audit functions.py:NUMBR --allow-code --data rows.jsonl", "cannot load 'functions.py:NUMBR': functions.py has no 'NUMBR'; did you mean 'NUMBER'?\n"),
    ("audit functions.py:NUMBER --allow-code --data rows.jsonl", "or a function, got 5"),
    ("audit functions.py:Grader --allow-code --data rows.jsonl", "Grader is a class: audit an instance"),
    ("audit functions.py:f --allow-code --data rows.jsonl", "no row can be used: a right answer has no score: reward: the reward raised ValueError: always"),
    ("audit broken.py:f --allow-code --data rows.jsonl", "SyntaxError: invalid syntax (broken.py, line 1)\n"),
    ("audit missing.py:f --allow-code --data rows.jsonl", "No module named 'nothing_like_it'\n"),
    ("audit nowhere.py:f --allow-code --data rows.jsonl", "no such file: "),
    ("audit code --data rows.jsonl", "'code' cannot be made of its defaults: CodeVerifier: "),
    ("audit tag_format --data rows.jsonl", "template: Field required. Write a rubric"),
    ("audit numbr --data rows.jsonl", "did you mean 'number'?"),
    ("audit number", "rewardkit audit rubric.yaml --data rows.jsonl"),
    ("audit number --data no_answer.jsonl", "needs the column 'answer'"),
    ("audit number --data no_answer.jsonl", "--columns answer=THEIRS"),
    ("audit number --data broken.jsonl", "broken.jsonl:2: not valid JSON"),
    ("audit number --data empty.jsonl", "empty.jsonl is empty"),
    ("audit number --data rows.txt", "data files end in .jsonl"),
    ("audit number --data rows.jsonl --ignore dump-coma", "did you mean 'dump-commas'?"),
    ("audit number --data rows.jsonl --html nowhere/x.html", "cannot write nowhere/x.html"),
    ("lint nowhere.yaml", "cannot read nowhere.yaml: there is no such file (looked in "),
    ("lint .", "cannot read .: Is a directory"),
    ("lint empty.yaml", "must hold a mapping of keys, got nothing: it is empty"),
    ("lint broken.yaml", "broken.yaml is not valid YAML"),
    ("lint verifier.yaml", "verifier.yaml: part 'answer': unknown verifier 'numbr'"),
    ("lint argument.yaml", "argument.yaml: part 'answer': NumberVerifier: extrct: Unexpected keyword argument, got 'answer'; did you mean 'extract'?"),
    ("lint key.yaml", "key.yaml: rubric: parts.answer.corect"),
    ("lint gate.yaml", "gate.yaml: there is no part 'fromat'"),
    ("lint rubric.yaml --data no_answer.jsonl", "row 0: part 'answer' needs the column 'answer'"),
    ("check-data no_answer.jsonl --verifier number", "row 0: part 'number' needs the column 'answer'"),
    ("test key.rewards.jsonl", "key.rewards.jsonl:2: unknown key 'expects'; did you mean 'expect'?"),
    ("test gone.rewards.jsonl", "gone.rewards.jsonl: the rubric that it names: cannot read nowhere.yaml"),
    ("test typo.rewards.jsonl", "typo.rewards.jsonl: the rubric that it names: verifier.yaml: part 'answer': unknown verifier"),
    ("test empty.rewards.jsonl", "there is no fixture in it"),
    ("test empty.rewards.yaml", "must hold a list of rows, the first of which names the rubric; got nothing"),
    ("test rows.jsonl", "rows.jsonl:1: fixture: id: Field required\n"),
    ("test .", "cannot read .: Is a directory"),
    ("record nowhere --rubric rubric.yaml -o new.rewards.jsonl", "there is no file or run folder nowhere"),
    ("record no_completion.jsonl --rubric rubric.yaml -o new.rewards.jsonl", "needs the column 'completion'"),
    ("record no_answer.jsonl --rubric rubric.yaml -o new.rewards.jsonl", "row 0: part 'answer' needs the column 'answer'"),
    ("record --accept hand.rewards.jsonl", "hand.rewards.jsonl has no recorded rows"),
    ("score nowhere --rubric rubric.yaml", "there is no file or run folder nowhere"),
    ("score rows.jsonl --rubric verifier.yaml", "verifier.yaml: part 'answer': unknown verifier"),
    ("diff rows.jsonl --rubric rubric.yaml", "row 0 has no score; score the rows first"),
    ("diff nowhere rows.jsonl", "there is no file or run folder nowhere"),
    ("noise hand.rewards.jsonl", "no row of hand.rewards.jsonl says how it really is"),
    ("noise truth.rewards.jsonl", "truth.rewards.jsonl:2: truth is \"correct\" or \"incorrect\", or says so by part, as in"),
    ("noise label.rewards.jsonl --part anser", "no part 'anser' gives verdicts; those that do are: form, answer; did you mean 'answer'?"),
    ("noise label.rewards.jsonl --html nowhere/x.html", "cannot write nowhere/x.html"),
    ("report nowhere", "there is no run folder nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "told"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_it_is_told_in_one_message(cli: Cli, folder: Path, command: str, told: str) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    done = cli(*shlex.split(command))
    assert done.code == 2
    assert done.out == ""  # told before anything is done
    assert done.err.startswith("rewardkit: error: ")
    assert done.err.count("rewardkit: error: ") == 1
    assert "Traceback" not in done.err
    assert "[Errno" not in done.err
    assert told in done.err


def test_a_stale_score_is_not_gone_on_with(cli: Cli, folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    scored = ("score", "rows.jsonl", "--out", "out.jsonl", "--resume", "--rubric")
    assert cli(*scored, "rubric.yaml").code == 0
    other = json.dumps({"parts": {"answer": {"verifier": "number"}}})
    (folder / "other.json").write_text(other)
    done = cli(*scored, "other.json")
    assert done.code == 2
    assert "out.jsonl: row 0 was scored by rubric" in done.err
    assert "write to another file, or delete it" in done.err
