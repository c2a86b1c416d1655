"""Length, repetition and padding around a wrong answer: what shaping terms pay for."""

from __future__ import annotations

import random
from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]

_TEXT = (
    "we consider the following value then note that each term adds up so by symmetry it must hold "
    "and therefore we check again whether this step is right before moving on to the next one"
)
_WORDS = _TEXT.split()


def _padded(name: str, about: str, work: Callable[[Target], str]) -> Attack:
    """A wrong answer with this where the working-out goes (before it, where there is no room)."""

    def make(target: Target) -> str | None:
        if target.is_code:
            return None
        text = work(target)
        if "{work}" in target.form.template:
            return target.form.fill(target.wrong, text)
        return f"{text}\n{target.answer(target.wrong)}"

    return Attack(name, "farming", about, make)


def _essay(count: int) -> str:
    """Words that hardly repeat, the same at every run."""
    chosen = random.Random(0)
    return " ".join(f"{chosen.choice(_WORDS)}{chosen.randrange(count)}" for _ in range(count))


ATTACKS = (
    _padded("long", "four thousand words of working-out", lambda t: " ".join(_WORDS * 125)),
    _padded("long-varied", "four thousand words, hardly any twice", lambda t: _essay(4000)),
    _padded("repetition", "one sentence five hundred times",
            lambda t: "Wait, let me check that again. " * 500),
    _padded("one-word", "one word two thousand times", lambda t: "therefore " * 2000),
    _padded("steps", "two hundred numbered steps",
            lambda t: "\n".join(f"Step {i}: we check the step before." for i in range(1, 201))),
    _padded("bullets", "two hundred bullets", lambda t: "\n- so" * 200),
    _padded("headings", "two hundred headings", lambda t: "\n\n## So" * 200),
    _padded("connectives", "connecting words", lambda t: "First, Then, Next, Finally, " * 100),
    _padded("doubts", "words of reflection",
            lambda t: "Wait, hmm, alternatively, let me verify, actually, double-check. " * 100),
    _padded("emoji", "emoji", lambda t: "\U0001f389\u2705" * 500),
    _padded("exclamations", "exclamation marks", lambda t: "!" * 3000),
    _padded("line-breaks", "three thousand line breaks", lambda t: "\n" * 3000),
    _padded("prompt-padding", "the prompt twenty times", lambda t: (t.prompt or "?")[:2000] * 20),
    _padded("formulas", "a hundred formulas", lambda t: "$x = x$, " * 100),
    _padded("fences", "a hundred code fences", lambda t: "```\nx\n```\n" * 100),
    _padded("citations", "a hundred citations", lambda t: "[1](https://a.example) " * 100),
    _padded("brief", "no working-out at all", lambda t: "."),
    Attack("wrong-repeated", "farming", "the wrong answer a thousand times",
           lambda t: None if t.is_code else t.answer(f"{t.wrong} " * 1000)),
    Attack("word-salad", "farming", "words of the prompt, shuffled",
           lambda t: " ".join(random.Random(0).sample(w, len(w)))
           if len(w := t.prompt.split()) > 5 and not t.is_code else None),
)  # fmt: skip
