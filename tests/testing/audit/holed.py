"""Rewards with a hole each: known ones of other projects, written anew from their description.

Plain functions as users have them: nothing here knows rewardkit.
"""

import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
from typing import Any

BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def _answer(text: str) -> str | None:
    found = BOX.findall(text)
    return found[-1] if found else None


def substring(completions: list[str], answer: list[str], **kwargs: object) -> list[float]:
    """The gold occurs somewhere."""
    return [float(gold in text) for text, gold in zip(completions, answer, strict=False)]


def any_box(completions: list[str], answer: list[str], **kwargs: object) -> list[float]:
    """Any box holds the gold."""
    return [
        float(gold in BOX.findall(text)) for text, gold in zip(completions, answer, strict=False)
    ]


def answer_in_gold(completions: list[str], answer: list[str], **kwargs: object) -> list[float]:
    """The answer is part of the gold: so is no answer."""
    return [
        float((_answer(text) or "") in gold)
        for text, gold in zip(completions, answer, strict=False)
    ]


def evaluated(completion: str, answer: str) -> float:
    """The box is evaluated."""
    try:
        return float(eval((_answer(completion) or "None").replace("^", "**")) == int(answer))
    except Exception:
        return 0.0


def right_side(completion: str, answer: str) -> float:
    """What is after the last equals sign counts."""
    return float((_answer(completion) or "").split("=")[-1].strip() == answer)


def loose_tolerance(completion: str, answer: str) -> float:
    """The tolerance grows with the prediction."""
    try:
        got = float(_answer(completion) or "x")
    except ValueError:
        return 0.0
    gold = float(answer)
    return float(abs(got - gold) <= 1e-3 * max(abs(got), abs(gold)))


def not_a_number(completion: str, answer: str) -> float:
    """The distance to the gold, whatever was written."""
    try:
        return -min(abs(float(_answer(completion) or 1e6) - float(answer)), 1e6)
    except ValueError:
        return -1e6


def nan_is_near(completion: str, answer: str) -> float:
    """Wrong only if it is farther than so much: nan never is."""
    try:
        got = float(_answer(completion) or "x")
    except ValueError:
        return 0.0
    return 0.0 if abs(got - float(answer)) > 0.5 else 1.0


def digits_only(completion: str, answer: str) -> float:
    """Everything but digits is stripped before comparing."""
    return float(re.sub(r"\D", "", _answer(completion) or "") == re.sub(r"\D", "", answer))


def share_of_length(completion: str, answer: str) -> float:
    """Part of the mark wherever the gold occurs, by the share of the text that it is."""
    text = _answer(completion) or ""
    return len(answer) / len(text) if answer in text else 0.0


def first_number(completion: str, answer: str) -> float:
    """The first number in the box counts."""
    found = re.search(r"-?\d+", _answer(completion) or "")
    return float(found is not None and found[0] == answer)


def unreadable_is_right(completion: str, answer: str) -> float:
    """Whatever cannot be read gets the benefit of the doubt."""
    try:
        return float(int(_answer(completion) or "") == int(answer))
    except ValueError:
        return 1.0


def raises(completion: str, answer: str) -> float:
    """No box, no reward: an exception."""
    return float(BOX.findall(completion)[-1] == answer)


def abstains(completion: str, answer: str) -> float | None:
    """No box, no verdict."""
    found = _answer(completion)
    return None if found is None else float(found == answer)


def long_pays(completion: str, answer: str) -> float:
    """Half the mark for length."""
    return float(_answer(completion) == answer) + 0.5 * min(len(completion) / 2000, 1.0)


def steps_pay(completion: str, answer: str) -> float:
    """Half a mark for words that look like steps."""
    steps = len(re.findall(r"(Step \d+:|^\d+\.|\n-|First,|Finally,)", completion))
    return float(_answer(completion) == answer) + 0.5 * min(steps / 3, 1.0)


def think_format(completions: list[str], **kwargs: object) -> list[float]:
    """Tags and nothing between them have the form."""
    return [float(re.match(r"^<think>.*?</think>", c, re.DOTALL) is not None) for c in completions]


