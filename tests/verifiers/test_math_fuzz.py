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


UNITS = [
    ("hours", "hour", "hr", "hrs", "h"),
    ("minutes", "minute", "min", "mins"),
    ("seconds", "sec", "s"),
    ("centimeters", "cm", "centimetres"),
    ("square meters", "m^2", "sq m", "m²", "m^{2}", "sq. meters"),
    ("kilometers per hour", "km/h", "kph", "km per hour"),
    ("inches", "in", "inch"),
    ("pounds", "lbs", "lb"),
]


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.integers(1, 99), st.data())
def test_a_unit_in_any_spelling_is_one_unit_and_no_other(
    mine: tuple[str, ...], theirs: tuple[str, ...], n: int, data: st.DataObject
) -> None:
    a, g = data.draw(st.sampled_from(mine)), data.draw(st.sampled_from(theirs))
    expected = "correct" if mine is theirs else "incorrect"
    assert status(rf"{n}\text{{ {a}}}", rf"{n}\text{{ {g}}}") == expected


@given(st.integers(-30, 30), st.integers(-30, 30), st.sampled_from([",", " and ", " or "]))
def test_boxes_that_words_join_are_one_list_and_none_of_its_values(a: int, b: int, by: str) -> None:
    assume(a != b)
    text = rf"Then $x=\boxed{{{a}}}${by}$x=\boxed{{{b}}}$."
    for gold, expected in ((f"{b}, {a}", "correct"), (f"{b}", "incorrect"), (f"{a}", "incorrect")):
        assert BOXED.verify(Sample(completion=text, answer=gold)).status == expected


@given(st.integers(-9, 9), st.integers(1, 9), st.integers(1, 6), st.integers(-5, 5))
def test_a_general_solution_is_a_set_of_numbers_whatever_its_letter(
    start: int, step: int, below: int, shift: int
) -> None:
    def written(first: int, letter: str) -> str:
        end = rf", {letter} \in \mathbb{{Z}}"
        return rf"\frac{{{first}\pi}}{{{below}}} + \frac{{{step} {letter} \pi}}{{{below}}}{end}"

    free = MathVerifier(extract="whole", form="any")  # 2 pi over 2 is left to be divided
    gold, moved = written(start, "k"), start + shift * step
    same = free.verify(Sample(completion=written(moved, "n"), answer=gold))
    assert same.status == "correct", same.reason
    other = free.verify(Sample(completion=written(moved + 1, "n"), answer=gold))
    assert other.status == ("correct" if step == 1 else "incorrect")


@given(POSITIVE, POSITIVE, st.sampled_from(["x", r"\sqrt{7}", r"\pi", "xy", r"\ln 3"]))
def test_like_terms_are_equal_but_left_to_be_added(a: int, b: int, what: str) -> None:
    answer, gold = rf"{a}{what}+{b}{what}", rf"{a + b}{what}"
    assert status(answer, gold) == "incorrect"
    free = MathVerifier(extract="whole", form="any")
    assert free.verify(Sample(completion=answer, answer=gold)).status == "correct"


@given(st.integers(100_000, 10**9))
def test_a_number_grouped_as_the_indians_do_is_the_number_and_no_list(n: int) -> None:
    head, tail = str(n)[:-3], str(n)[-3:]
    pairs = [head[max(0, i - 2) : i] for i in range(len(head), 0, -2)][::-1]
    assert status(",".join([*pairs, tail]), str(n)) == "correct"
    assert status(",".join([*pairs, tail]), str(n + 1)) == "incorrect"


@given(st.sampled_from("tuvwz"), POSITIVE, POSITIVE)
def test_the_argument_of_a_function_may_have_any_name(letter: str, a: int, b: int) -> None:
    gold = f"f(x)={a}x^2-{b}x"
    assert status(f"f({letter})={a}{letter}^2-{b}{letter}", gold) == "correct"
    assert status(f"f({letter})={a}x^2-{b}x", gold) == "incorrect"


@given(POSITIVE, st.lists(st.integers(-9, 9), min_size=4, max_size=4))
def test_a_multiple_of_a_matrix_is_its_entries_multiplied(n: int, m: list[int]) -> None:
    def matrix(a: int, b: int, c: int, d: int) -> str:
        return rf"\begin{{pmatrix}}{a}&{b}\\{c}&{d}\end{{pmatrix}}"

    gold = matrix(*[n * entry for entry in m])
    assert status(rf"{n}{matrix(*m)}", gold) == "correct"
    assert status(rf"{n}{matrix(m[0] + 1, *m[1:])}", gold) == "incorrect"


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
        r"\frac{d}{dx}",
        r"\frac{dy}{dx}",
        r"\lim_{x\to 0^+}",
        r"k\in\mathbb{Z}",
        r"k\pi",
        r"for all integers n",
        r"\mathbf{i}",
        r"\hat{j}",
        r"f(t)=",
        r"A(",
        r"C_1e^x",
        r"1,00,000",
        r"sq. ft",
        r"°C",
        r"percentage",
        r"\end{cases}",
        r"\begin{cases}",
        r"\begin{vmatrix}",
        r"\end{vmatrix}",
        r"^T",
        r"|x|",
        r"{1,2}",
        r"cis",
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
