"""Promise: a rubric, verifier or plain function is audited with one command and no change to it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Rubric, UsageError, reward
from rewardkit.cli import main
from rewardkit.errors import DataError, SpecError
from rewardkit.testing.audit import Attack, Target, all_attacks, audit
from rewardkit.testing.audit.attack import FAMILIES, GROUP
from rewardkit.testing.audit.forms import FORMS, Form
from rewardkit.testing.audit.honest import golds, wrong_answers
from rewardkit.verifiers import NumberVerifier, TagFormat

ROWS = [
    {"prompt": "What is 19 + 23?", "answer": "42"},
    {"prompt": "What is 100 + 37?", "answer": "137"},
]
TRL = """
def accuracy(completions, answer, **kwargs):
    texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
    return [1.0 if gold in text else 0.0 for text, gold in zip(texts, answer)]


def sound(completions, answer, **kwargs):
    texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
    return [1.0 if text.strip() == f"<answer>{gold}</answer>" else 0.0
            for text, gold in zip(texts, answer)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trl_rewards.py").write_text(TRL)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def holds(completion: str, answer: str) -> float:
    return float(answer in completion)


def test_there_are_enough_attacks_each_with_a_name_of_its_own() -> None:
    attacks = all_attacks()
    assert len(attacks) >= 200
    assert len({attack.name for attack in attacks}) == len(attacks)
    assert {attack.family for attack in attacks} == set(FAMILIES)
    assert all(len(attack.about) < 90 for attack in attacks)


@pytest.mark.parametrize("gold", ["42", "0", "-7", "3.5", "B", "x^2", "Paris", "yes", ""])
def test_no_attack_gives_an_honest_right_answer(gold: str) -> None:
    from rewardkit import Sample

    wrong = wrong_answers(gold or "42", ["13", "9"])[0]
    for form in FORMS:
        sample = Sample(completion="", prompt="What is it?", answer=gold)
        target = Target(sample, gold, wrong, form, others=("13", "9"))
        honest = form.fill(gold)
        for attack in all_attacks():
            if gold and not attack.policy:
                assert attack.make(target) != honest, attack.name


def test_a_trl_function_is_audited_by_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "trl_rewards.py:accuracy", "--data", "rows.jsonl", "--allow-code"]
    assert main([*command, "--family", "dumps"]) == 1
    said = capsys.readouterr().out
    assert "ALARM  dump-commas" in said
    assert "wrong +0, right +1" in said
    command[1] = "trl_rewards.py:sound"
    assert main([*command, "--family", "dumps", "--family", "claims"]) == 0
    assert "no alarm" in capsys.readouterr().out


def test_the_gold_may_be_in_the_column_that_trl_calls_solution() -> None:
    def box(completions: list[str], solution: list[str], log_extra: Any = None) -> list[float]:
        if log_extra is not None:
            log_extra("seen", completions)
        wanted = [f"\\boxed{{{gold.strip('$')}}}" for gold in solution]
        return [float(want in text) for want, text in zip(wanted, completions, strict=True)]

    rows = [{"prompt": "What is 19 + 23?", "solution": "$42$"}]
    report = audit(box, rows, families=["dumps"])
    assert (report.right, report.wrong, report.form.name) == (1.0, 0.0, "boxed")
    assert "dump-boxes" in {finding.attack.name for finding in report.alarms}


def test_a_function_that_takes_chats_alone_is_given_chats() -> None:
    def chats(completions: list[list[dict[str, str]]], answer: list[str]) -> list[float]:
        texts = [chat[-1]["content"] for chat in completions]
        return [float(gold in text) for gold, text in zip(answer, texts, strict=True)]

    for prompt in ("What is 19 + 23?", [{"role": "user", "content": "What is 19 + 23?"}]):
        report = audit(chats, [{"prompt": prompt, "answer": "42"}], families=["dumps"])
        assert report.right == 1.0
        assert report.findings[0].kind == "out-earns"


def test_a_chat_attacks_only_where_completions_are_chats() -> None:
    """A function of text fails at one, and no model can write it."""
    attack = [one for one in all_attacks() if one.name == "own-grader"]
    for prompt, tried in (("2+2", 0), ([{"role": "user", "content": "2+2"}], 1)):
        report = audit(NumberVerifier(), [{"prompt": prompt, "answer": "4"}], attacks=attack)
        assert len(report.findings) == tried
        assert report.ok


def test_a_class_of_verifiers_stands_for_its_defaults_and_no_other_class_does() -> None:
    rows = [{"prompt": "2+2", "answer": "4"}]
    assert audit(NumberVerifier, rows, families=["void"]).right == 1.0
    with pytest.raises(UsageError, match="'TagFormat' cannot be made of its defaults"):
        audit(TagFormat, rows)
    with pytest.raises(UsageError, match="dict is a class: audit an instance"):
        audit(dict, rows)


