"""What a rubric adds to the functions in it: microseconds per part over a bare loop.

Both sides call the same functions on the same samples, in turns within one process. The rubric
also times every part, checks every value, and builds a score that explains itself.

    python benchmarks/overhead.py
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from _record import record, spread

from rewardkit import Rubric, Sample, Verifier
from rewardkit.verifiers import NumberVerifier, TagFormat

PARTS, SAMPLES, ROUNDS = 5, 2000, 15


def length(completion: str) -> float:
    return float(len(completion))


def equal(completion: str, answer: str) -> float:
    return float(completion == answer)


def level(completion: str, level: int) -> float:
    return float(len(completion) > level)


def words(completion: str) -> float:
    return float(completion.count(" "))


def with_rest(completion: str, **columns: object) -> float:
    return float(len(columns))


FUNCTIONS: dict[str, Callable[..., float]] = {
    f.__name__: f for f in (length, equal, level, words, with_rest)
}


def bare_loop(samples: list[Sample]) -> list[float]:
    """The loop that a user would write."""
    totals = []
    for s in samples:
        columns = {"answer": s.answer, "prompt": s.prompt, **s.columns}
        total = length(completion=s.text)
        total += equal(completion=s.text, answer=s.answer)
        total += level(completion=s.text, level=s.columns["level"])
        total += words(completion=s.text)
        total += with_rest(completion=s.text, **columns)
        totals.append(total)
    return totals


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    start = process_time()
    call()
    return process_time() - start


def main() -> None:
    """Measure, print and record."""
    text = "<think>12+30</think><answer>42</answer>"
    samples = [
        Sample(completion=text, answer="42", prompt="12+30", columns={"level": i % 9})
        for i in range(SAMPLES)
    ]
    functions = Rubric(**FUNCTIONS)
    verifiers: dict[str, Verifier] = {
        "format": TagFormat("<think>...</think><answer>...</answer>"),
        "answer": NumberVerifier(extract="answer"),
    }
    judged = Rubric(**verifiers).silence("form-outweighs-answer")
    assert [s.total for s in functions.score_many(samples)] == bare_loop(samples)
    batch, single, verified = [], [], []
    for _ in range(ROUNDS):
        base = seconds(lambda: bare_loop(samples))
        batch.append((seconds(lambda: functions.score_many(samples)) - base) / SAMPLES / PARTS)
        alone = seconds(lambda: [functions.score(s) for s in samples])
        single.append((alone - base) / SAMPLES / PARTS)
        base = seconds(lambda: [v.verify(s) for v in verifiers.values() for s in samples])
        verified.append((seconds(lambda: judged.score_many(samples)) - base) / SAMPLES / 2)
    result = {
        "unit": "microseconds of processor time per part, over a bare loop of the same calls",
        "functions, one batch of 2000": spread([t * 1e6 for t in batch]),
        "functions, one sample at a time": spread([t * 1e6 for t in single]),
        "verifiers, one batch of 2000": spread([t * 1e6 for t in verified]),
    }
    path = record("overhead", "python benchmarks/overhead.py", ["rewardkit", "pydantic"], result)
    for name, value in result.items():
        print(f"{name}: {value}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
