"""Promise: the same pair gets the same verdict wherever and whenever it is judged.

A hundred pairs are judged in the main thread, and again in threads, asyncio, processes of every
kind and after forks: status, fault, rule, reason, span, tier and both values must be the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier
from rewardkit.verifiers.math import algebra

# A module of its own: what a spawned process, a fresh interpreter or a cluster imports by name.
JUDGING = """
import json
import sys

from rewardkit import Sample
from rewardkit.verifiers import MathVerifier

JUDGE = MathVerifier(extract="whole", cpu_s=0.5)


def told(verdict):
    e = verdict.evidence
    kept = [verdict.status, verdict.fault, verdict.label, verdict.reason, e.rule, e.span, e.text]
    return json.dumps([*kept, dict(e.details or {})])


def judged(pairs):
    samples = [Sample(completion=text, answer=gold) for gold, text in pairs]
    return [told(JUDGE.verify(sample)) for sample in samples]


def send(connection, pairs):
    connection.send(judged(pairs))


if __name__ == "__main__":
    print(json.dumps(judged(json.load(sys.stdin))))
"""

ORDINARY = [
    ("42", "42"),
    ("42", "43"),
    ("1234", "1,234"),
    ("1234567", "1 234 567"),
    ("-5", "−5"),
    ("0.5", r"\frac{1}{2}"),
    ("5/2", "x = 2 1/2"),
    ("1/3", "0.333"),
    ("1/6", r"0.1\overline{6}"),
    ("0.1", r"10\%"),
    ("6.02e23", r"6.02 \times 10^{23}"),
    ("4210_7", "4210_5"),
    ("1234.5", r"\$1,234.50"),
    ("5 km", "5000 m"),
    ("5 km", "5 cm"),
    ("200 minutes", "3 hours 20 minutes"),
    (r"\frac{\pi}{6}", r"30^\circ"),
    (r"2\sqrt{2}", r"\sqrt{8}"),
    (r"\frac{\sqrt{3}}{2}", r"\sin 60^\circ"),
    (r"\log 25", r"2\log 5"),
    (r"3\ln 2", r"\ln 8"),
    (r"\frac{\pi}{4}", r"\arctan 1"),
    (r"\frac{n(n-1)}{2}", r"\binom{n}{2}"),
    ("2i", "(1+i)^2"),
    ("3, -3", r"\pm 3"),
    ("x^2+2x+1", "(x+1)^2"),
    ("x^2+2x+1", "(x-1)^2"),
    (r"\frac{y-x}{xy}", r"\frac{1}{x}-\frac{1}{y}"),
    (r"2 \sin x \cos x", r"\sin 2x"),
    ("r^2", "R^2"),
    ("2x - y + 1 = 0", "y = 2x+1"),
    ("x^2+4=0", "x^2+1=0"),
    ("x = 5", "x+2 = 7"),
    ("x > 3", "3 < x"),
    ("x > 3", r"x \ge 3"),
    ("(1, 3)", "1 < x < 3"),
    (r"(-\infty, 3) \cup (3, \infty)", r"x \in \mathbb{R}, x \ne 3"),
    (r"\{1, 2\}", r"\{2, 1\}"),
    ("1, 2, 2", "1, 1, 2"),
    ("4", "1, 2, 3, 4"),
    ("(1, 2)", "(2, 1)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]"),
    ("2:4", "1:2"),
    ("B", "(B) 42"),
    ("B", "A or B"),
    (r"\text{even}", "Even"),
    ("3:30 PM", "15:30"),
    ("2020-03-04", "March 4, 2020"),
    ("42", "84/2"),
    ("12", r"\gcd(84, 36)"),
    (r"\foo", "3"),
    ("42", "no number here"),
]
# Most of these reach computer algebra in the worker, and need far less than its budget.
SYMBOLIC = [
    ("n!", "n(n-1)!"),
    ("(n+1)!", "(n+1)n!"),
    ("(n+2)(n+1)", r"\frac{(n+2)!}{n!}"),
    ("1", "1+e^{-1000}"),
    ("1", r"\cos(10^{-40})"),
    ("0", r"\sqrt{10^{400}+1}-10^{200}"),
    ("1", r"\tanh 100"),
    ("10^{-40}", r"\sin(10^{-40})"),
    (r"\pi/2", r"\arctan(10^{100})"),
    (r"\frac{5}{12}", "(n+1)!-1"),
    (r"\binom{3n}{n}", r"97\pi"),
    ("(n+4)!-9", "1089"),
    (r"52^\circ", "(n+3)!-9"),
    ("3^{12}", "(n+5)!-5"),
    (r"\binom{7n}{n}", "373.25"),
    ("1", r"\lim_{x\to 0}\frac{\sin x}{x}"),
]
HOSTILE = [
    ("42", "9^{9^{9^9}}"),
    ("42", "(10^{10^{10}})!"),
    ("42", "3^{30000000}"),
    ("e", r"\left(1+\frac{1}{10^{9}}\right)^{10^{9}}"),
    ("42", "((((3!)!)!)!)"),
    (r"\frac{1}{20006!}", r"\frac{1}{20004!}"),
    ("5", "(" * 500 + "5" + ")" * 500),
    (r"\frac{1}{2}", r"\frac{1}{1+" * 200 + "1" + "}" * 200),
    ("2", r"\sqrt{2+" * 35 + "2" + "}" * 35),
    ("42", "1" + "+1" * 4999),
    ("42", ",".join(map(str, range(5000)))),
    ("x^{10^9}+1", "(x+1)^{10^6}"),
    ("262537412640768744", r"e^{\pi\sqrt{163}}"),
    ("42", "1e999999999"),
    ("5", "-" * 10_000 + "5"),
    ("42", "{" * 20_000),
    ("42", "\0" * 20_000),
    ("42", "\ud800 4\u202e2"),
    ("65536", r"\log_2(2^{2^{2^{2^{2^2}}}})"),
    ("42", r"\int_0^1 " * 12 + "x" + " dx" * 12),
    # These two run into the budget, and their worker is killed.
    ("42", r"\sum_{k=1}^{10^{12}} \frac{1}{k^2}"),
    ("42", r"\prod_{k=1}^{100000} \sin k"),
]
PAIRS = ORDINARY + SYMBOLIC + HOSTILE
LEAN = PAIRS[:-2] + PAIRS[-1:]
"""All but one of those that kill a worker, where many go over them."""
FEW = ORDINARY[::6] + SYMBOLIC[::3] + HOSTILE[::4] + HOSTILE[-1:]

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module above, as a file that every process started from here finds."""
    folder = tmp_path_factory.mktemp("identity")
    (folder / "judging_of_pairs.py").write_text(JUDGING)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("judging_of_pairs")
        del sys.modules["judging_of_pairs"]