def test_code_needs_to_be_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "trl_rewards.py:accuracy", "--data", "rows.jsonl"]) == 2
    assert "--allow-code" in capsys.readouterr().err


def test_a_mistake_of_the_user_is_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra, words in (
        (["--family", "nonsense"], "no attack is of the family"),
        (["--ignore", "nonsense"], "no attack, family or kind"),
        (["--right", "no hole"], "{answer}"),
        (["--rows", "0"], "at least 1"),
    ):
        assert main(["audit", "number", "--data", "rows.jsonl", *extra]) == 2
        assert words in capsys.readouterr().err
    assert main(["audit", "number"]) == 2


def test_json_holds_every_attack_and_the_worst_completion(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", "trl_rewards.py:accuracy", "--data", "rows.jsonl", "--allow-code"]
    assert main([*command, "--family", "claims", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert found["right"] == 1.0
    assert found["wrong"] == 0.0
    by_name = {attack["attack"]: attack for attack in found["attacks"]}
    assert by_name["denied"]["kind"] == "out-earns"
    assert by_name["denied"]["worst"]["completion"] == "The answer is definitely not 42."
    assert by_name["denied"]["hits"] == 2


def test_the_page_tells_what_each_alarm_earned_and_folds_the_many(folder: Path) -> None:
    report = audit(holds, ROWS, families=["dumps", "claims"])
    assert len(report.alarms) > 10
    report.write_html("page.html")
    page = (folder / "page.html").read_text()
    assert page.count('<article class="worst">') == len(report.alarms)
    shown, _, folded = page.partition("<details>")
    assert shown.count('<article class="worst">') == 10
    assert f"<summary>{len(report.alarms) - 10} more</summary>" in folded
    assert "<p>earned <b>+1</b>; honest answers: wrong +0, right +1</p>" in shown


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(folder: Path) -> None:
    evil = Attack("evil", "void", "<script>alert(1)</script>",
                  lambda t: "<script>alert(2)</script>\u202e" + t.gold)  # fmt: skip
    audit(holds, ROWS, attacks=[evil]).write_html("page.html")
    page = (folder / "page.html").read_text()
    assert "&lt;script&gt;alert(2)" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("https://a.example", "")
    assert "\\u202e" in page


def test_worst_first_and_by_how_much() -> None:
    half = Attack("half", "void", "half", lambda t: t.answer(t.wrong) + " h")
    full = Attack("full", "void", "full", lambda t: t.answer(t.wrong) + " f")
    none = Attack("none", "void", "none", lambda t: "nothing")

    def pays(completion: str, answer: str) -> float:
        right = f"{{{answer}}}" in completion
        return 1.0 if right or completion.endswith(" f") else 0.5 * completion.endswith(" h")

    report = audit(pays, ROWS, attacks=[none, half, full])
    assert [f.attack.name for f in report.alarms] == ["full", "half"]
    assert [f.worst.excess for f in report.findings] == [1.0, 0.5, 0.0]
    assert audit(pays, ROWS, attacks=[half], margin=0.6).ok


def test_alarms_are_ignored_by_attack_family_and_kind() -> None:
    for name in ("dump-commas", "dumps", "out-earns"):
        attacks = [attack for attack in all_attacks() if attack.name == "dump-commas"]
        report = audit(holds, ROWS, attacks=attacks, ignore=[name])
        assert report.ok
        assert report.findings[0].kind == "out-earns"
        assert "ignored" in str(report)


def test_attacks_of_other_packages_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    real = entry_points

    def with_mine(**wanted: Any) -> Any:
        if wanted.get("group") == GROUP:
            return (EntryPoint("mine", f"{__name__}:MINE", GROUP),)
        return real(**wanted)

    monkeypatch.setattr("rewardkit.testing.audit.attack.entry_points", with_mine)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    assert "mine" in {attack.name for attack in all_attacks()}
    monkeypatch.setattr(sys.modules[__name__], "MINE", ["no attack"])
    with pytest.raises(UsageError, match="must lead to an Attack"):
        all_attacks()


MINE: Any = Attack("mine", "own", "of another package", lambda target: "mine")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (lambda completion, answer: float(completion == f"#### {answer}"), "none"),
        (NumberVerifier(extract="hash"), "hashes"),
        (NumberVerifier(extract="boxed"), "boxed"),
        (Rubric(f=TagFormat("<a>...</a><b>...</b>"), n=NumberVerifier()), "that of 'f'"),
        (lambda completion, answer: float(completion == answer), "plain"),
        (lambda completion, answer: float(completion == f"<answer>{answer}</answer>"),
         "answer tags"),
    ],
    ids=["unknown", "hash", "boxed", "template", "plain", "tags"],
)  # fmt: skip
def test_the_form_is_learned(what: Any, name: str) -> None:
    report = audit(what, ROWS, attacks=[])
    if name == "none":  # no known form earns anything: the report says so
        assert report.blind
        assert "its form was not found" in str(report)
        given = audit(what, ROWS, attacks=[], templates=["#### {answer}"])
        assert given.right == 1.0
    else:
        assert report.form.name == name
        assert report.right is not None
        assert report.right > report.wrong


def test_rows_may_bring_honest_completions() -> None:
    rows = [{**ROWS[0], "right": "RIGHT", "wrong": "WRONG"}]

    def pays(completion: str) -> float:
        return {"RIGHT": 2.0, "WRONG": 1.0}.get(completion, 0.0)

    report = audit(pays, rows, families=["void"])
    assert (report.right, report.wrong) == (2.0, 1.0)
    assert report.ok


def test_a_nearly_right_answer_is_no_measure_of_a_wrong_one() -> None:
    def near(completion: str, answer: str) -> float:
        try:
            return max(0.0, 1 - abs(float(completion) - float(answer)) / 50)
        except ValueError:
            return 0.0

    report = audit(near, ROWS, families=["void"])
    assert report.right == 1.0
    assert report.wrong < 0.75


def test_a_group_reward_sees_the_attack_beside_honest_completions() -> None:
    seen: list[int] = []

    @reward(form="group")
    def longest(completions: list[str]) -> list[float]:
        seen.append(len(completions))
        return [float(len(c) == max(map(len, completions))) for c in completions]

    report = audit(longest, ROWS, families=["farming"])
    assert 3 in seen
    assert {"long", "repetition"} <= {finding.attack.name for finding in report.alarms}


def test_rows_that_cannot_be_used_are_told_of() -> None:
    report = audit(NumberVerifier(), [*ROWS, {"prompt": "?", "answer": "no number"}], attacks=[])
    assert list(report.left_out) == [2]
    assert "row 2 is left out" in str(report)
    with pytest.raises(DataError, match="no row can be used"):
        audit(NumberVerifier(), [{"prompt": "?", "answer": "no number"}])
    with pytest.raises(DataError, match="not one row"):
        audit(NumberVerifier(), [])
    with pytest.raises(DataError, match="row 0.*column 'level'"):
        audit(lambda completion, level: 1.0, ROWS)


def test_what_is_no_reward_is_refused() -> None:
    with pytest.raises(UsageError, match="must be a rubric"):
        audit(42, ROWS)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="unknown verifier"):
        audit("no-such", ROWS)
    with pytest.raises(UsageError, match="two attacks are called"):
        audit(holds, ROWS, attacks=[MINE, MINE])


