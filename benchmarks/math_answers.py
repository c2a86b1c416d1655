"""Answers of all kinds: rewritten, changed by one character, against themselves; seeded."""

from __future__ import annotations

import random
import re
from typing import Any

from math_pairs import Pair, digits, problems, rows, with_digit

EXTREME = [
    *(r"\frac{3}{2^{99}}", r"1-\frac{5051}{2^{100}}", r"\frac{7}{10^{40}}", r"10^{-12}+3"),
    *(r"6.63\times 10^{-34}", r"0.0000000000000427", r"3.0000000001", r"1.00000000000000052"),
    *("73829104857362910485736291", "10000000000000000000000007", "0.333333333333333333334"),
    *(r"\sqrt{1000000000000003}", r"\sqrt{10^{30}+7}", r"\ln(10^{20}+3)", r"e^{-60}", r"e^{300}"),
    *(r"\sqrt{99999999}-9999", r"\frac{22222222222}{33333333337}", r"\pi^{40}", r"3^{200}-2"),
    *("x^2+4=0", "x^2+x+7=0", "x^4+3x^2+5=0", "y^2+6=0", "x^{60}+3", "(x+2)^{40}", "x^{97}-x^{31}"),
    *("2,2,3,5", "4,4,4,7", "3,3,8,8,9", "6,6,6,5", r"\{22,222,2222\}", "(2,22,2)", "(0,0,0,3)"),
    *(
        r"\sin 200",
        r"\cos\frac{22\pi}{7}",
        r"\tan 79",
        r"\log_2 77777",
        r"\arctan 5000",
        "2^{x}+3^{x}",
    ),
    *("7x+0.000003", r"\frac{1}{x+1000003}", r"e^{-50x}", "x^2y^3z^4", "I=4R", r"E=3mc^2", "4i-7I"),
    *(r"(2,\infty)", r"(-\infty,2000003)", r"[0.000002,0.000003]", r"\{0.0000005\}"),
]
"""Values where tolerance, rounding, missing roots or lost multiplicity would hide a change."""


def answers() -> list[str]:
    """About 1,200 different answers of all kinds: the data file's and generated ones."""
    rng = random.Random(37)
    found = [r["gold"] for r in rows("math_golds")]
    found += [p.gold for p in problems(True)]
    found += EXTREME
    for _ in range(260):
        found.append(str(rng.choice([1, 1, 1, -1]) * rng.randint(2, 10 ** rng.randint(1, 7))))
    for make in _MAKERS:
        found += [make(rng) for _ in range(70)]
    return list(dict.fromkeys(found))


def _fraction(rng: random.Random) -> str:
    sign = rng.choice(["", "", "-"])
    return rf"{sign}\frac{{{rng.randint(1, 40)}}}{{{rng.choice([3, 7, 11, 13, 41, 43, 47])}}}"


def _interval(rng: random.Random) -> str:
    a = rng.randint(-20, 10)
    left, right = rng.choice("[("), rng.choice("])")
    tail = rf"{left}{a},{a + rng.randint(1, 15)}{right}"
    first = rf"(-\infty,{a - rng.randint(1, 9)}{right}"
    return rng.choice([tail, rf"{left}{a},\infty)", rf"{first}\cup{tail}"])


_MAKERS = (
    _fraction,
    _interval,
    lambda rng: f"{rng.randint(-90, 90)}.{rng.randint(1, 99)}",
    lambda rng: rf"{rng.randint(2, 30)}\sqrt{{{rng.choice([2, 3, 5, 6, 7, 10, 11, 13])}}}",
    lambda rng: rf"{rng.randint(2, 99)}\pi",
    lambda rng: rf"\frac{{{rng.randint(2, 9)}\pi}}{{{rng.choice([11, 13, 17])}}}",
    lambda rng: rf"\left({rng.randint(-30, 30)},{rng.randint(-30, 30)}\right)",
    lambda rng: f"x^2-{rng.randint(2, 40)}x+{rng.randint(2, 90)}",
    lambda rng: f"y={rng.randint(2, 20)}x-{rng.randint(1, 60)}",
    lambda rng: f"{rng.randint(-20, -1)}+{rng.randint(2, 20)}i",
)


def rewrites() -> list[Pair]:
    """One value, one mechanical rewriting of its text: all right."""
    rng = random.Random(41)
    pairs = []
    for kind, (pattern, rewrite, most) in _REWRITES.items():
        able = [a for a in answers() if re.search(pattern, a)]
        written = [(a, rewrite(a)) for a in able]
        changed = [(a, b) for a, b in written if a != b]
        for a, b in rng.sample(changed, min(most, len(changed))):
            pairs.append(Pair(a, f"The answer is ${_box(b)}$.", True, kind))
    return pairs


def _box(text: str) -> str:
    return rf"\boxed{{{text}}}"


def _grouped(separator: str) -> Any:
    return lambda t: f"{int(t):,}".replace(",", separator)


