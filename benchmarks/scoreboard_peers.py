"""Graders of other projects as plain functions ``(completion, answer) -> float``.

Each runs in a process of its own, with its package on the path (``scoreboard.py --install``). A
package whose ``__init__`` needs what is not installed (ray, torch servers) is entered by the module
alone, which is the unchanged file of the release.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("SCOREBOARD_PEERS", str(Path(sys.prefix) / "peers")))

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "math_verify": (
        "math-verify==0.9.0", "latex2sympy2_extended==1.11.0", "antlr4-python3-runtime==4.13.2",
    ),
    "verl": ("verl==0.9.1", "pylatexenc==2.10"),
    "verifiers": ("verifiers==0.4.0",),
    "reasoning_gym": ("reasoning-gym==0.1.25",),
}  # fmt: skip
"""What is installed, each into a folder of its own and without dependencies. TRL 1.16.0 is in the
environment."""


def _path(*names: str) -> None:
    for name in names:
        folder = str((FOLDER / name).resolve())
        if folder not in sys.path:
            sys.path.append(folder)


def _module(peer: str, name: str) -> Any:
    """A module of a peer, its parent packages entered without running their ``__init__``."""
    _path(peer, "math_verify")
    parts = name.split(".")
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if package not in sys.modules:
            made = types.ModuleType(package)
            made.__path__ = [str((FOLDER / peer / Path(*parts[:end])).resolve())]
            sys.modules[package] = made
    return importlib.import_module(name)


def ours_math(completion: str, answer: str) -> float:
    """``MathVerifier()``"""
    return _verdict("MathVerifier", completion, answer)


def ours_number(completion: str, answer: str) -> float:
    """``NumberVerifier()``"""
    return _verdict("NumberVerifier", completion, answer)


def _verdict(name: str, completion: str, answer: str) -> float:
    import rewardkit.verifiers as verifiers
    from rewardkit import Sample

    judge = getattr(verifiers, name)()
    return float(judge.verify(Sample(completion=completion, answer=answer)).status == "correct")


def math_verify(completion: str, answer: str) -> float:
    """math-verify 0.9.0, the gold in a box"""
    _path("math_verify")
    from math_verify import parse, verify

    return float(verify(parse(f"\\boxed{{{answer}}}"), parse(completion)))


def trl_accuracy(completion: str, answer: str) -> float | None:
    """TRL 1.16.0, ``accuracy_reward``, the gold in dollars"""
    _path("math_verify")
    from trl.rewards import accuracy_reward

    chat = [[{"role": "assistant", "content": completion}]]
    found: list[float | None] = accuracy_reward(chat, solution=[f"${answer}$"])
    return found[0]


def verl_math_reward(completion: str, answer: str) -> float:
    """verl 0.9.1, ``math_reward``"""
    return float(_verl("math_reward").compute_score(completion, answer))


def verl_math_dapo(completion: str, answer: str) -> float:
    """verl 0.9.1, ``math_dapo`` with its strict box"""
    found = _verl("math_dapo").compute_score(completion, answer, strict_box_verify=True)
    return float(found["acc"])


def verl_gsm8k(completion: str, answer: str) -> float:
    """verl 0.9.1, ``gsm8k``"""
    return float(_verl("gsm8k").compute_score(completion, answer))


def verl_math_verify(completion: str, answer: str) -> float:
    """verl 0.9.1, ``math_verify``, its check called in this process"""
    check = _verl("math_verify")._verify_in_subprocess
    return float(check(f"\\boxed{{{answer}}}", completion))


def verl_prime_math(completion: str, answer: str) -> float:
    """verl 0.9.1, ``prime_math``"""
    found = _verl("prime_math").compute_score(completion, answer)
    return float(found[0] if isinstance(found, tuple) else found)


@cache
def _verl(name: str) -> Any:
    return _module("verl", f"verl.utils.reward_score.{name}")


def verifiers_boxed(completion: str, answer: str) -> float:
    """verifiers 0.4.0, ``verify_boxed_math_answer``"""
    return float(_verifiers().verify_boxed_math_answer(completion, answer))


@cache
def _verifiers() -> Any:
    _path("math_verify")
    errors = types.ModuleType("verifiers.v1.errors")
    errors.SandboxError = RuntimeError  # type: ignore[attr-defined]
    sys.modules["verifiers.v1.errors"] = errors
    return _module("verifiers", "verifiers.v1.utils.score")


def reasoning_gym_default(completion: str, answer: str) -> float:
    """reasoning-gym 0.1.25, ``extract_answer`` and the default ``score_answer``"""
    utils = _module("reasoning_gym", "reasoning_gym.utils")
    found = utils.extract_answer(completion)
    dataset = _module("reasoning_gym", "reasoning_gym.dataset").ProceduralDataset
    return float(dataset.score_answer(object(), found, {"answer": answer}))


PEERS = (
    "ours_math", "ours_number", "math_verify", "trl_accuracy", "verl_math_reward",
    "verl_math_dapo", "verl_gsm8k", "verl_math_verify", "verl_prime_math", "verifiers_boxed",
    "reasoning_gym_default",
)  # fmt: skip
