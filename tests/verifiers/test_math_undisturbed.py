"""Promise: verifying leaves the caller's process as it was, and nothing of it changes a verdict.

Signals and timers, limits of the interpreter, contexts of arithmetic, warnings, locale, random
states, threads and descriptors; and other threads go on while one verifies.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import locale
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.sandbox import FunctionRef, WorkerPool
from rewardkit.verifiers import MathVerifier, _scan, extract
from rewardkit.verifiers.extraction import MAX_UNMARKED

JUDGE = MathVerifier(extract="whole", cpu_s=0.5)

# Every tier, the worker, and a budget that runs out (so that a worker is killed and replaced).
PAIRS = [
    ("42", "42", "correct"),
    ("0.5", r"\frac{1}{2}", "correct"),
    ("1/3", "0.333", "incorrect"),
    (r"2\sqrt{2}", r"\sqrt{8}", "correct"),
    (r"\frac{\pi}{6}", r"30^\circ", "correct"),
    ("x^2+2x+1", "(x+1)^2", "correct"),
    ("x^2+4=0", "x^2+1=0", "incorrect"),
    ("42", "9^{9^{9^9}}", "incorrect"),
    ("42", "1e999999999", "incorrect"),
    ("1", "1+e^{-1000}", "incorrect"),
    ("n!", "n(n-1)!", "correct"),
    ("42", r"\sum_{k=1}^{10^{12}} \frac{1}{k^2}", "incorrect"),
    (r"\foo", "1", "unscorable"),
]
QUICK = PAIRS[:-2]


def verify(pairs: list[tuple[str, str, str]] = PAIRS) -> None:
    """Judge the pairs, and see that the verdicts are the right ones."""
    for gold, text, status in pairs:
        verdict = JUDGE.verify(Sample(completion=text, answer=gold))
        assert verdict.status == status, (gold, text, verdict.reason)


def _signal_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _random_state() -> Any:
    numpy = pytest.importorskip("numpy")
    return random.getstate(), [str(part) for part in numpy.random.get_state()]


STATES: dict[str, Callable[[], Any]] = {
    "handlers of all signals": _signal_handlers,
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "recursion limit": sys.getrecursionlimit,
    "longest integer text": sys.get_int_max_str_digits,
    "switch interval": sys.getswitchinterval,
    "trace and profile functions": lambda: (sys.gettrace(), sys.getprofile()),
    "hooks": lambda: (sys.excepthook, sys.displayhook, threading.excepthook, sys.unraisablehook),
    "garbage collector": lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug()),
    "decimal context": lambda: repr(decimal.getcontext()),
    "default decimal context": lambda: repr(decimal.DefaultContext),
    "warnings filters": lambda: (list(warnings.filters), warnings.showwarning),
    "locale": lambda: (locale.setlocale(locale.LC_ALL), locale.localeconv()),
    "random numbers": _random_state,
    "environment": lambda: dict(os.environ),
    "current folder": os.getcwd,
    "standard streams": lambda: (sys.stdin, sys.stdout, sys.stderr),
    "threads": lambda: {thread.name for thread in threading.enumerate()},
    "module search path": lambda: list(sys.path),
}


@pytest.fixture(scope="module")
def states() -> dict[str, tuple[Any, Any]]:
    """Every state before and after verifying."""
    before = {name: look() for name, look in STATES.items()}
    verify()
    return {name: (before[name], look()) for name, look in STATES.items()}


@pytest.mark.parametrize("state", STATES)
def test_the_callers_state_is_as_before(state: str, states: dict[str, tuple[Any, Any]]) -> None:
    before, after = states[state]
    assert after == before


TIMERS = {
    "real": (signal.ITIMER_REAL, signal.SIGALRM),
    "virtual": (signal.ITIMER_VIRTUAL, signal.SIGVTALRM),
    "profiling": (signal.ITIMER_PROF, signal.SIGPROF),
}


@pytest.fixture
def timer(request: pytest.FixtureRequest) -> Iterator[tuple[int, list[int]]]:
    """A timer that rings every five milliseconds, and how often it rang."""
    which, number = TIMERS[request.param]
    rung: list[int] = []
    before = signal.signal(number, lambda *_: rung.append(1))
    signal.setitimer(which, 0.005, 0.005)
    try:
        yield which, rung
    finally:
        signal.setitimer(which, 0)
        signal.signal(number, before)


@pytest.mark.parametrize("timer", TIMERS, indirect=True)
def test_timers_go_on_ringing_and_change_no_verdict(timer: tuple[int, list[int]]) -> None:
    which, rung = timer
    verify()
    count, end = len(rung), time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert len(rung) > count  # it rings still: verifying neither stopped nor replaced it
    assert signal.getitimer(which)[1] == pytest.approx(0.005, abs=1e-4)


def test_an_alarm_of_the_caller_comes_while_it_waits_for_algebra() -> None:
    came: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.monotonic()
        verify(PAIRS[-2:-1])  # a budget of 0.3 s of processor time, which all is used
        assert came, f"it did not ring in {time.monotonic() - start:.2f} s"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_wakeup_descriptor_stays() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        verify()
        assert signal.set_wakeup_fd(writer) == writer
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def _reap(*_: object) -> None:
    """What a process does that looks after children of its own: takes every one that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@pytest.mark.parametrize("handler", [signal.SIG_IGN, _reap], ids=["ignores them", "reaps them"])
