"""Answers that are written to hang, crash or exhaust a verifier."""

from __future__ import annotations

import random
from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Case:
    """One hostile completion; the gold is ordinary unless the pair is what hurts."""

    name: str
    completion: str
    gold: str = "42"


def cases() -> list[Case]:
    """All of them, the same at every run."""
    boxed = [*_powers(), *_factorials(), *_nested(), *_long(), *_algebra(), *_numbers()]
    return [
        *(Case(n, f"The answer is $\\boxed{{{text}}}$.", gold) for n, text, gold in boxed),
        *_whole_texts(),
    ]


Boxed = tuple[str, str, str]


def _powers() -> list[Boxed]:
    tower = "9^{9^{9^9}}"
    return [
        ("tower of nines", tower, "42"),
        ("tower of twos", "2^{2^{2^{2^{2^2}}}}", "42"),
        ("tower of fives in a fraction", r"\dfrac{5^{5^{5^{5^5}}-4}-5}{16}", "42"),
        ("tower of e", "e^{e^{e^{e^{e}}}}", "42"),
        ("tower of forty", "2^{" * 40 + "2" + "}" * 40, "42"),
        ("power, 30 million", "3^{30000000}", "42"),
        ("power, a thousand million", "3^{1000000000}", "42"),
        ("power of ten, a thousand million", "10^{10^{9}}", "42"),
        ("tiny power", "2^{-10^{9}}", "0"),
        ("two towers", f"{tower}+1", tower),
        ("difference of powers", "3^{10000000}-3^{9999999}", "42"),
        ("compound interest", r"\left(1+\frac{1}{10^{9}}\right)^{10^{9}}", "e"),
        ("sine of a power", r"\sin\left(10^{10^{10}}\right)", "42"),
        ("tangent of a power", r"\tan(10^{100000})", "42"),
        ("root of huge degree", r"\sqrt[1000000007]{2}", "1"),
        ("huge modulus", r"3^{10^{15}} \bmod 7", "3"),
        ("nested powers of x", "x^{" * 400 + "x" + "}" * 400, "x"),
        ("almost one", r"0.999999999999^{10^{12}}", "1"),
    ]


def _factorials() -> list[Boxed]:
    return [
        ("factorial of a power", "(10^{10^{10}})!", "42"),
        ("factorial of a million", "1000000!", "42"),
        ("factorial of factorials", "((((3!)!)!)!)", "42"),
        ("marks in a row", "3" + "!" * 50, "6"),
        ("half of a factorial", r"\frac{100000!}{99999!}", "100000"),
        ("central binomial", r"\binom{10^{9}}{500000000}", "42"),
        ("binomial of binomials", r"\binom{\binom{\binom{60}{30}}{9}}{7}", "42"),
        ("reciprocals of factorials", r"\frac{1}{20004!}", r"\frac{1}{20006!}"),
        ("sum of factorials", "+".join(f"{n}!" for n in range(900, 1100)), "42"),
        ("gamma", r"\Gamma(10^{8})", "42"),
    ]


def _nested() -> list[Boxed]:
    def around(left: str, core: str, right: str, times: int) -> str:
        return left * times + core + right * times

    return [
        ("10,000 braces", around("{", "5", "}", 10_000), "5"),
        ("500 parentheses", around("(", "5", ")", 500), "5"),
        ("100,000 parentheses", around("(", "5", ")", 100_000), "5"),
        ("20 fractions", around(r"\frac{1}{1+", "x", "}", 20), "x"),
        ("200 fractions", around(r"\frac{1}{1+", "1", "}", 200), r"\frac{1}{2}"),
        ("5,000 fractions", around(r"\frac{1}{1+", "1", "}", 5_000), r"\frac{1}{2}"),
        ("60 roots", around(r"\sqrt{2+", "2", "}", 60), "2"),
        ("1,000 roots", around(r"\sqrt{", "2", "}", 1_000), "1"),
        ("absolute values", around("|", "-5", "|", 2_000), "5"),
        ("5,000 boxes", around(r"\boxed{", "5", "}", 5_000), "5"),
        ("5,000 texts", around(r"\text{", "five", "}", 5_000), "5"),
        ("left and right", around(r"\left(", "5", r"\right)", 5_000), "5"),
        ("sets of sets", around(r"\{", "1", r"\}", 300), r"\{1\}"),
        ("sines of sines", around(r"\sin(", "1", ")", 300), "0"),
        ("only opening braces", "{" * 50_000, "42"),
        ("matrices in matrices", r"\begin{pmatrix}" * 2_000, "42"),
        ("integrals", r"\int_0^1 " * 30 + "x" + " dx" * 30, "42"),
    ]


