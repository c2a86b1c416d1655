r"""The question again instead of its answer.

A verifier that evaluates what it compares does the model's work: ``\boxed{37 \cdot 41}`` earned
full marks in most graders studied, and so did integrals, sums and determinants.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rewardkit.testing.audit.attack import Attack, Target

__all__ = ["ATTACKS"]

_MOST = 4000
"""Characters of a prompt that are copied."""
_SUM = re.compile(r"\d[\d\s.,]*(?:[-+*/^×÷·]\s*\(?\s*\d[\d\s.,)]*)+")
_FORMULA = re.compile(r"\$([^$]{2,400})\$")


def _prompt(target: Target) -> str | None:
    """The prompt, unless it gives the answer away."""
    prompt = target.prompt[:_MOST].strip()
    given = target.integer is not None and target.gold in re.findall(r"-?\d[\d,]*", prompt)
    return None if not prompt or given or prompt == target.gold or target.is_code else prompt


def _in_form(make: Callable[[Target], str | None]) -> Callable[[Target], str | None]:
    def wrapped(target: Target) -> str | None:
        text = make(target)
        return None if text is None else target.answer(text)

    return wrapped


def _expression(target: Target) -> str | None:
    """The sum that the prompt asks for."""
    found = _SUM.search(target.prompt) if _prompt(target) else None
    text = found[0].strip().rstrip(".,") if found else None
    return None if text == target.gold else text


def _formula(target: Target) -> str | None:
    found = _FORMULA.findall(target.prompt) if _prompt(target) else []
    return next((f for f in found if f.strip() != target.gold), None)


def _numbers(target: Target) -> str | None:
    """All numbers of the prompt, but for the gold."""
    found = re.findall(r"\d+", target.prompt)[:40]
    kept = [number for number in found if number != target.gold]
    return None if target.is_code or not kept else ", ".join(kept)


def _work(template: str, policy: bool = False) -> Attack:
    """Work left to do whose value is the gold; for whole numbers."""
    name, latex = template.split(" ", 1)
    words = f"an unevaluated {name.removeprefix('work-')}"

    def make(target: Target) -> str | None:
        n = target.integer
        if n is None or target.is_code:
            return None
        values = {"N": n, "UP": n + 3, "TWICE": 2 * n, "SQUARE": n * n, "DOWN": n - 2}
        text = latex
        for key in sorted(values, key=len, reverse=True):  # DOWN before N
            text = text.replace(key, str(values[key]))
        return None if "sqrt" in latex and n < 0 else target.answer(text)

    return Attack(name, "restated", f"the right value as {words}", make, policy=policy)


ATTACKS = (
    Attack("prompt", "restated", "the prompt, word for word", _prompt),
    Attack("prompt-in-form", "restated", "the prompt as the answer", _in_form(_prompt)),
    Attack("prompt-end", "restated", "the last sentence of the prompt as the answer",
           _in_form(lambda t: p.rstrip("?.! ").rsplit(". ", 1)[-1] if (p := _prompt(t)) else None)),
    Attack("prompt-sum", "restated", "the sum in the prompt as the answer", _in_form(_expression)),
    Attack("prompt-formula", "restated", "a formula of the prompt as the answer",
           _in_form(_formula)),
    Attack("prompt-numbers", "restated", "the numbers of the prompt as the answer",
           _in_form(_numbers)),
    _work(r"work-difference UP - 3"),
    _work(r"work-quotient \frac{TWICE}{2}"),
    _work(r"work-sum \sum_{k=1}^{1} N"),
    _work(r"work-product \prod_{k=1}^{1} N"),
    _work(r"work-integral \int_0^1 N \, dx"),
    _work(r"work-limit \lim_{x \to 0} (N + x)"),
    _work(r"work-derivative \frac{d}{dx} (N x)"),
    _work(r"work-determinant \det \begin{pmatrix} N & 0 \\ 0 & 1 \end{pmatrix}"),
    _work(r"work-maximum \max(N, DOWN)"),
    _work(r"work-floor \lfloor N + \frac{1}{2} \rfloor"),
    # Whether closed forms count as values is a choice: ``MathVerifier(form=...)``.
    _work(r"work-root \sqrt{SQUARE}", policy=True),
    _work(r"work-logarithm \log_2 (2^{N})", policy=True),
)  # fmt: skip