_INTEGER = r"^-?\d+$"
_SINGLE = r"^-?(\d+|\d+\.\d+|\\frac\{\d+\}\{\d+\}|\d+\\sqrt\{\d+\}|\d+\\pi)$"
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_SUPER = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_REWRITES: dict[str, tuple[str, Any, int]] = {
    "trailing dot": (_INTEGER, lambda t: t + ".", 160),
    "dfrac": (r"\\frac\{", lambda t: t.replace(r"\frac{", r"\dfrac{"), 120),
    "tfrac": (r"\\frac\{", lambda t: t.replace(r"\frac{", r"\tfrac{"), 60),
    "slash": (
        r"^-?\\frac\{\d+\}\{\d+\}$",
        lambda t: re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", t),
        80,
    ),
    "frac without braces": (
        r"\\frac\{\d\}\{\d\}",
        lambda t: re.sub(r"c\{(\d)\}\{(\d)\}", r"c\1\2", t),
        60,
    ),
    "unicode minus": ("-", lambda t: t.replace("-", "−"), 200),
    "unicode pi": (r"\\pi", lambda t: t.replace(r"\pi", "π"), 90),
    "unicode infinity": (r"\\infty", lambda t: t.replace(r"\infty", "∞"), 60),
    "unicode union": (r"\\cup", lambda t: t.replace(r"\cup", "∪"), 40),
    "unicode root": (r"\\sqrt\{\d+\}", lambda t: re.sub(r"\\sqrt\{(\d+)\}", r"√\1", t), 60),
    "unicode exponent": (
        r"\^\d",
        lambda t: re.sub(r"\^(\d)", lambda m: m[1].translate(_SUPER), t),
        60,
    ),
    "full width": (_INTEGER, lambda t: t.translate(_FULL_WIDTH), 40),
    "no left and right": (r"\\left", lambda t: re.sub(r"\\left|\\right", "", t), 60),
    "left and right": (
        r"^[(\[]-?\d+,-?\d+[)\]]$",
        lambda t: rf"\left{t[0]}{t[1:-1]}\right{t[-1]}",
        60,
    ),
    "bold": (_INTEGER, lambda t: rf"\mathbf{{{t}}}", 80),
    "text": (_INTEGER, lambda t: rf"\text{{{t}}}", 40),
    "comma thousands": (r"^-?\d{4,}$", _grouped(","), 60),
    "braced thousands": (r"^-?\d{4,}$", _grouped("{,}"), 40),
    "thin thousands": (r"^-?\d{4,}$", _grouped(r"\,"), 40),
    "point zero": (_INTEGER, lambda t: t + ".0", 80),
    "trailing zero": (r"^-?\d+\.\d+$", lambda t: t + "0", 40),
    "spaces": (r"[-+=,]", lambda t: re.sub(r"([-+=,])", r" \1 ", t), 120),
    "thin spaces": (r"\d\\(pi|sqrt)", lambda t: re.sub(r"(\d)(\\(?:pi|sqrt))", r"\1\,\2", t), 60),
    "dot for a product": (
        r"\d\\(pi|sqrt)",
        lambda t: re.sub(r"(\d)(\\(?:pi|sqrt))", r"\1\\cdot \2", t),
        60,
    ),
    "unit": (_SINGLE, lambda t: rf"{t}\text{{ units}}", 60),
    "double braces": (_SINGLE, lambda t: f"{{{t}}}", 40),
    "display style": (r"\\frac", lambda t: r"\displaystyle " + t, 40),
    "name in front": (_SINGLE, lambda t: f"x={t}", 60),
}


def changed() -> list[Pair]:
    """One digit or one sign of the answer is another: all wrong."""
    rng = random.Random(43)
    usable = [a for a in answers() if not re.search(r"text|!|binom|\d_|:", a)]
    by_digit = [(a, _one_digit(a, rng)) for a in usable + usable]
    signs = [(a, _one_sign(a, rng)) for a in usable]
    pairs = [Pair(a, _said(b), False, "digit") for a, b in by_digit[:1750] if b]
    pairs += [Pair(a, _said(b), False, "sign") for a, b in signs[:850] if b]
    return list(dict.fromkeys(pairs))


def _said(text: str) -> str:
    return f"The answer is ${_box(text)}$."


def _one_digit(text: str, rng: random.Random) -> str | None:
    places = digits(text)
    return with_digit(text, rng.choice(places), rng) if places else None


def _one_sign(text: str, rng: random.Random) -> str | None:
    places = [m.start() for m in re.finditer(r"[-+]", text)]
    if places:
        place = rng.choice(places)
        return text[:place] + "-+"[text[place] == "-"] + text[place + 1 :]
    if re.match(r"[\d\\]", text) and not re.search(r"[,=<>]|\\(in|pm|be|le|{)|\d_", text):
        return "-" + text
    return None


def reflexive() -> list[Pair]:
    """Every answer against itself: all right."""
    return [Pair(a, _said(a), True, "itself") for a in answers()]
