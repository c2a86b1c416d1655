"""Two-digit addition that needs a carry: problems, held-out split, and a poor teacher."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


def problems() -> Iterator[tuple[int, int]]:
    """Every pair of two-digit numbers whose last digits carry: 3,645 of them."""
    for x in range(10, 100):
        for y in range(10, 100):
            if x % 10 + y % 10 >= 10:
                yield x, y


def is_held_out(x: int, y: int) -> bool:
    """A fifth of the problems, chosen by a hash: never seen in warm-up or training."""
    return zlib.crc32(f"{x}+{y}".encode()) % 5 == 0


def as_row(x: int, y: int) -> Row:
    """A row for training: the prompt as a chat, the gold answer as text."""
    return {"prompt": [{"role": "user", "content": f"{x}+{y}"}], "answer": str(x + y)}


def work_out(x: int, y: int, *, carry: bool) -> tuple[str, str]:
    """Column addition, last digits first; without the carry it is the mistake to be unlearned."""
    ones = x % 10 + y % 10
    tens = x // 10 + y // 10 + (1 if carry else 0)
    shown = f"{x // 10}+{y // 10}" + ("+1" if carry else "")
    working = f"{x % 10}+{y % 10}={ones},{shown}={tens}"
    return working, f"{tens}{ones % 10}"


def teach(x: int, y: int, draw: random.Random) -> Row:
    """One example of the cold start: three of four forget the carry, one of five lacks the tags."""
    working, result = work_out(x, y, carry=draw.random() > 0.75)
    tagged = draw.random() >= 0.2
    text = f"<think>{working}</think><answer>{result}</answer>" if tagged else result
    return {**as_row(x, y), "completion": text}


def datasets(seed: int, teaching: int, held_out: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows for the warm-up, for training, and held out."""
    draw = random.Random(seed)
    seen = [pair for pair in problems() if not is_held_out(*pair)]
    unseen = [pair for pair in problems() if is_held_out(*pair)]
    lessons = [teach(*draw.choice(seen), draw) for _ in range(teaching)]
    # The same held-out problems for every seed, so that runs compare.
    test = random.Random(0).sample(unseen, held_out)
    return lessons, [as_row(*pair) for pair in seen], [as_row(*pair) for pair in test]
