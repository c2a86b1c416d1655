"""Whether an answer is worth the gold: equal in value, and in a form that counts."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, Protocol

from rewardkit.verifiers.math.algebra import Algebra, Busy, OutOfTime
from rewardkit.verifiers.math.choices import chosen, letter_of, letters_of, says
from rewardkit.verifiers.math.compare import Comparer, Result
from rewardkit.verifiers.math.relations import False_, is_solved
from rewardkit.verifiers.math.tree import Op, Text
from rewardkit.verifiers.math.understood import Understood
from rewardkit.verifiers.math.values import TooLarge, Undefined, study
from rewardkit.verifiers.math.working import left_to_do

__all__ = ["Judged", "Policy", "judged"]

Judged = tuple[str, str, str]
"""Status ("correct", "incorrect", "unscorable", "infrastructure"), tier and reason."""


class Policy(Protocol):
    """What :class:`MathVerifier` is told about forms and limits."""

    @property
    def form(self) -> Literal["value", "simplified", "any"]: ...
    @property
    def cpu_s(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def undecided(self) -> Literal["incorrect", "unscorable"]: ...


def judged(answer: Understood, gold: Understood, policy: Policy) -> Judged:
    """The judgement on one answer against one gold."""
    letter = letter_of(gold.tree)
    if letter and (choice := chosen(answer.text)):
        same = choice == letter
        reason = "the choice" if same else f"{choice} is not {letter}"
        return ("correct" if same else "incorrect"), "structure", reason
    if letters := letters_of(gold.tree):
        if letters == letters_of(answer.tree):
            return "correct", "structure", "the choices"
        if isinstance(answer.tree, Op) and answer.tree.name == "or":
            return "incorrect", "structure", "one choice or another, not both"
    if isinstance(gold.tree, Text) and says(answer.text, gold.tree.words):
        return "correct", "form", "the words of the gold"
    try:
        comparer = Comparer(Fraction(policy.tolerance), Algebra(policy.cpu_s), policy.ordered)
        found = comparer.compare(answer.tree, gold.tree)
    except False_ as error:
        return "incorrect", "structure", str(error)
    except (TooLarge, Undefined) as error:
        return "incorrect", "rational", str(error)
    except OutOfTime as error:
        return "incorrect", "algebra", str(error)
    except Busy as error:
        return "infrastructure", "algebra", str(error)
    if found.equal is None and answer.normal == gold.normal != "":
        found = Result(True, "form", answer.tree, gold.tree)
    return _formed(found, answer, gold, policy)


def _formed(found: Result, answer: Understood, gold: Understood, policy: Policy) -> Judged:
    """The judgement on an equal value: does its form count?"""
    if found.equal is None:
        status = "incorrect" if policy.undecided == "incorrect" else "unscorable"
        return status, found.tier, "not decided: no tier can tell"
    if not found.equal:
        return "incorrect", found.tier, f"{answer.shown} is not {gold.shown}"
    reason = "written as the gold" if found.tier == "form" else "equal in value"
    if policy.form == "any":
        return "correct", found.tier, reason
    if found.unsolved or (is_solved(found.wanted) and not is_solved(found.judged)):
        return "incorrect", "form", "equal, but not solved"
    mine, wanted = study(found.judged), study(found.wanted)
    todo = mine.todo | left_to_do(found.judged)
    if left := sorted(todo - wanted.todo - gold.study.todo - left_to_do(found.wanted)):
        names = ", ".join(_TODO.get(kind, f"a {kind}") for kind in left)
        return "incorrect", "form", f"equal, but not worked out: {names}"
    if policy.form == "simplified" and mine.closed and not wanted.closed:
        return "incorrect", "form", "equal, but a closed form is not worked out"
    return "correct", found.tier, reason


_TODO = {
    "add": "a sum",
    "mul": "a product",
    "div": "a division",
    "prod": "a product over an index",
    "like": "like terms",
    "pow": "a power",
    "lim": "a limit",
    "int": "an integral",
    "diff": "a derivative",
    "det": "a determinant",
    "base": "a number in another base",
}
