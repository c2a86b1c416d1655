r"""What stands around a box: the side of a formula that it is a part of is the answer, not the box."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

JUDGE = MathVerifier()


def status(completion: str, answer: Any, **options: Any) -> str:
    judge = MathVerifier(**options) if options else JUDGE
    return judge.verify(Sample(completion=completion, answer=answer)).status


# What follows or precedes the box within its formula, and the whole that is said with it.
PARTS = [
    (r"$\boxed{5}\pi$", r"5\pi"),
    (r"$\boxed{5}^2$", "25"),
    (r"\boxed{5}^2", "25"),
    (r"$\boxed{5}!$", "120"),
    (r"$\boxed{5}x$", "5x"),
    (r"\boxed{5}x", "5x"),
    (r"$\boxed{5}\sqrt{2}$", r"5\sqrt{2}"),
    (r"$\boxed{5}\frac{1}{2}$", "5.5"),
    (r"$\boxed{5}/7$", "5/7"),
    (r"$\boxed{5} + C$", "5 + C"),
    (r"$\boxed{5}\mathrm{e}$", "5e"),
    (r"$\boxed{x+5}(x-1)$", "(x+5)(x-1)"),
    (r"$\sqrt{\boxed{5}}$", r"\sqrt{5}"),
    (r"\sqrt{\boxed{5}}", r"\sqrt{5}"),
    (r"$\sqrt[3]{\boxed{5}}$", r"\sqrt[3]{5}"),
    (r"$\frac{\boxed{5}}{7}$", "5/7"),
    (r"$\frac{7}{\boxed{5}}$", "7/5"),
    (r"$2^{\boxed{5}}$", "32"),
    (r"$2^\boxed{5}$", "32"),
    (r"$\log_2 \boxed{5}$", r"\log_2 5"),
    (r"$\sin\left(\boxed{5}\right)$", r"\sin 5"),
    (r"$-\,\boxed{5}$", "-5"),
    (r"$x = -2\pi\boxed{5}$", r"-10\pi"),
    (r"$\pm\boxed{5}$", r"\pm 5"),
    (r"$|\boxed{-5}|$", "5"),
    (r"$(\boxed{5})^2$", "25"),
    (r"$2\mathbf{\boxed{x}}$", "2x"),
    (r"$(3, \boxed{5})$", "(3, 5)"),
    (r"$\boxed{5}:7$", "5:7"),
    (r"$\boxed{5},000$", "5000"),
    (r"$\boxed{101}_2$", "101_2"),
    (r"$\boxed{5}$ million", "5000000"),
    (r"\boxed{5} thousand", "5000"),
    (r"$\boxed{5} \text{ dozen}$", "60"),
    (r"$\boxed{5}\,\mathrm{cm}$", "0.05 m"),
    (r"It is $\boxed{500}$ cm long.", "5 m"),
    (r"$\boxed{5}\text{ m}^2$", "50000 cm^2"),
    (r"$\boxed{36} \text{ km/h}$", "10 m/s"),
    (r"$\boxed{90}^\circ$", r"\frac{\pi}{2}"),
    (r"$\boxed{20}^\circ\text{C}$", "68°F"),
    (r"\$\boxed{5}", "500 cents"),
]

UNITS = {"0.05 m", "5 m", "50000 cm^2", "10 m/s", r"\frac{\pi}{2}", "68°F", "500 cents", "101_2"}
"""A unit may be left out, and the base where the gold has one."""


@pytest.mark.parametrize(("completion", "whole"), PARTS)
def test_the_side_of_the_formula_is_the_answer(completion: str, whole: str) -> None:
    # Some sides are sums or quotients left to do, which is another question.
    assert status(completion, whole, form="any") == "correct"


@pytest.mark.parametrize("completion", [c for c, whole in PARTS if whole not in UNITS])
def test_and_the_box_alone_is_not(completion: str) -> None:
    boxed = completion.partition(r"\boxed{")[2].partition("}")[0]
    assert status(completion, boxed, form="any") == "incorrect"


@pytest.mark.parametrize(
    "completion",
    [
        r"$3\cdot\boxed{5}$",
        r"$3 + \boxed{5}$",
        r"so 3 + \boxed{5}",
        r"$10 - \boxed{5}$",
        r"$f(\boxed{5})$",
        r"$a_{\boxed{5}}$",
        r"$a_\boxed{5}$",
        r"$2(\boxed{5})$",
        r"$2\textcolor{red}{\boxed{5}}$",
        r"$\cancel{\boxed{5}}$",
        r"$\sum_{k=1}^{3} \boxed{5}$",
        r"$17 \bmod \boxed{5}$",
        r"$\overline{\boxed{5}}$",
        r"$\boxed{5} \cdot \boxed{5}$",
        r"$\boxed{5} = 6$",
        r"$\text{not }\boxed{5}$",
        r"$\boxed{5} \text{ or } 6$",
        r"$\boxed{5} \lor 6$",
        r"$\boxed{5}$ and $6$.",
        r"$2 + \boxed{5} = 8$",
        r"$2 + \boxed{5} = 2 + 5$",
        r"$\frac{\boxed{5}}{$",
        r"$\sqrt{\boxed{5}$",
    ],
)
def test_a_part_that_is_no_answer_earns_nothing(completion: str) -> None:
    assert status(completion, "5") == "incorrect"


@pytest.mark.parametrize(
    "completion",
    [
        r"$\boxed{5}$.",
        r"\boxed{5}",
        r"$\boxed{5}\text{ cm}$",
        r"$x = \boxed{5}$",
        r"$2 + 3 = \boxed{5}$",
        r"$\boxed{5} = 2 + 3$",
        r"$\boxed{5} \approx 5.1$",
        r"\[ \boxed{5} \]",
        r"**\boxed{5}**",
        r"_\boxed{5}_",
        r"*\boxed{5}*",
        r"(\boxed{5})",
        r"$\left(\boxed{5}\right)$",
        r"$\boxed{5}\%$",
        r"$\boxed{5}^\circ$",
        r"\$\boxed{5}",
        r"$\boxed{5}$ apples",
        r"$\boxed{5}\text{ apples}$",
        r"$\boxed{5}^{\text{th}}$ place",
        r"$\boxed{5}^*$",
        r"The answer is \boxed{5}!",
        r"\boxed{5} - which is prime",
        r"Question 3 - \boxed{5}",
        r"- \boxed{5}",
        r"(a) \boxed{5}",
        r"$(a)\ \boxed{5}$",
        r"1. \boxed{5}",
        r"Total: \boxed{5}",
        r"the \boxed{5}-year-old",
        r"$\textcolor{red}{\boxed{5}}$",
        r"{\large \boxed{5}}",
        r"$\mathbf{\boxed{5}}$",
        r"\textbf{Answer: \boxed{5}}",
        r"$\boxed{5}\quad\blacksquare$",
        r"$\boxed{5} \tag{3}$",
        r"$\boxed{5} \text{, as required}$",
        r"$n \ge \boxed{5}$",
        r"$x \equiv \boxed{5} \pmod{7}$",
        r"$x \equiv \boxed{5} \bmod 7$",
        r"$2 + \boxed{5} = 7$",
        r"$25 = \boxed{5}^2$",
        "\\begin{align*}\nx &= 2 \\cdot 2 + 1 \\\\\n&= \\boxed{5}\n\\end{align*}",
        r"\begin{array}{c} \boxed{5} \end{array}",
        r"It costs $3 each, so $\boxed{5}$ in total for $2.",
        r"So $x$ is \boxed{5} and $y$ is $7$.",
        r"$x = \boxed{5}$ and $y = 7$.",
        r"$a+b=\boxed{5}$, where $a$ and $b$ are integers.",
        r"$\boxed{5}$<|im_end|>",
        r"$$\boxed{5}\qquad(1)$$",
        r"$$\boxed{5}\ (1)$$",
        r"$f = \boxed{5} (x > 0)$",
        r"$\phantom{=}\boxed{5}$",
        r"$\boxed{5}\text{m}$",
        r"$\boxed{5}\,\text{m/s}^2$",
        r"\boxed{5} m",
        r"$\boxed{5}$ square units",
    ],
)
def test_what_says_nothing_about_the_box_takes_nothing_from_it(completion: str) -> None:
    verdict = JUDGE.verify(Sample(completion=completion, answer="5"))
    assert verdict.status == "correct", verdict.reason


def test_the_evidence_shows_the_side_and_where_it_is() -> None:
    text = r"So the area is $A = \boxed{5}\pi$ in all."
    verdict = JUDGE.verify(Sample(completion=text, answer=r"5\pi"))
    assert verdict.evidence.text == r"5\pi"
    assert verdict.evidence.span is not None
    assert text[slice(*verdict.evidence.span)] == r"\boxed{5}\pi"


@pytest.mark.parametrize(("answer", "wanted"), [("5", "correct"), ("0.05", "correct"), ("5%", "correct"), ("50", "incorrect"), ("0.5", "incorrect")])  # fmt: skip
def test_a_percent_sign_outside_the_box_may_be_meant_or_not(answer: str, wanted: str) -> None:
    assert status(r"$\boxed{5}\%$", answer) == wanted
    assert status(r"$\boxed{5}$ percent", answer) == wanted


def test_a_list_of_boxes_is_looked_at_as_one() -> None:
    assert status(r"$\boxed{3}$ and $\boxed{4}$", "3, 4") == "correct"
    assert status(r"$x=\boxed{3}$ or $x=\boxed{4}$ cm", "3, 4") == "correct"
    assert status(r"$\boxed{3}$ and $\boxed{4}\pi$", "3, 4") == "incorrect"
    assert status(r"$2\boxed{3}$ and $\boxed{4}$", "3, 4") == "incorrect"


def test_words_and_choices_have_no_unit() -> None:
    assert status(r"$\boxed{\text{Tuesday}}$ days later", "Tuesday") == "correct"
    assert status(r"$\boxed{C}$ hours", "C") == "correct"


def test_a_gold_commits_to_the_side_of_its_box_too() -> None:
    solution = r"The area is $\boxed{5}\pi$."
    assert status(r"\boxed{5\pi}", solution) == "correct"
    assert status(r"\boxed{5}", solution) == "incorrect"
    assert status(r"\boxed{5 \text{ cm}}", r"It is $\boxed{5}$ km long.") == "incorrect"
    unread = JUDGE.verify(Sample(completion="5", answer=r"$\cancel{\boxed{5}}\pi$"))
    assert (unread.status, unread.fault) == ("unscorable", "dataset")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("It is $5$ million.", "5"),
        ("So it is **5** million.", "5"),
        ("It is **4** or **5**.", "5"),
        ("It takes from 4 to 5 days.", "5"),
        ("It takes 4-5 days.", "5"),
        ("It takes 4–5 days.", "5"),
        ("It takes 4 to 5 days.", "5"),
        ("Pages 4 through 5", "5"),
        (r"<answer>The area is $\boxed{5}\pi$</answer>", "5"),
        (r"<answer>It is \boxed{5} million.</answer>", "5"),
        ("42_{16}", "42"),
        (r"\boxed{101_{10}}", "101_2"),
    ],
)
def test_nor_is_a_scale_a_range_or_another_value_left_out_elsewhere(
    completion: str, answer: str
) -> None:
    assert status(completion, answer) == "incorrect"


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("It is $5$ million.", "5000000"),
        ("So it is **5** million.", "5000000"),
        ("It is **4** or **5**.", "4, 5"),
        ("The ratio is 4 to 5.", "4:5"),
        ("It fell by 3 to 5.", "5"),
        ("From 4 to 9 the rise is 5.", "5"),
        (r"<answer>The area is $\boxed{5}$.</answer>", "5"),
        ("42_{10}", "42"),
        (r"\boxed{101_{2}}", "101_2"),
        (r"\boxed{101}", "101_2"),
        (r"\boxed{\text{2A}_{16}}", "2A_{16}"),
    ],
)
def test_and_what_they_say_is_paid(completion: str, answer: str) -> None:
    assert status(completion, answer) == "correct"


def test_a_number_in_another_base_is_its_value_left_to_be_worked_out() -> None:
    for text, value in (("42_{16}", "66"), ("2A_{16}", "42"), ("FF_{16}", "255"), ("101_2", "5")):
        verdict = JUDGE.verify(Sample(completion=text, answer=value))
        assert verdict.status == "incorrect"
        assert "a number in another base" in verdict.reason
        assert status(text, value, form="any") == "correct"
    assert status("B_{12}", "11", form="any") == "incorrect"  # one letter is a name


HOSTILE = {
    "groups": "{" * 100_000 + r"\boxed{5}" + "}" * 100_000,
    "roots": r"$" + r"\sqrt{" * 100_000 + r"\boxed{5}" + "}" * 100_000 + "$",
    "brackets": "$" + "(" * 100_000 + r"\boxed{5}" + ")" * 100_000 + "$",
    "signs": "$" + "-" * 100_000 + r"\boxed{5}" + "-" * 100_000 + "$",
    "dollars": "$ " * 100_000 + r"\boxed{5}" + " $" * 100_000,
    "texts": r"\text{" * 100_000 + r"\boxed{5}" + r"\text{" * 100_000,
    "spaces": " " * 100_000 + r"\boxed{5}" + " " * 100_000,
    "control spaces": r"\," * 100_000 + r"\boxed{5}" + r"\," * 100_000,
    "environments": r"\begin{align}" * 50_000 + r"\boxed{5}" + r"\end{align}" * 50_000,
    "numbers": "$" + "1+" * 100_000 + r"\boxed{5}" + "+1" * 100_000 + "$",
    "joints": r"$\boxed{5}$" + " and" * 100_000,
    "units": r"$\boxed{5}$" + " cm/" * 100_000,
    "bold": "**5** or " * 50_000 + "**5**",
    "ranges": "4 to " * 100_000 + "5",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_stands_around_is_looked_at_in_bounded_time(text: str) -> None:
    start = process_time()
    assert status(text, "5") in ("correct", "incorrect")
    assert process_time() - start < 5.0


PIECES = st.sampled_from(
    [r"\boxed{5}", r"\boxed{x}", "$", "$$", r"\[", r"\]", r"\(", r"\)", "{", "}", "(", ")", "[", "]", "|",
     r"\sqrt", r"\frac", r"\text{ cm}", r"\text{", r"\begin{align}", r"\end{align}", r"\\", "&", "=", "+",
     "-", "^", "_", "!", "'", ":", ",", ".", "5", "x", " ", "\n", "\n\n", " million", "%", r"\%", r"\pi",
     " or ", " and ", r"^\circ", r"\left(", r"\right)", "\\", "\x00", "万"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_surroundings_are_judged_and_twice_the_same(text: str) -> None:
    quick = MathVerifier(cpu_s=0.2)
    for answer in ("5", rf"x = $\boxed{{5}}${text[:20]}"):
        first, second = (quick.verify(Sample(completion=text, answer=answer)) for _ in range(2))
        assert (first.status, first.reason) == (second.status, second.reason)
        if answer == "5":
            assert first.status in ("correct", "incorrect")