def _long() -> list[Boxed]:
    numbers = [str(n) for n in range(5_000)]
    grid = r"\\".join("&".join(str((i * j) % 97) for j in range(60)) for i in range(60))
    letters = r"\\".join("&".join(f"x_{{{i}}}^{{{j}}}" for j in range(30)) for i in range(30))
    fractions = [rf"\frac{{{n}}}{{{n + 1}}}" for n in range(1, 301)]
    roots = [rf"\sqrt{{{n}}}" for n in range(2, 402)]
    return [
        ("set reversed", rf"\{{{','.join(reversed(numbers))}\}}", rf"\{{{','.join(numbers)}\}}"),
        ("20,000 numbers", ",".join(map(str, range(20_000))), "42"),
        ("tuple of 1,000", f"({','.join(numbers[:1000])})", f"({','.join(numbers[1:1001])})"),
        ("set of fractions", ",".join(reversed(fractions)), ",".join(fractions)),
        ("set of roots", ",".join(reversed(roots)), ",".join(roots)),
        ("union", r"\cup".join(f"({2 * n},{2 * n + 1})" for n in range(500)), "(0,1)"),
        ("chain", "<".join(numbers[:2000]), "x<1"),
        ("60 by 60", rf"\begin{{pmatrix}}{grid}\end{{pmatrix}}", r"\begin{pmatrix}1\end{pmatrix}"),
        ("30 by 30 powers", rf"\begin{{pmatrix}}{letters}\end{{pmatrix}}", "0"),
        ("determinant", rf"\det\begin{{pmatrix}}{letters}\end{{pmatrix}}", "0"),
        ("plus and minus", r"\pm".join(str(n) for n in range(1, 40)), "42"),
        ("5,000 terms", "+".join(f"x^{{{n}}}" for n in range(5_000)), "x"),
        ("5,000 ones", "1" + "+1" * 4_999, "5000"),
        ("400 roots added", "+".join(roots), "42"),
        ("300 fractions added", "+".join(fractions), "42"),
        ("equation repeated", "x=" * 10_000 + "1", "x=1"),
        ("or repeated", r" \text{ or } ".join(numbers[:3000]), "42"),
    ]


def _algebra() -> list[Boxed]:
    names = [f"x_{{{i}}}" for i in range(20)]
    product = "".join(f"(x-{n})" for n in range(1, 120))
    tower = "x"
    for _ in range(10):
        tower = f"({tower}^2+1)^2"
    near = r"\sqrt{2}+\sqrt{3}+\sqrt{5}+\sqrt{7}+\sqrt{11}+\sqrt{13}"
    waves = "+".join(rf"\sin({k}x)" for k in range(1, 60))
    return [
        ("binomial of degree a million", "(x+1)^{10^6}", "x^{10^9}+1"),
        ("binomial of degree 2,000", "(x+1)^{2000}", "x^{2000}+1"),
        ("five letters to the 60th", "(a+b+c+d+e)^{60}", "(a+b+c+d-e)^{60}"),
        ("120 factors", product, product.replace("(x-7)", "(x-8)", 1)),
        ("squares of squares", tower, tower.replace("x^2", "x^3")),
        ("twenty letters", "+".join(rf"\frac{{1}}{{1+{n}}}" for n in names), "1"),
        ("sum of sines", waves, waves + r"+\sin(60x)"),
        ("sine of 200 x", r"\sin(200x)", r"2\sin(100x)\cos(101x)"),
        ("near integer", r"e^{\pi\sqrt{163}}", "262537412640768744"),
        ("roots near a decimal", near, "16.19680000000000000001"),
        ("nested radicals", r"\sqrt[3]{7+\sqrt{50}}-\sqrt[3]{\sqrt{50}-7}", "2"),
        ("differential equation", r"y=c_1e^{2x}+c_2xe^{2x}+c_3", r"y=(c_1+c_2x)e^{2x}"),
        ("trigonometric equation", r"\sin x+\cos x+\tan x=\frac{1}{7}", r"\sin x=\cos 3x"),
        ("equation of degree 40", "+".join(f"{n}x^{{{n}}}" for n in range(1, 41)) + "=0", "x=0"),
        ("powers of letters", "a^{b^{c^{d^{e}}}}", "a^{b^{c^{d^{f}}}}"),
        ("logarithm of a tower", r"\log_2(2^{2^{2^{2^{2^2}}}})", "65536"),
        ("sum to a million millions", r"\sum_{k=1}^{10^{12}} \frac{1}{k^2}", "42"),
        ("product of sines", r"\prod_{k=1}^{100000} \sin k", "42"),
        ("limit of a power", r"\lim_{n\to\infty}\left(1+\frac{1}{n}\right)^{n^2}", "42"),
        ("zeta", r"\zeta(3)+\Gamma(\frac{1}{7})", "42"),
    ]


