"""Pairs of gold and completion of which the label is known by construction; seeded."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"

HELD_OUT = ("math_heldout", "math_heldout2", "math_heldout3", "math_heldout4")
"""Sets whose labels were decided before any row of them was run."""

NAMES = ("Mia", "Omar", "Lena", "Ravi", "Sofia", "Tariq", "Nina", "Hugo", "Aiko", "Paul")
THINGS = ("pencils", "tickets", "cookies", "stamps", "books", "marbles", "plants", "cards")


@dataclass(frozen=True)
class Pair:
    """A completion to be judged against a gold, and whether it is right."""

    gold: str
    completion: str
    right: bool
    kind: str


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a data file of the benchmark."""
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def labelled(name: str) -> list[Pair]:
    """A hand-labelled set: ``math_equivalence``, or one of those written to be run once, after the
    verifier was done, :data:`HELD_OUT`."""
    return [Pair(r["gold"], r["completion"], r["expected"], r["category"]) for r in rows(name)]


def word_problems(right: bool, count: int = 1319) -> list[Pair]:
    """Worked solutions of the GSM8K type that end in ``#### N``; wrong ones are a neighbour's."""
    rng = random.Random(11)
    solved = [_word_problem(rng) for _ in range(count)]
    if right:
        return [Pair(gold, text, True, "gsm8k") for gold, text in solved]
    neighbours = zip(solved, solved[1:] + solved[:1], strict=True)
    return [Pair(a[0], b[1], False, "gsm8k") for a, b in neighbours if a[0] != b[0]]


def _word_problem(rng: random.Random) -> tuple[str, str]:
    a, b, c, d = (rng.randint(2, 60) for _ in range(4))
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    steps = rng.choice(
        [
            [
                (f"{name} buys {a} boxes of {b} {thing}, which makes", "{}*{}", a, b),
                (f"With the {c} {thing} from home there are", "{}+{}", None, c),
            ],
            [
                (f"In a week {name} sells {a} {thing} a day, so", "{}*{}", a, 7),
                (f"Each one costs ${d}, so the income is", "{}*{}", None, d),
                (f"After paying ${b} of rent the profit is", "{}-{}", None, b),
            ],
            [
                (f"There are {a} red and {b} blue {thing}, together", "{}+{}", a, b),
                (f"{name} doubles the collection and has", "{}*{}", None, 2),
                (f"Then {c} more arrive, which gives", "{}+{}", None, c),
                (f"Half of the class of {2 * d} gets one each, so add {d}:", "{}+{}", None, d),
            ],
            [
                (f"{name} walks {a} blocks on each of {c} days, which is", "{}*{}", a, c),
                (f"On the last day the way is {d} blocks longer:", "{}+{}", None, d),
                (f"At ${b} a block the sponsor pays", "{}*{}", None, b),
            ],
        ]
    )
    value, lines = 0, []
    for text, operation, left, right in steps:
        x = value if left is None else left
        value = {"*": x * right, "+": x + right, "-": x - right}[operation[2]]
        shown = operation.format(x, right)
        lines.append(f"{text} {shown} = <<{shown}={value}>>{value}.")
    last = f"#### {value:,}" if rng.random() < 0.5 else f"#### {value}"
    return str(value), "\n".join([*lines, last])


def problems(right: bool, count: int = 500) -> list[Pair]:
    r"""Solutions of the MATH type around ``\boxed``; wrong ones carry a neighbour's answer.

    The golds are those of the data file and, to fill up, the same with other digits.
    """
    rng = random.Random(23)
    base = rows("math_golds")
    golds = [(r["kind"], r["gold"], r["boxed"]) for r in base]
    seen = {g for _, g, _ in golds}
    able = [r for r in base if r["kind"] not in _OWN_DIGITS and not re.match(r"\d\\", r["gold"])]
    while len(golds) < count:
        row = rng.choice(able)
        gold = _other_digits(row["gold"], rng)
        if gold not in seen:
            seen.add(gold)
            golds.append((row["kind"], gold, gold))
    rng.shuffle(golds)
    steps = [r["text"] for r in rows("math_steps")]
    shown = golds if right else [_neighbour(golds, i) for i in range(len(golds))]
    return [
        Pair(gold, _solution(boxed, steps, rng), right, kind)
        for (kind, gold, _), (_, _, boxed) in zip(golds, shown, strict=True)
    ]


def _neighbour(golds: list[tuple[str, str, str]], place: int) -> tuple[str, str, str]:
    """The next answer with other digits: 28 and 28 degrees would not be a wrong pair."""
    own = re.sub(r"\D", "", golds[place][1])
    following = golds[place + 1 :] + golds[:place]
    return next(g for g in following if re.sub(r"\D", "", g[2]) != own)


# Other digits would make these empty, doubled, or no value at all (3606 in base 4, 4:95).
_OWN_DIGITS = {
    *("interval", "inequality", "set", "base", "time"),
    *("scientific", "factorial", "text", "choice"),
}


def _solution(boxed: str, steps: list[str], rng: random.Random) -> str:
    text = " ".join(rng.sample(steps, rng.randint(1, 3)))
    return f"{text} ${boxed}$.\n\nTherefore the answer is $\\boxed{{{boxed}}}$."


def _other_digits(text: str, rng: random.Random) -> str:
    places = digits(text)
    for place in rng.sample(places, min(2, len(places))):
        text = with_digit(text, place, rng)
    return text


def digits(text: str) -> list[int]:
    """Places of digits that can change without a zero in front or an index becoming another."""
    plain = re.sub(r"_\{?\d+\}?|\\frac\d\d", lambda m: "." * len(m.group()), text)
    return [m.start() for m in re.finditer(r"\d", plain)]


def with_digit(text: str, place: int, rng: random.Random) -> str:
    # No 1: its powers, roots and logarithms would hide the next digit that is changed.
    other = rng.choice([d for d in "23456789" if d != text[place]])
    return text[:place] + other + text[place + 1 :]
