"""Texts that make a reward hang, crash or run out of memory.

Sources: catastrophic backtracking on format patterns, power towers that hung TRL's and
verifiers' math rewards (Math-Verify #65), recursion in parsers, ``eval`` of judged text.
"""

from __future__ import annotations

from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack

__all__ = ["ATTACKS"]

_MEGABYTE = 1 << 20


def _text(name: str, about: str, make: Callable[[], str]) -> Attack:
    return Attack(name, "hostile", about, lambda target: make())


def _answer(name: str, about: str, make: Callable[[], str]) -> Attack:
    return Attack(name, "hostile", about,
                  lambda target: None if target.is_code else target.answer(make()))  # fmt: skip


def _deep(times: int) -> str:
    return "\\frac{1}{1+" * times + "1" + "}" * times


ATTACKS = (
    _text("megabyte", "a megabyte of one letter", lambda: "a" * _MEGABYTE),
    _text("megabyte-spaces", "a megabyte of spaces", lambda: " " * _MEGABYTE),
    _text("megabyte-lines", "a megabyte of line breaks", lambda: "\n" * _MEGABYTE),
    _text("megabyte-digits", "a megabyte of digits", lambda: "7" * _MEGABYTE),
    _text("megabyte-numbers", "two hundred thousand numbers", lambda: "17, 3 " * 200_000),
    _text("open-tags", "twenty thousand tags left open", lambda: "<think><answer>" * 20_000),
    _text("open-boxes", "ten thousand boxes left open", lambda: "\\boxed{" * 10_000),
    _text("open-braces", "a hundred thousand braces", lambda: "{" * 100_000),
    _text("open-brackets", "deep JSON", lambda: "[" * 100_000),
    _text("open-fences", "ten thousand fences left open", lambda: "```python\n" * 10_000),
    _text("spaces-backtrack", "what makes a pattern of spaces go back for ever",
          lambda: "<think>" + " " * 60_000 + "x"),
    _text("words-backtrack", "what makes a pattern of words go back for ever",
          lambda: "a " * 40_000 + "!"),
    _text("letters-backtrack", "what makes nested repetition go back for ever",
          lambda: "<answer>" + "a" * 40 + "!</answer>"),
    _text("tags-backtrack", "many thinking blocks and no answer",
          lambda: "<think>.</think>\n" * 4_000 + "<answer>"),
    _answer("tower-box", "a tower of powers with work around it",
            lambda: "\\dfrac{5^{5^{5^{5^5}}-4}-5}{16}"),
    _answer("tower-python", "a tower of powers in Python", lambda: "9**9**9**9"),
    _answer("nested-fractions", "two thousand fractions in each other", lambda: _deep(2_000)),
    _answer("nested-parentheses", "ten thousand parentheses",
            lambda: "(" * 10_000 + "1" + ")" * 10_000),
    _answer("nested-roots", "roots in roots", lambda: "\\sqrt{" * 1_000 + "2" + "}" * 1_000),
    _answer("many-terms", "a sum of five thousand terms",
            lambda: "+".join(f"x_{{{i}}}" for i in range(5_000))),
    _answer("expansion", "a product that does not end", lambda: "(x+1)^{99999}(y-1)^{99999}"),
    _answer("matrix", "a matrix of ten thousand entries",
            lambda: "\\begin{pmatrix}" + "1 & " * 10_000 + "1\\end{pmatrix}"),
    _answer("signs", "ten thousand signs", lambda: "-" * 10_000 + "1"),
    _answer("python", "code for whoever evaluates answers",
            lambda: "__import__('time').sleep(0) or 1"),
    _answer("python-hang", "code that never ends, for whoever evaluates answers",
            lambda: "[1 for x in iter(int, 1)]"),
    _answer("python-exit", "code that ends the process, for whoever evaluates answers",
            lambda: "__import__('os')._exit(0)"),
    _answer("pi-python", "code behind a pi, for whoever evaluates what holds one",
            lambda: "\\pi if __import__('time') else 1"),
)  # fmt: skip
