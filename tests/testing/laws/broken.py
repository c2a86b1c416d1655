"""Rewards that break one law each, and keep the others."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import threading
from typing import Any

from rewardkit import Rubric, reward
from rewardkit.function import FunctionReward

BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def sound(completion: str, answer: str) -> float:
    """Keeps all laws: one box, and the gold in it."""
    return float(BOX.findall(completion) == [answer])


class _Narrow(FunctionReward):
    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 0.5


bounded = Rubric(reward=_Narrow(sound))
"""Pays more than it declares."""


def deterministic(completion: str, answer: str) -> float:
    """Leaves capitals to chance."""
    return sound(completion, answer) if completion == completion.lower() else random.random()


def input_unchanged(sample: Any) -> float:
    """Leaves a mark in the row."""
    sample.columns.setdefault("seen", True)
    return sound(sample.text, sample.answer)


@reward(form="batch")
def batch(completions: list[str], answer: list[str]) -> list[float]:
    """Pays a little for company."""
    more = 0.1 * (len(completions) > 1)
    return [sound(c, a) + more for c, a in zip(completions, answer, strict=True)]


@reward(form="group")
def order(completions: list[str], answer: list[str]) -> list[float]:
    """The first of a group has an advantage."""
    return [
        sound(c, a) + (i == 0) for i, (c, a) in enumerate(zip(completions, answer, strict=True))
    ]


class _Copied:
    """A copy of it in one and the same process has forgotten something."""

    def __init__(self) -> None:
        self.made, self.knows = os.getpid(), True

    def __call__(self, completion: str, answer: str) -> float:
        return sound(completion, answer) + self.knows

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.made = state["made"]
        self.knows = self.made != os.getpid()


pickling = _Copied()


_own = threading.local()
_own.here = True


def thread(completion: str, answer: str) -> float:
    """Keeps what it knows in the thread that made it."""
    return sound(completion, answer) + getattr(_own, "here", False)


def thread_by_signal(completion: str, answer: str) -> float:
    """Limits itself by a signal, as only the main thread may."""
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, before)
    return sound(completion, answer)


_judged = ""
_two = threading.Barrier(2, timeout=20)


def thread_by_race(completion: str, answer: str) -> float:
    """Keeps what it judges in one place for all threads."""
    global _judged
    _judged = completion
    if threading.current_thread() is not threading.main_thread():
        _two.wait()  # of two one now finds the other's there, whoever comes when
    # Not the other's own score: of two that are both right, or both wrong, that would be the same.
    mine = sound(completion, answer)
    return mine if _judged == completion else 1.0 - mine


def asynchronous(completion: str, answer: str) -> float:
    """Runs a loop of its own, which must not be where one runs."""

    async def judge() -> float:
        return sound(completion, answer)

    judging = judge()
    try:
        return asyncio.run(judging)
    finally:
        judging.close()


_lock: asyncio.Lock | None = None


async def asynchronous_by_lock(completion: str, answer: str) -> float:
    """Has one lock for all loops, which is bound to the first in which it has to wait."""
    global _lock
    _lock = _lock or asyncio.Lock()
    async with _lock:
        await asyncio.sleep(0)
        return sound(completion, answer)


class _AtHome:
    """Pays less away from the process that made it."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __call__(self, completion: str, answer: str) -> float:
        return sound(completion, answer) + (self.home == os.getpid())


process = _AtHome()


def in_time(completion: str, answer: str) -> float:
    """Fails at long texts."""
    if len(completion) > 100_000:
        raise MemoryError("too long")
    return sound(completion, answer)


def right_above_wrong(completion: str, answer: str) -> float:
    """Pays whatever there is."""
    return 0.5


def second_answer(completion: str, answer: str) -> float:
    """Pays for boxes."""
    return sound(completion, answer) + 0.1 * (len(BOX.findall(completion)) > 1)


def negation(completion: str, answer: str) -> float:
    """Pays for a word."""
    return sound(completion, answer) + 0.1 * ("not " in completion)


def retraction(completion: str, answer: str) -> float:
    """Pays for doubt."""
    return sound(completion, answer) + 0.1 * ("mistake" in completion)


def whitespace(completion: str, answer: str) -> float:
    """Pays for a line break at the end."""
    return sound(completion, answer) + 0.1 * completion.endswith("\n")


def thinking(completion: str, answer: str) -> float:
    """Pays for a tag."""
    return sound(completion, answer) + 0.1 * ("<think>" in completion)


def closer(completion: str, answer: str) -> float:
    """Pays for what is far off."""
    digits = "".join(re.findall("[0-9]", completion))[:9]
    return min(abs(int(digits or 0) - int(answer)), 1000) / 1000


REWARDS: dict[str, list[str]] = {
    "bounded": ["bounded"],
    "deterministic": ["deterministic"],
    "input-unchanged": ["input_unchanged"],
    "batch": ["batch"],
    "order": ["order"],
    "pickling": ["pickling"],
    "thread": ["thread", "thread_by_signal", "thread_by_race"],
    "async": ["asynchronous", "asynchronous_by_lock"],
    "process": ["process"],
    "in-time": ["in_time"],
    "right-above-wrong": ["right_above_wrong"],
    "second-answer": ["second_answer"],
    "negation": ["negation"],
    "retraction": ["retraction"],
    "whitespace": ["whitespace"],
    "thinking": ["thinking"],
    "closer": ["closer"],
}
"""The rewards that break each law."""
