"""Texts to try a reward with, as Hypothesis strategies.

Example:
    ``@given(completion=completions(form, gold="4", wrong="5"))``
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from rewardkit.testing.audit.forms import FORMS, Form

__all__ = ["answers", "completions", "hostile_texts", "numbers", "thoughts", "whitespace"]

_PIECES = (
    "<think>", "</think>", "<answer>", "</answer>", "####", "\\boxed{", "}", "{", "$", "\\frac{1}{",
    "**", "```python\n", "```", "The answer is ", "not ", "or ", "=", "\n", " ", "\x00", "\u202e",
    "\ud83d", "\u200b", "nan", "inf", "1e999", "-", "1,000", "٤٢", "def f(x): return x",
)  # fmt: skip


def whitespace() -> SearchStrategy[str]:
    """Spaces, tabs and line breaks."""
    return st.text(alphabet=" \t\n\r", max_size=6)


def numbers(most: int = 10**6) -> SearchStrategy[int]:
    """Whole numbers around zero."""
    return st.integers(-most, most)


def answers() -> SearchStrategy[str]:
    """What may stand where an answer goes: numbers, words, formulas, nothing."""
    words = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
    return st.one_of(numbers().map(str), st.sampled_from(_PIECES), words)


def hostile_texts() -> SearchStrategy[str]:
    """Any text at all: markers out of order, half characters, control characters."""
    anything = st.text(alphabet=st.characters(), max_size=40)
    mixed = st.lists(st.one_of(st.sampled_from(_PIECES), numbers().map(str)), max_size=12)
    return st.one_of(anything, mixed.map("".join))


def thoughts() -> SearchStrategy[str]:
    """The inside of a thinking block: no markers, so that it ends where it is said to."""
    letters = st.characters(codec="utf-8", exclude_characters="<>\\#`*{}$")
    return st.text(alphabet=letters, max_size=30)


def completions(form: Form, gold: str, wrong: str) -> SearchStrategy[str]:
    """Completions of a row: honest ones in the reward's form, in other forms, and any text."""
    known = st.sampled_from([form.fill(gold), form.fill(wrong), gold, wrong])
    other = st.builds(lambda f, a: f.fill(a), st.sampled_from(FORMS), answers())
    mine = answers().map(form.fill)
    return st.one_of(known, mine, other, hostile_texts())