@pytest.fixture(scope="module")
def expected(judging: ModuleType) -> dict[tuple[str, str], str]:
    """What the main thread says."""
    return dict(zip(PAIRS, judging.judged(PAIRS), strict=True))


def _differ(got: list[str], pairs: list[tuple[str, str]], expected: dict[Any, str]) -> list[Any]:
    """Pairs that were judged otherwise than in the main thread."""
    assert len(got) == len(pairs)
    rows = zip(pairs, got, strict=True)
    return [(pair, said, expected[pair]) for pair, said in rows if said != expected[pair]]


def test_the_pairs_are_varied_and_reach_every_tier(expected: dict[Any, str]) -> None:
    said = [json.loads(told) for told in expected.values()]
    tiers = {row[-1].get("tier") for row in said}
    assert tiers >= {"form", "rational", "structure", "digits", "algebra"}
    assert {row[0] for row in said} == {"correct", "incorrect", "unscorable"}
    assert sum(json.loads(expected[pair])[-1]["tier"] == "algebra" for pair in SYMBOLIC) >= 8
    assert sum("not decided within" in row[3] for row in said) == 2
    assert all(json.loads(expected[pair])[0] == "incorrect" for pair in HOSTILE[-2:])


def test_order_does_not_matter(judging: ModuleType, expected: dict[Any, str]) -> None:
    backwards = LEAN[::-1]
    assert _differ(judging.judged(backwards), backwards, expected) == []


def test_many_threads_at_once(judging: ModuleType, expected: dict[Any, str]) -> None:
    turns = [LEAN[k:] + LEAN[:k] for k in range(0, len(LEAN), 24)]
    start = threading.Barrier(len(turns))

    def work(pairs: list[tuple[str, str]]) -> list[str]:
        start.wait()
        return judging.judged(pairs)  # type: ignore[no-any-return]

    with ThreadPoolExecutor(len(turns)) as pool:
        for turn, got in zip(turns, pool.map(work, turns), strict=True):
            assert _differ(got, turn, expected) == []


def test_asyncio_one_by_one_and_as_a_batch(judging: ModuleType, expected: dict[Any, str]) -> None:
    samples = [Sample(completion=text, answer=gold) for gold, text in LEAN]

    async def both() -> tuple[list[Any], list[Any]]:
        alone = await asyncio.gather(*(judging.JUDGE.averify(sample) for sample in samples))
        return alone, await judging.JUDGE.averify_many(samples)

    for verdicts in asyncio.run(both()):
        assert _differ([judging.told(v) for v in verdicts], LEAN, expected) == []


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(
    judging: ModuleType, expected: dict[Any, str], method: str, daemon: bool
) -> None:
    context: Any = multiprocessing.get_context(method)
    here, there = context.Pipe(duplex=False)
    pairs = LEAN if (method, daemon) == ("spawn", False) else FEW
    process = context.Process(target=judging.send, args=(there, pairs), daemon=daemon)
    process.start()
    try:
        assert here.poll(120)
        assert _differ(here.recv(), pairs, expected) == []
    finally:
        process.join(10)
        process.kill()
        process.join()


