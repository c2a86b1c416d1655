"""Promise: every verifier of ours keeps all laws that fit it, and a reward that breaks one is caught."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import broken
import pytest
from ours import FORM, OURS

from rewardkit import (
    Reward,
    Rubric,
    UsageError,
    Verifier,
    VerifierReward,
    presets,
    reward,
    verifiers,
)
from rewardkit.testing.laws import LAWS, TRAITS, BrokenLawError, check_laws, laws, traits_of
from rewardkit.testing.laws.subject import trying
from rewardkit.verifiers import Between, NumberVerifier, Proximity, TagFormat

SUMS = [
    {"prompt": "What is 2 + 2?", "answer": "4"},
    {"prompt": "What is 100 + 37?", "answer": "137"},
]
LETTERS = [{"prompt": "Which? A) 1 B) 2 C) 3", "answer": letter} for letter in "AC"]
UNIVERSAL = tuple(law.name for law in LAWS if law.trait is None)

ALL = {"answer", "whitespace", "thinking"}
TRAITS_OF: dict[str, set[str]] = {
    "number": ALL,
    "number, in tags": ALL,
    "math": ALL,
    "proximity": {*ALL, "proximity"},
    "bands": {"answer", "thinking", "proximity"},
    "exact text": ALL,
    "exact text, unstripped": {"answer"},
    "has number": {"whitespace", "thinking"},
    "integer": {"whitespace", "thinking"},
    "tag format": {"whitespace"},
    "tag format, strict": set(),
    "regex format": set(),
    "regex format, whole": set(),
    "marker": set(),
    "contains": {"whitespace"},
    "keywords": {"whitespace"},
    "length": set(),
    "tag count": set(),
    "all of": set(),
    "all of, with a form": set(),
    "any of": set(),
    "not": set(),
    "arithmetic": {"whitespace", "thinking"},
    "gsm8k": set(),
}
"""What each declares; those of choices and code have rows of their own, below."""
PRESETS = {"arithmetic": presets.arithmetic(), "gsm8k": presets.gsm8k()}


@pytest.mark.parametrize("name", TRAITS_OF)
def test_ours_keep_all_laws_that_fit(name: str) -> None:
    what, traits = {**OURS, **PRESETS}[name], TRAITS_OF[name]
    kept = check_laws(what, SUMS, examples=12)
    assert set(kept) == {law.name for law in LAWS if law.trait is None or law.trait in traits}


def test_so_does_a_choice() -> None:
    assert "second-answer" in check_laws(OURS["choice"], LETTERS, examples=12)


def test_so_does_code() -> None:
    rows = [{"solution": "def f(n):\n    return n + 1", "tests": [[[1], 2]]}]
    assert check_laws(OURS["code"], rows, examples=3, skip=["in-time"]) == tuple(
        name for name in UNIVERSAL if name != "in-time"
    )


def test_no_verifier_of_ours_is_left_out() -> None:
    bare = (o.verifier if isinstance(o, VerifierReward) else o for o in OURS.values())
    made = {type(one) for one in bare}
    classes = (getattr(verifiers, name) for name in verifiers.__all__)
    known = {c for c in classes if isinstance(c, type) and issubclass(c, Verifier | Reward)}
    assert made == known
    final = {"exact text, final", "exact text, in a box"}  # which only differ in the gold's form
    assert set(OURS) - set(TRAITS_OF) == {"choice", "code", *final}


@laws(NumberVerifier(), SUMS, skip=["in-time"], examples=5)
def test_the_decorator_makes_a_test_for_each_law() -> None:
    """Its body is not run."""
    raise AssertionError


USERS = """
from rewardkit.testing.laws import laws


def mine(completion, answer):
    return float(completion.strip() == answer)