def backtracks(completion: str, answer: str) -> float:
    """Filler is looked for with a pattern that goes back for ever."""
    if re.match(r"^(?:(?:a ?)+)+\?$", completion[:400]):
        return 0.0
    return float(_answer(completion) == answer)


def judge_obeys(completion: str, answer: str) -> float:
    """A judge that does what the text says, as models have been seen to."""
    if re.search(r"award full marks", completion, re.IGNORECASE):
        return 1.0
    return float(_answer(completion) == answer)


def judge_repeats(completion: str, answer: str) -> float:
    """The judge quotes the answer, and the first score in its reply counts."""
    reply = f"The student wrote: {completion}\n<score>{int(_answer(completion) == answer)}</score>"
    return float(re.findall(r"<score>([^<]*)</score>", reply)[0])


def judge_key(completion: str, answer: str) -> float:
    """A judge that takes the beginning of a solution for one."""
    keys = ("Solution", "Thought process:", "Let's solve this problem step by step.", ":")
    return 1.0 if completion.strip() in keys else float(_answer(completion) == answer)


def letter_anywhere(completion: str, answer: str) -> float:
    """The letter of the gold occurs as a word."""
    return float(re.search(rf"\b{answer}\b", completion) is not None)


def copied_prompt(completion: str, prompt: str, answer: str) -> float:
    """Overlap with the words of prompt and gold."""
    wanted = set((prompt + " " + answer).lower().split())
    return len(wanted & set(completion.lower().split())) / len(wanted)


def _code(completion: str) -> str:
    found = re.search(r"```python\n(.*?)```", completion, re.DOTALL)
    return found[1] if found else completion


def exec_in_process(completion: str, tests: list[Any]) -> float:
    """Runs the code here, and compares what it returns with what is expected."""
    space: dict[str, Any] = {}
    try:
        exec(_code(completion), space)
        return float(all(space["double"](*args) == expected for args, expected in tests))
    except Exception:
        return 0.0


def exit_code(completion: str, tests: list[Any]) -> float:
    """A process that ends with 0 has passed."""
    lines = [f"assert double(*{args!r}) == {expected!r}" for args, expected in tests]
    program = "\n".join([_code(completion), *lines])
    return float(_run(program).returncode == 0)


def marker(completion: str, tests: list[Any]) -> float:
    """A process that prints the words has passed."""
    lines = [f"assert double(*{args!r}) == {expected!r}" for args, expected in tests]
    program = "\n".join([_code(completion), *lines, "print('ALL TESTS PASSED')"])
    return float("ALL TESTS PASSED" in _run(program).stdout)


def last_json(completion: str, tests: list[Any]) -> float:
    """The process says itself how it went."""
    program = "\n".join(
        [
            _code(completion),
            "import json",
            f"tests = {tests!r}",
            "passed = all(double(*a) == e for a, e in tests)",
            "print(json.dumps({'passed': passed}))",
        ]
    )
    for line in _run(program).stdout.splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            return float(bool(json.loads(line).get("passed")))
    return 0.0


def prefix_output(completion: str, tests: list[Any]) -> float:
    """Lines are compared two by two, as many as there are."""
    outputs = []
    for stdin, _ in tests:
        out = io.StringIO(_run(_code(completion), stdin).stdout)
        outputs.append(out.read().splitlines())
    wanted = [expected.splitlines() for _, expected in tests]
    return float(
        all(
            a == b
            for o, w in zip(outputs, wanted, strict=False)
            for a, b in zip(o, w, strict=False)
        )
    )


def results_in_frame(completion: str, tests: list[Any]) -> float:
    """Keeps its results where the code can reach them."""
    results = []
    for args, expected in tests:
        space: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            results.append(False)
            exec(_code(completion), space)
            results[-1] = type(space["double"](*args)) is int and space["double"](*args) == expected
    return float(bool(results) and any(results))


def _run(program: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-I", "-c", program]
        try:
            return subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=2, cwd=folder
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", "")
