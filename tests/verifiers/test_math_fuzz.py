"""One value written in many ways is one value, near misses are others, garbage is judged."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

BOXED = MathVerifier()


def status(answer: str, gold: str) -> str:
    text = f"Let $n = 12$; then 7 remain.\n\nSo we get $\\boxed{{{answer}}}$."
    return BOXED.verify(Sample(completion=text, answer=gold)).status


INTEGER = st.integers(-9999, 9999)
POSITIVE = st.integers(2, 99)


def _fraction(n: int, d: int) -> str:
    return rf"\frac{{{n}}}{{{d}}}"


VALUES = st.one_of(
    INTEGER.map(str),
    st.builds(_fraction, INTEGER, POSITIVE),
    st.builds(lambda a, b: rf"{a}\sqrt{{{b}}}", POSITIVE, POSITIVE),
    st.builds(lambda a, b: rf"\frac{{{a}\pi}}{{{b}}}", st.sampled_from([3, 5, 7]), POSITIVE),
    st.builds(lambda a, b: f"{a}x^{{2}}+{b}x-1", POSITIVE, POSITIVE),
    st.builds(lambda a, b: f"({a},{b})", INTEGER, POSITIVE),
    st.builds(lambda a, b: rf"\left({a},{a + b}\right]", INTEGER, POSITIVE),
    st.builds(lambda a, b: rf"(-\infty,{a})\cup({a + b},\infty)", INTEGER, POSITIVE),
    st.builds(lambda a, b: rf"\{{{a},{a + b}\}}", INTEGER, POSITIVE),
    st.builds(lambda a, b: f"{a}+{b}i", POSITIVE, POSITIVE),
    st.builds(lambda a: rf"x \le {a}", INTEGER),
    st.builds(lambda a, b: rf"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}", INTEGER, INTEGER),
)

Rewrite = Callable[[str], str]
REWRITES: list[Rewrite] = [
    lambda s: s.rstrip(". ") + ".",
    lambda s: f"{s} ",
    lambda s: rf"\displaystyle {s}",
    lambda s: s.replace("-", "−"),
    lambda s: s.replace(r"\frac", r"\dfrac"),
    lambda s: s.replace(r"\frac", r"\tfrac"),
    lambda s: s.replace(r"\left", "").replace(r"\right", ""),
    lambda s: s.replace(r"\left", r"\bigl").replace(r"\right", r"\bigr"),
    lambda s: s.replace(r"\infty", "∞").replace(r"\cup", "∪").replace(r"\pi", "π"),
    lambda s: s.replace(r"\le ", "≤"),
    lambda s: s.replace(r"\le ", r"\leq "),
    lambda s: s.replace("^{2}", "²"),
    lambda s: s.replace("pmatrix", "bmatrix"),
    lambda s: s.replace(",", r",\ ") if not re.search(r"[0-9],[0-9]{3}", s) else s,
    lambda s: re.sub(r"\\frac\{(-?[0-9]+)\}\{([0-9]+)\}", r"\1/\2", s),
    lambda s: re.sub(r"^-?[0-9]+$", lambda m: f"{int(m[0]):,}", s),
    lambda s: re.sub(r"^-?[0-9]+$", lambda m: f"{m[0]}.0", s),
    lambda s: s.translate({48 + i: 0xFF10 + i for i in range(10)}) if s.isdecimal() else s,
]


@settings(max_examples=300, deadline=None)
@given(VALUES, st.lists(st.sampled_from(REWRITES), max_size=4))
def test_one_value_in_many_ways(value: str, rewrites: list[Rewrite]) -> None:
    spelled = value
    for rewrite in rewrites:
        spelled = rewrite(spelled)
    assert status(spelled, value) == "correct"


@settings(max_examples=300, deadline=None)
@given(VALUES, st.data())
def test_one_digit_or_sign_changed_is_another_value(value: str, data: st.DataObject) -> None:
    places = [m.start() for m in re.finditer("[0-9]", value)]
    at = data.draw(st.sampled_from(places))
    digit = data.draw(st.sampled_from([d for d in "123456789" if d != value[at]]))
    assume(value[at - 1 : at] != "^")
    changed = value[:at] + digit + value[at + 1 :]
    assume("{2}" not in value[at - 1 : at + 2] or "^" not in value)
    assert status(changed, value) in ("incorrect", "correct")
    if "frac" not in value and "sqrt" not in value:
        assert status(changed, value) == "incorrect"


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_the_opposite_is_another_value(value: str) -> None:
    assume(value[0].isdigit() or value.startswith(r"\frac"))
    assume(value.strip("0") not in ("", r"\frac{") and not value.startswith(r"\frac{0}"))
    if "x" not in value and "i" not in value:
        assert status(f"-{value}", value) == "incorrect"


PIECES = st.sampled_from(
    [
        r"\frac",
        r"\sqrt",
        r"\left(",
        r"\right)",
        r"{",
        r"}",
        r"(",
        r")",
        r"[",
        r"]",
        r"\{",
        r"\}",
        r"|",
        r",",
        r";",
        r"=",
        r"<",
        r"\le",
        r"\cup",
        r"\in",
        r"\pm",
        r"+",
        r"-",
        r"*",
        r"/",
        r"^",
        r"_",
        r"!",
        r"%",
        r"&",
        r"\\",
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"\text{",
        r"\boxed{",
        r"$",
        r"x",
        r"y",
        r"e",
        r"i",
        r"\pi",
        r"\infty",
        r"1",
        r"2",
        r"42",
        r"0.5",
        r"1,000",
        r"sin",
        r"\log",
        r"\int",
        r"\sum_",
        r"\lim",
        r"\mathbb{R}",
        r"\circ",
        r"^\circ",
        r"°",
        r"∞",
        r"π",
        r"½",
        r"²",
        r"√",
        r"或",
        r"和",
        r"万",
        r"cm",
        r"and",
        r"or",
        r"not",
        r"\overline",
        r"...",
        r":",
        r"'",
        r"\ldots",
        r"\mid",
        r"\binom",
        r"\lfloor",
        r"\rfloor",
        r"\pmod",
        r"degrees",
        r"million",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=16).map(" ".join) | st.text(max_size=30), st.booleans())
def test_garbage_is_judged_and_twice_the_same(text: str, boxed: bool) -> None:
    judge = MathVerifier(extract="whole", cpu_s=0.2)
    completion = f"\\boxed{{{text}}}" if boxed else text
    for gold in ("42", "x^2", r"(1, 2]"):
        first, second = (judge.verify(Sample(completion=completion, answer=gold)) for _ in range(2))
        assert first.status in ("correct", "incorrect"), first.reason
        assert (first.status, first.reason) == (second.status, second.reason)
