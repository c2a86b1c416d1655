"""The graders that are compared: (gold, completion) -> accepted."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from rewardkit import Sample

Grader = Callable[[str, str], bool]
"""(gold, completion) -> whether the completion is accepted."""

CHOICES = ("A", "B", "C", "D", "E")


def ours(gold: str, completion: str) -> bool:
    """The verifier of this project with its defaults."""
    verdict = _ours("value").verify(Sample(completion=completion, answer=gold))
    return bool(verdict.status == "correct")


def ours_simplified(gold: str, completion: str) -> bool:
    """The same under the strictest answer form."""
    verdict = _ours("simplified").verify(Sample(completion=completion, answer=gold))
    return bool(verdict.status == "correct")


@cache
def _ours(form: Any) -> Any:
    # Imported at the first call: a process that measures the peer must not pay for ours.
    from rewardkit.verifiers import MathVerifier

    return MathVerifier(form=form)


def peer(gold: str, completion: str) -> bool:
    r"""math-verify 0.9.0 as its readme says, the gold wrapped in ``\boxed`` as verl does.

    Choices get its configuration for strings first, which is more than its defaults give.
    """
    from math_verify import parse, verify

    if gold.strip("()") in CHOICES and _peer_choice(gold.strip("()"), completion):
        return True
    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(completion)))


def _peer_choice(letter: str, completion: str) -> bool:
    from math_verify import StringExtractionConfig, parse, verify

    config = [StringExtractionConfig(strings=CHOICES)]
    return bool(verify(parse(letter, config), parse(completion, config)))


def peer_without_limits(gold: str, completion: str) -> bool:
    """The same with its time limits off, the only way it runs outside the main thread."""
    from math_verify import parse, verify

    parsed = [parse(t, parsing_timeout=None) for t in (f"\\boxed{{{gold}}}", completion)]
    return bool(verify(parsed[0], parsed[1], timeout_seconds=None))