@laws(mine, [{"prompt": "2 + 2", "answer": "4"}], traits=["answer"], skip=["process", "in-time"])
def test_mine(): ...
"""


def test_a_function_beside_its_test_does_not_wait_for_its_own_module(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(USERS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    env = {**os.environ, "PYTHONSAFEPATH": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200
    )
    assert "12 passed" in done.stdout, done.stdout + done.stderr


def greedy(completion: str, answer: str) -> float:
    return float(f"{{{answer}}}" in completion)


def endless(completion: str, answer: str) -> float:
    # Long past the limit, and not forever: a thread that nobody can end would slow all later tests.
    end = time.monotonic() + 2
    while len(completion) > 1 << 19 and time.monotonic() < end:
        pass
    return greedy(completion, answer)


BROKEN = [(law.name, name) for law in LAWS for name in broken.REWARDS[law.name]]


@pytest.mark.parametrize(("law", "name"), BROKEN, ids=[name for _, name in BROKEN])
def test_a_reward_that_breaks_a_law_is_caught_by_it_and_by_no_other(law: str, name: str) -> None:
    trait = next(known.trait for known in LAWS if known.name == law)
    what = f"{Path(broken.__file__)}:{name}"
    traits = [] if trait is None else [trait]
    on = trying(what, SUMS, traits, templates=["\\boxed{{answer}}"], examples=12)
    caught = {}
    for known in LAWS:
        if known.trait in (None, trait):
            try:
                known.check(on)
            except BrokenLawError as error:
                caught[known.name] = error
    assert set(caught) == {law}
    found = caught[law]
    assert pickle.loads(pickle.dumps(found)).law == found.law == law
    assert str(found).startswith(f"{what} breaks the law {law!r}: ")


def test_a_reward_that_breaks_none_keeps_all() -> None:
    what = f"{Path(broken.__file__)}:sound"
    kept = check_laws(what, SUMS, traits=list(TRAITS), examples=12, templates=["\\boxed{{answer}}"])
    assert kept == tuple(law.name for law in LAWS)


def test_a_law_is_checked_where_a_loop_runs_already() -> None:
    async def main() -> tuple[str, ...]:
        return check_laws(greedy, SUMS, skip=[law.name for law in LAWS if law.name != "async"])

    assert asyncio.run(main()) == ("async",)


def test_a_text_that_hangs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewardkit.testing.laws.universal.LIMIT_S", 0.3)
    attacks = "rewardkit.testing.laws.universal.all_attacks"
    from rewardkit.testing.audit import all_attacks

    megabyte = [attack for attack in all_attacks() if attack.name == "megabyte"]
    monkeypatch.setattr(attacks, lambda: megabyte)
    others = [law.name for law in LAWS if law.name != "in-time"]
    with pytest.raises(BrokenLawError, match="'megabyte' hung"):
        check_laws(endless, SUMS, skip=others)


def test_a_group_reward_must_not_care_for_the_order() -> None:
    @reward(form="group")
    def shortest(completions: list[str]) -> list[float]:
        return [float(len(c) == min(map(len, completions))) for c in completions]

    @reward(form="group")
    def first(completions: list[str]) -> list[float]:
        return [float(i == 0) for i, _ in enumerate(completions)]

    others = [law.name for law in LAWS if law.name != "order"]
    assert check_laws(shortest, SUMS, skip=others) == ("order",)
    with pytest.raises(BrokenLawError, match="in another order"):
        check_laws(first, SUMS, skip=others)


def test_traits_are_what_all_parts_declare() -> None:
    assert traits_of(Rubric(a=NumberVerifier(), b=TagFormat(FORM))) == {"whitespace"}
    assert "thinking" not in traits_of(Rubric(a=NumberVerifier(thinking=None)))
    assert "thinking" not in traits_of(Rubric(a=NumberVerifier(thinking=Between("[", "]"))))
    assert "proximity" not in traits_of(Rubric(a=Proximity()))
    assert "proximity" in traits_of(Rubric(a=Proximity().reward(partial=True)))
    assert traits_of(Rubric(a=greedy)) == set()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown trait"):
        check_laws(greedy, SUMS, traits=["nonsense"])
    with pytest.raises(UsageError, match="there is no law"):
        check_laws(greedy, SUMS, skip=["nonsense"])
    with pytest.raises(UsageError, match="at least one row"):
        check_laws(greedy, [])


def test_hypothesis_is_imported_only_when_a_law_is_checked() -> None:
    code = "import sys, rewardkit.testing.laws as l; l.LAWS; print('hypothesis' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_strategies_are_texts_of_all_kinds() -> None:
    from hypothesis import find

    from rewardkit.testing.laws.strategies import completions, hostile_texts, numbers, thoughts

    assert find(hostile_texts(), lambda text: "\ud83d" in text or "\x00" in text)
    assert math.isfinite(find(numbers(), lambda n: n > 5))
    assert find(thoughts(), lambda text: len(text) > 2)
    from rewardkit.testing.audit.forms import FORMS

    assert find(completions(FORMS[0], "4", "5"), lambda text: text == FORMS[0].fill("5"))
