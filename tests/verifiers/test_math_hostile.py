"""Inputs made to run away: each ends within its budget, in any thread, and earns nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from time import process_time

import pytest

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

JUDGE = MathVerifier(extract="whole", cpu_s=0.5)
LINES = r"\\"

HOSTILE = {
    "factorial of a power": "(10^{10^{10}})!",
    "factorials of factorials": "((9!)!)!",
    "binomial": r"\binom{10^9}{10^8}",
    "sum of 5000": "+".join(map(str, range(5000))),
    "sum of fractions": "+".join(rf"\frac{{1}}{{{n}}}" for n in range(2, 1400)),
    "sum of roots": "+".join(rf"\sqrt{{{n}}}" for n in range(1500)),
    "sum of sines": "+".join(rf"\sin {n}" for n in range(2000)),
    "matrix of 60": r"\begin{pmatrix}"
    + LINES.join("&".join(str(i * j) for i in range(60)) for j in range(60))
    + r"\end{pmatrix}",
    "tuple of 1000": "(" + ",".join(map(str, range(1000))) + ")",
    "set of 4000": r"\{" + ",".join(map(str, range(4000))) + r"\}",
    "set of powers": r"\{" + ",".join(f"x^{{{n}}}" for n in range(1, 1000)) + r"\}",
    "set of roots": r"\{" + ",".join(rf"\sqrt{{{n}}}" for n in range(2, 900)) + r"\}",
    "power of a sum": "(x+1)^{1000000}",
    "power of a variable": "x^{1000000000}+1",
    "nested fractions": r"\frac{1}{1+" * 30 + "x" + "}" * 30,
    "tower of pi": r"\pi^{\pi^{\pi^{\pi}}}",
    "tower of e": "e^{e^{e^{e^{e}}}}",
    "tower of e and x": "e^{" * 36 + "x" + "}" * 36,
    "sine of a googol": r"\sin(10^{100})",
    "sines of sines": r"\sin(\sin(\sin(\sin(10^{30}))))",
    "product of long numbers": "*".join(["9" * 390] * 40),
    "bars": "|" * 10_000,
    "plus-minus": r"\pm 1," * 3000 + "1",
    "unions": r"\cup".join(f"({n},{n + 1})" for n in range(0, 3000, 2)),
    "chain of inequalities": "<".join(map(str, range(3000))),
    "chain of equations": "=".join([r"\sqrt{3}"] * 1000 + ["3^{1/2}"] * 500),
    "logarithm": r"\log_{10^{300}} 10^{299}",
    "gcd": r"\gcd(" + ",".join(["10^{300}"] * 500) + ")",
    "words": "one hundred " * 1500,
    "repeating": "0." + "12" * 5000 + "...",
    "sum operator": r"\sum_{k=1}^{10^{9}} \sin k",
    "integral": r"\int_0^1 \sqrt{\tan x} e^{x^2} dx",
    "units": "5 " + "m/" * 5000,
    "colons": ":".join(map(str, range(1, 3000))),
    "conjunctions": "x>1 and " * 2000 + "x>1",
    "functions": "f(" * 35 + "x" + ")" * 35,
    "chinese": "一" * 10_000,
    "double dots": "{:}" * 5000,
}
GOLDS = ["42", "x^2+1", r"\{1,2\}"]
MORE_GOLDS = [r"\sqrt{2}", "(1,2)", "x>3", r"\begin{pmatrix}1\\2\end{pmatrix}"]


def _judged(text: str, gold: str) -> str:
    return JUDGE.verify(Sample(completion=text, answer=gold)).status


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_ends_and_earns_nothing(text: str) -> None:
    _ends_and_earns_nothing(text, GOLDS)


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_ends_and_earns_nothing_beside_other_golds(text: str) -> None:
    _ends_and_earns_nothing(text, MORE_GOLDS)


def _ends_and_earns_nothing(text: str, golds: list[str]) -> None:
    for gold in golds:
        start = process_time()
        assert _judged(text, gold) == "incorrect"
        assert process_time() - start < 20.0


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_ends_as_a_gold_too_beside_a_near_miss(text: str) -> None:
    start = process_time()
    assert _judged(text.replace("1", "2", 1), text) in ("correct", "incorrect", "unscorable")
    assert process_time() - start < 20.0


def test_verdicts_in_threads_and_in_async_are_those_of_the_main_thread() -> None:
    pairs = [(text, gold) for text in list(HOSTILE.values())[:16:2] for gold in GOLDS[:2]]
    expected = [_judged(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pair: _judged(*pair), pairs)) == expected

    async def all_of_them() -> list[str]:
        samples = [Sample(completion=text, answer=gold) for text, gold in pairs]
        return [verdict.status for verdict in await JUDGE.averify_many(samples)]

    assert asyncio.run(all_of_them()) == expected


def test_timers_and_signals_of_the_caller_are_untouched() -> None:
    fired = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: fired.set())
    try:
        signal.setitimer(signal.ITIMER_REAL, 60.0)
        _judged("1 + e^{-1000}", "1")
        _judged("5", "5")
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60.0
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert signal.getsignal(signal.SIGALRM) is not before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not fired.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_it_works_after_a_fork() -> None:
    assert _judged("1 + e^{-1000}", "1") == "incorrect"
    child = os.fork()
    if child == 0:
        same = _judged("1 + e^{-1000}", "1") == "incorrect" and _judged("5", "5") == "correct"
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_memory_of_the_caller_stays_small() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for text in HOSTILE.values():
        _judged(text, "42")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # KiB