def test_a_lambda_that_sleeps_is_left_behind_and_found() -> None:
    import time

    def sleeps(completion: str, answer: str) -> float:
        if completion == "nap":
            time.sleep(30)
        return float(f"{{{answer}}}" in completion)

    nap = Attack("nap", "own", "sleeps", lambda target: "nap")
    report = audit(sleeps, ROWS, attacks=[nap], limit_s=0.2)
    assert report.alarms[0].kind == "hung"
    assert len(report.alarms[0].trials) == 1, "what hung once is not tried on every row"


def test_answers_and_their_opposites() -> None:
    from rewardkit import Sample

    assert golds(Sample(completion="", answer="2 + 2\n#### 4")) == ("4", "2 + 2\n#### 4")
    assert golds(Sample(completion="", answer=["4", "four"])) == ("4",)
    assert golds(Sample(completion="")) == ()
    assert golds(Sample(completion="", answer="$4$")) == ("4", "$4$")
    assert wrong_answers("4", ["9"], "What is 3 + 1?") == ("21", "5", "9", "1", "3")
    assert wrong_answers("B", []) == ("A",)
    assert wrong_answers("yes", []) == ("no",)
    assert "4" not in wrong_answers("4", ["4"])
    assert Form("x", "{work} \\boxed{{answer}} {x}").fill("a}b", "w") == "w \\boxed{a}b} {x}"


def test_the_list_of_attacks_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(all_attacks())


def test_it_runs_as_users_run_it(folder: Path) -> None:
    command = [sys.executable, "-P", "-m", "rewardkit", "audit", "number", "--data", "rows.jsonl"]
    done = subprocess.run([*command, "--family", "claims"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no alarm" in done.stdout