def test_a_pool_of_processes(judging: ModuleType, expected: dict[Any, str]) -> None:
    context = multiprocessing.get_context("spawn")
    halves = [FEW[::2], FEW[1::2]]
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for half, got in zip(halves, pool.map(judging.judged, halves), strict=True):
            assert _differ(got, half, expected) == []


@pytest.mark.parametrize(
    ("flags", "environment", "pairs"),
    [
        ((), {"PYTHONHASHSEED": "1"}, LEAN),
        (("-O", "-W", "error"), {"PYTHONHASHSEED": "2", "PYTHONWARNINGS": "error"}, FEW),
        (("-X", "int_max_str_digits=640"), {"LC_ALL": "C", "PYTHONUTF8": "0"}, ORDINARY + FEW),
    ],
    ids=["another hash seed", "optimised, warnings are errors", "short integers, C locale"],
)
def test_a_fresh_interpreter(
    judging: ModuleType,
    expected: dict[Any, str],
    flags: tuple[str, ...],
    environment: dict[str, str],
    pairs: list[tuple[str, str]],
) -> None:
    done = subprocess.run(
        [sys.executable, *flags, str(judging.__file__)],
        input=json.dumps(pairs),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert _differ(json.loads(done.stdout), pairs, expected) == []


def _in_a_fork(call: Any) -> Any:
    """What a call gives in a fork of this process, made by ``os.fork`` itself."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), open(writer, "w") as out:
            json.dump(call(), out)
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        ended, _, _ = select.select([answer], [], [], 60)
        if not ended:
            os.kill(child, signal.SIGKILL)
        said = answer.read()
    os.waitpid(child, 0)
    assert ended, "the fork hangs"
    return json.loads(said)


@FORKS
def test_a_fork_of_a_warm_process_and_a_fork_of_that(
    judging: ModuleType, expected: dict[Any, str]
) -> None:
    judging.judged(SYMBOLIC[:1])  # the worker is warm
    children = _in_a_fork(lambda: [judging.judged(FEW), _in_a_fork(lambda: judging.judged(FEW))])
    for got in (*children, judging.judged(FEW)):
        assert _differ(got, FEW, expected) == []


@FORKS
def test_forks_while_other_threads_verify(judging: ModuleType, expected: dict[Any, str]) -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            judging.judged(SYMBOLIC[3:9])

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            got = _in_a_fork(lambda: judging.judged(SYMBOLIC[:6]))
            assert _differ(got, SYMBOLIC[:6], expected) == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@FORKS
def test_a_fork_while_another_thread_is_getting_the_workers(
    judging: ModuleType, expected: dict[Any, str]
) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with algebra._lock:
            held.set()
            done.wait(120)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        got = _in_a_fork(lambda: judging.judged(SYMBOLIC[:2]))  # hangs on an inherited lock
    finally:
        done.set()
        thread.join()
    assert _differ(got, SYMBOLIC[:2], expected) == []


def test_a_stack_that_is_nearly_full_decides_nothing(
    judging: ModuleType, expected: dict[Any, str]
) -> None:
    nested = ("5", "(" * 30 + "5" + ")" * 30)

    def down(levels: int) -> list[str]:
        return down(levels - 1) if levels else judging.judged([nested, *FEW])

    deep = down(sys.getrecursionlimit() - len(list(_frames())) - 60)
    shallow = judging.judged([nested])  # nor may what was found there be remembered
    assert json.loads(deep[0])[0] == json.loads(shallow[0])[0] == "correct"
    assert _differ(deep[1:], FEW, expected) == []


def _frames() -> Iterator[Any]:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


@pytest.mark.slow
def test_tasks_and_actors_of_ray(judging: ModuleType, expected: dict[Any, str]) -> None:
    ray: Any = pytest.importorskip("ray", reason="needs pip install '.[dev-ray]'")
    path = os.pathsep.join(
        [str(Path(str(judging.__file__)).parent), os.environ.get("PYTHONPATH", "")]
    )
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    try:

        def task(pairs: list[tuple[str, str]]) -> list[str]:
            module = importlib.import_module("judging_of_pairs")
            return module.judged(pairs)  # type: ignore[no-any-return]

        class Actor:
            """Keeps the verifier that it was sent."""

            def __init__(self, judge: MathVerifier) -> None:
                self.judge = judge

            def judged(self, pairs: list[tuple[str, str]]) -> list[str]:
                module = importlib.import_module("judging_of_pairs")
                samples = [Sample(completion=text, answer=gold) for gold, text in pairs]
                return [module.told(verdict) for verdict in self.judge.verify_many(samples)]

        actor = ray.remote(Actor).remote(judging.JUDGE)
        jobs = [
            ray.remote(task).remote(PAIRS),
            actor.judged.remote(PAIRS),
            actor.judged.remote(FEW),
        ]
        for got, pairs in zip(ray.get(jobs, timeout=300), (PAIRS, PAIRS, FEW), strict=True):
            assert _differ(got, pairs, expected) == []
    finally:
        ray.shutdown()