def _numbers() -> list[Boxed]:
    digits = "".join(random.Random(1).choices("123456789", k=100_000))
    return [
        ("100,000 digits", digits, digits[:-1] + "0"),
        ("megabyte of digits", "7" * MEGABYTE, "42"),
        ("100,000 decimals", "0." + digits, "0." + digits[:-1]),
        ("period of 10,000", rf"0.\overline{{{digits[:10_000]}}}", r"\frac{1}{3}"),
        ("exponent 1e1000000", "1e1000000", "42"),
        ("exponent 1e999999999", "1e999999999", "42"),
        ("negative exponent", "1e-999999999", "0"),
        ("base of 1,000 digits", rf"{digits[:3000]}_{{{digits[:1000]}}}", "1011_2"),
        ("100,000 minus signs", "-" * 100_000 + "5", "5"),
        ("carets", "2" + "^" * 10_000 + "2", "4"),
        ("fractions without arguments", r"\frac" * 10_000, "42"),
        ("roots without arguments", r"\sqrt" * 10_000 + "2", "42"),
        ("slashes", "1/" * 50_000 + "1", "1"),
        ("commas", "," * 100_000, "42"),
        ("number words", "one hundred and " * 10_000 + "five", "105"),
        ("superscripts", "2" + "⁹" * 10_000, "42"),
    ]


def _whole_texts() -> list[Case]:
    repeat: list[tuple[str, str, int]] = [
        ("display openings", r"\[ ", 5_000),
        ("megabyte of display openings", r"\[", MEGABYTE // 2),
        ("dollars", "$", MEGABYTE),
        ("boxes left open", r"\boxed{", 100_000),
        ("boxes", r"\boxed{1} ", 50_000),
        ("boxes with dollars", r"$\boxed{42}$, ", 30_000),
        ("markers", "#### 41\n", 100_000),
        ("think openings", "<think>", 100_000),
        ("think pairs", "<think></think>", 60_000),
        ("answer openings", "<answer>", 100_000),
        ("answer pairs", "<answer>41</answer>", 50_000),
        ("phrases", "the answer is ", 70_000),
        ("bold", "**41** ", 100_000),
        ("stars", "*", MEGABYTE),
        ("backslashes", "\\", MEGABYTE),
        ("opening braces", "{", MEGABYTE),
        ("letters", "a", MEGABYTE),
        ("spaces", " ", MEGABYTE),
        ("line breaks", "\n", MEGABYTE),
        ("numbers", "41 ", MEGABYTE // 3),
        ("dotted numbers", "1.", MEGABYTE // 2),
        ("Chinese phrases", "答案是", 300_000),
        ("zero-width", "\u200b", 300_000),
        ("combining marks", "\u0301", 300_000),
        ("zero bytes", "\0", 300_000),
    ]
    texts = [Case(f"text: {name}", text * times) for name, text, times in repeat]
    story = "Then $x^2+3x-4=0$ gives $(x-1)(x+4)=0$, hence two cases remain. "
    return [
        *texts,
        Case("text: long thought", story * 700 + r"So $\boxed{41}$."),
        Case("text: megabyte and a box", story * 16_000 + r"So $\boxed{41}$."),
        Case("text: megabyte of thought", "<think>" + story * 16_000 + r"</think>\boxed{41}"),
    ]