def test_a_caller_may_treat_ended_children_as_it_likes(handler: Any) -> None:
    before = signal.signal(signal.SIGCHLD, handler)
    try:
        for _ in range(2):  # each kills a worker
            verify(PAIRS[-3:])
        assert signal.getsignal(signal.SIGCHLD) == handler
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_worker_that_the_caller_has_reaped_is_not_signalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    getpid = FunctionRef.of(os.getpid)
    assert getpid is not None
    signalled: list[int] = []
    send = os.killpg

    def noted(pid: int, by: int) -> None:
        signalled.append(pid)
        send(pid, by)

    with WorkerPool() as pool:
        first = pool.call(getpid, cpu_s=1.0, wall_s=30.0)
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        # From here on its number may belong to anybody.
        monkeypatch.setattr(os, "killpg", noted)
        second = pool.call(getpid, cpu_s=1.0, wall_s=30.0)
    assert first not in signalled
    assert second in signalled


def test_a_thread_that_blocks_every_signal_gets_its_verdicts() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        verify()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


CONTEXTS = {
    "two digits, all upwards": decimal.Context(prec=2, rounding=decimal.ROUND_CEILING),
    "small exponents": decimal.Context(prec=3, Emax=9, Emin=-9, clamp=1, capitals=0),
    "everything is an error": decimal.Context(traps=list(decimal.Context().traps)),
    "nothing is an error": decimal.Context(traps=[]),
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_a_decimal_context_of_the_caller_is_neither_used_nor_touched(
    context: decimal.Context,
) -> None:
    with decimal.localcontext(context) as mine:
        before = repr(mine)
        verify(QUICK)
        assert repr(decimal.getcontext()) == before


def test_warnings_as_errors_change_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verify()


def test_a_locale_with_a_decimal_comma_changes_nothing() -> None:
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "C.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        try:
            verify(QUICK)
        finally:
            locale.setlocale(locale.LC_ALL, before)


def test_neither_descriptors_nor_processes_pile_up() -> None:
    def held() -> tuple[int, int]:
        listed = Path("/proc/self/task").glob("*/children")
        return len(os.listdir("/proc/self/fd")), sum(len(p.read_text().split()) for p in listed)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    verify()
    before = held()
    for _ in range(3):  # each kills a worker, and starts another
        verify()
    assert held() == before


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    verify()
    assert capfd.readouterr() == ("", "")


def _script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    command = [sys.executable, str(folder / "script.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_computer_algebra_stays_out_of_the_process_even_of_a_caller_who_uses_it(
    tmp_path: Path,
) -> None:
    judge = """
import sys
from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

def verify():
    said = MathVerifier(extract="whole").verify(Sample(completion="n(n-1)!", answer="n!"))
    assert said.status == "correct", said
    assert said.evidence.details["tier"] == "algebra", said

if __name__ == "__main__":
    verify()
    assert not {"sympy", "mpmath"} & set(sys.modules)
    import mpmath, sympy
    mpmath.mp.dps = 5
    sympy.core.random.seed(7)
    state = sympy.core.random.rng.getstate()
    verify()
    assert mpmath.mp.dps == 5
    assert sympy.core.random.rng.getstate() == state
"""
    done = _script(tmp_path, judge)
    assert done.returncode == 0, done.stderr


def test_no_text_has_the_callers_script_run_in_a_worker(tmp_path: Path) -> None:
    # The script has no guard, as many have none: run again in a worker it would train again.
    script = f"""
import pathlib
from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

with pathlib.Path({str(tmp_path / "runs")!r}).open("a") as file:
    file.write("run\\n")
for answer in (r"x_{{__main__}}+e^{{-1000}}", r"x_{{__mp_main__}}+e^{{-1000}}"):
    said = MathVerifier(extract="whole").verify(Sample(completion=answer, answer="1"))
    assert said.status == "incorrect", said
    assert said.evidence.details["tier"] == "algebra", said
"""
    done = _script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs").read_text() == "run\n"


def test_of_a_long_text_only_the_end_is_searched_for_an_answer_without_a_marker() -> None:
    filler = "x" * (MAX_UNMARKED + 1)
    for bare in ("The answer is 42. ", "**42** ", "$42$ ", "42 "):
        assert extract(filler + " " + bare).text in ("42", "$42$")
        assert extract(bare + filler).text is None
    for marked in (r"\boxed{42} ", "<answer>42</answer> ", "#### 42\n"):
        assert extract(marked + filler).text == "42"
    # Nor is a number cut in two where the search begins.
    assert extract("4" * (MAX_UNMARKED + 10)).text in (None, "4" * (MAX_UNMARKED + 10))
    assert extract("42" + "7" * (MAX_UNMARKED - 1) + " apples", "last_number").text is None


LONG = {
    "spaces": " " * 30_000_000,
    "display openings": r"\[" * 15_000_000,
    "digits and spaces": ("4" + " " * 15) * 2_000_000,
    "a box far before the end": r"\boxed{4}" + "x" * 30_000_000,
    "a box of everything": r"\boxed{" + "x" * 30_000_000 + "}",
    "a tag far before the end": "<answer>4</answer>" + "<" * 30_000_000,
    "a final answer that never comes": r"\boxed{4} final answer " + " " * 30_000_000,
    "headings": "#" * 30_000_000,
    "words after a box": r"\boxed{42} is" + " " * 30_000_000,
    "a hedge after a box": r"\boxed{42} or" + " " * 30_000_000,
    "a long integer": "7" * 19_000,
    "a long sum": "+".join(["123456789"] * 1900),
}


def longest_hold(run: Callable[[], object]) -> float:
    """Most processor seconds between two lines that ``run`` executes.

    One search of a regular expression, or one product of long integers, holds the interpreter's
    lock to its end; between two lines another thread may take it. Measured by the thread's own
    processor time, which stands still while a busy machine lets others run.
    """
    clock, longest = time.thread_time, 0.0
    before = clock()

    def line(*_: object) -> Any:
        nonlocal before, longest
        now = clock()
        longest = max(longest, now - before)
        before = now
        return line

    tracer, collects = sys.gettrace(), gc.isenabled()
    gc.disable()  # how long it takes depends on all that the process holds, see the next test
    sys.settrace(line)
    try:
        run()
    finally:
        sys.settrace(tracer)
        if collects:
            gc.enable()
    return longest


@pytest.fixture(scope="module")
def in_one_go() -> float:
    """How long one of the searches holds the lock over all of thirty megabytes."""
    return longest_hold(lambda: _scan.phrases(LONG["spaces"]))


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_other_threads_go_on_while_one_verifies(text: str, in_one_go: float) -> None:
    judge, sample = MathVerifier(), Sample(completion=text, answer="42")
    judge.verify(Sample(completion="4", answer="4"))
    # Three times, since a machine may stand still; what the code holds it holds each time.
    assert any(longest_hold(lambda: judge.verify(sample)) < in_one_go / 8 for _ in range(3))


MARKS = {
    "numbers": "4 " * 200_000,
    "boxes": r"\boxed{4} " * 50_000,
    "tags": "<answer>4</answer> " * 50_000,
    "hashes": "#### 4\n" * 50_000,
    "phrases": "The answer is 4. " * 20_000,
    "open boxes": r"\boxed{" * 50_000,
    "open braces": r"\boxed{" + "{" * 200_000,
}


@pytest.mark.parametrize("text", MARKS.values(), ids=MARKS)
def test_no_text_sets_off_the_garbage_collector(text: str) -> None:
    # It goes over all objects of the process, a trainer's among them, and holds the lock meanwhile.
    judge, sample = MathVerifier(), Sample(completion=text, answer="42")
    judge.verify(sample)
    rounds: list[str] = []

    def note(phase: str, _: object) -> None:
        rounds.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        judge.verify(sample)
    finally:
        gc.callbacks.remove(note)
    assert rounds.count("start") <= 3
