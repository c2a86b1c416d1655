"""Laws that hold of a reward because it says so."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit.testing.laws.strategies import numbers, thoughts, whitespace
from rewardkit.testing.laws.subject import Trying
from rewardkit.testing.laws.universal import for_texts

__all__ = [
    "closer", "negation", "retraction", "right_above_wrong", "second_answer", "thinking",
    "whitespace_around",
]  # fmt: skip

_EPSILON = 1e-9
_RETRACTIONS = (" Actually no, that is wrong.", "\nWait, I made a mistake.", " Scratch that.")


def right_above_wrong(trying: Trying) -> None:
    """A right answer earns more than a wrong one."""
    for case in trying.cases:
        assert case.right is not None, f"row {case.row}: no right answer is known"
        assert case.right[1] > case.wrong[1], (
            f"row {case.row}: right {case.right!r} earns no more than wrong {case.wrong!r}"
        )


def second_answer(trying: Trying) -> None:
    """A second answer raises nothing above the better of the two, and wrong ones make no right."""
    for row, case in enumerate(trying.cases):
        target = case.target
        for answer in dict.fromkeys((target.wrong, *target.others)):
            text = f"{target.answer(target.wrong)} {target.answer(answer)}"
            alone = (trying.total(target.answer(a), row) for a in (target.wrong, answer))
            _no_more(trying, row, text, *alone)
        if case.right is not None:
            both = f"{case.right[0]} {target.answer(target.wrong)}"
            _no_more(trying, row, both, case.right[1])


def negation(trying: Trying) -> None:
    """Denying answers earns no more than giving them."""
    for row, case in enumerate(trying.cases):
        for answer in (case.target.gold, case.target.wrong):
            plain = case.target.answer(answer)
            denied = (case.target.answer(f"not {answer}"), f"It is certainly not so. {plain}")
            for text in denied:
                _no_more(trying, row, text, trying.total(plain, row))


def retraction(trying: Trying) -> None:
    """Taking an answer back earns no more than giving it."""
    for row, case in enumerate(trying.cases):
        for answer in (case.target.gold, case.target.wrong):
            plain = case.target.answer(answer)
            for words in _RETRACTIONS:
                _no_more(trying, row, plain + words, trying.total(plain, row))


def whitespace_around(trying: Trying) -> None:
    """Whitespace around the text changes nothing."""

    def check(row: int, text: str, before: str, after: str) -> None:
        got, expected = trying.total(before + text + after, row), trying.total(text, row)
        assert got == expected, f"{before + text + after!r} earns {got}, {text!r} {expected}"

    for_texts(trying, check, whitespace(), whitespace())


def thinking(trying: Trying) -> None:
    """A thinking block before an honest completion changes nothing."""

    @settings(max_examples=trying.examples, deadline=None, database=None, derandomize=True)
    @given(st.integers(0, len(trying.cases) - 1), thoughts())
    def run(row: int, thought: str) -> None:
        case = trying.cases[row]
        for answer in (case.target.gold, case.target.wrong):
            plain = case.target.answer(answer)
            if "<think>" in plain:
                continue
            text = f"<think>\n{thought}\n</think>\n{plain}"
            got, expected = trying.total(text, row), trying.total(plain, row)
            assert got == expected, f"{text!r} earns {got}, {plain!r} {expected}"

    run()


def closer(trying: Trying) -> None:
    """Of two numbers on one side of the gold, the nearer earns no less."""

    @settings(max_examples=4 * trying.examples, deadline=None, database=None, derandomize=True)
    @given(st.integers(0, len(trying.cases) - 1), numbers(), numbers())
    def run(row: int, a: int, b: int) -> None:
        target = trying.cases[row].target
        if not re.fullmatch(r"-?\d+", target.gold):
            return
        gold = int(target.gold)
        near, far = sorted((a, b), key=lambda n: abs(n - gold))
        if (near - gold) * (far - gold) < 0:
            return
        low, high = trying.total(target.answer(str(far)), row), trying.total(
            target.answer(str(near)), row)  # fmt: skip
        assert low is not None
        assert high is not None
        assert high >= low - _EPSILON, f"gold {gold}: {near} earns {high}, {far} earns {low}"

    run()


def _no_more(trying: Trying, row: int, text: str, *most: float | None) -> None:
    found = trying.total(text, row)
    bound = max((m for m in most if m is not None), default=None)
    assert found is None or bound is None or found <= bound + _EPSILON, (
        f"row {row}: {text!r} earns {found}, more than {bound}"
    )
