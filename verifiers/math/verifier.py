"""Whether the answer equals the gold, as mathematics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from rewardkit.errors import MissingExtraError
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers._decimal import gold_number
from rewardkit.verifiers.extraction import THINK, Extract, Thinking, extract, gold_text, shorten
from rewardkit.verifiers.math.decimals import approximate, differ
from rewardkit.verifiers.math.grammar import MAX_LENGTH, Unsupported, parse
from rewardkit.verifiers.math.tree import Node, Num, Op, plain, write
from rewardkit.verifiers.math.values import Study, TooLarge, Undefined, study

__all__ = ["Form", "MathVerifier"]

Form = Literal["value", "simplified", "any"]
"""Which forms of an equal value count, see :class:`MathVerifier`."""

WALL_FACTOR = 20
"""The backstop in clock seconds for one CPU second of algebra: a busy machine must not decide."""


class MathVerifier(Verifier):
    r"""The answer equals the gold, as mathematics.

    Reads numbers with separators, decimals, fractions (``\frac``, ``a/b``, mixed), percent, powers
    and roots, in LaTeX, plain text and Unicode, also as ``x = ...``. Any other completion is
    incorrect, "not supported yet"; any other gold is unscorable, fault ``"dataset"``. Equality is
    exact: without tolerance, and a percentage is a hundredth of its number.

    Tiers, each of which decides or passes on: ``form`` (written the same), ``rational`` (exact
    values), ``decimal`` (certainly different at 55 digits), ``algebra`` (sympy, in a worker that is
    killed at its limit). What runs into a limit is incorrect: the completion caused it.

    Args:
        extract: where the answer is.
        form: an answer is a value, not the question again.

            - ``"value"``: no addition, subtraction, multiplication or division is left to do
              between rational values, unless the gold leaves it too. Fractions, mixed numbers,
              scientific notation, a root with a coefficient, a rational plus a root, powers and
              roots are values; ``84/2`` is a division.
            - ``"simplified"``: besides, powers and roots that come to a rational are worked out.
            - ``"any"``: equality is enough.
        cpu_s: processor seconds for algebra on one answer.
        thinking: markers of the part that is not the answer.

    Raises:
        MissingExtraError: when algebra is needed and sympy is not installed.

    Example:
        >>> math = MathVerifier()
        >>> math.verify(Sample(completion=r"\boxed{\frac{1}{2}}", answer="0.5")).status
        'correct'
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    stands_on: ClassVar[tuple[str, ...]] = ("sympy",)
    blocking: ClassVar[bool] = True

    extract: Extract = "auto"
    form: Form = "value"
    cpu_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    thinking: Thinking = THINK

    def _verify(self, sample: Sample) -> Verdict:
        gold = _gold(sample.answer)
        if isinstance(gold, str):
            return Verdict.unscorable(f"the gold answer: {gold}", fault="dataset")
        found = extract(sample.text, self.extract, self.thinking)
        if found.text is None:
            return Verdict.incorrect(found.reason, label="missing", **found.evidence)
        answer = _understood(found.text)
        if isinstance(answer, str):
            return Verdict.incorrect(answer, **found.evidence)
        verdict = self._compared(answer, gold)
        details = {"value": answer.shown, "gold": gold.shown, **verdict.evidence.details}
        return verdict.with_evidence(**{**found.evidence, "details": details})

    def _compared(self, answer: _Understood, gold: _Understood) -> Verdict:
        if answer.name and gold.name and answer.name != gold.name:
            return _no("form", f"a value of {answer.name}, not of {gold.name}")
        verdict = _equal(answer, gold, self.cpu_s)
        if verdict.status != "correct" or self.form == "any":
            return verdict
        left = sorted(answer.study.todo - gold.study.todo)
        if left:
            return _no("form", f"equal, but not worked out: {', '.join(_TODO[k] for k in left)}")
        if self.form == "simplified" and answer.study.closed and not gold.study.closed:
            return _no("form", "equal, but a power or root is not worked out")
        return verdict


@dataclass(frozen=True, slots=True)
class _Understood:
    """An answer as understood."""

    tree: Node
    name: str | None
    study: Study
    shown: str


_TODO = {"add": "a sum", "mul": "a product", "div": "a division"}


def _understood(text: str) -> _Understood | str:
    """A text as an answer, or why it is none."""
    if len(text) > MAX_LENGTH:  # before the cache, which would keep a thousand megabytes
        return f"not supported yet: longer than {MAX_LENGTH} characters"
    return _read(text)


@lru_cache(maxsize=4096)
def _read(text: str) -> _Understood | str:
    try:
        value, name = parse(text)
        return _Understood(value, name, study(value), shorten(write(value)))
    except Unsupported as error:
        return f"not supported yet: {error}"
    except (TooLarge, Undefined) as error:
        return str(error)


def _gold(answer: object) -> _Understood | str:
    if isinstance(answer, str):
        return _understood(gold_text(answer))
    value = gold_number(answer)
    if isinstance(value, Verdict):
        return value.reason
    return _exactly(value)


def _exactly(value: Fraction) -> _Understood:
    tree: Node = Num(abs(value), value.denominator == 1)
    if value < 0:
        tree = Op("neg", (tree,))
    return _Understood(tree, None, Study(value), shorten(write(tree)))


def _equal(answer: _Understood, gold: _Understood, cpu_s: float) -> Verdict:
    """Equality alone, whatever the form."""
    if answer.tree == gold.tree:
        return _yes("form", "written as the gold")
    a, b = answer.study.value, gold.study.value
    if a is not None and b is not None:
        if a == b:
            return _yes("rational", "equal in value")
        return _no("rational", f"{answer.shown} is not {gold.shown}")
    try:
        near, wanted = approximate(answer.tree), approximate(gold.tree)
    except TooLarge as error:
        return _no("decimal", str(error))
    if near is not None and wanted is not None and differ(near, wanted):
        return _no("decimal", f"{answer.shown} is not {gold.shown}")
    return _by_algebra(answer, gold, cpu_s)


def _by_algebra(answer: _Understood, gold: _Understood, cpu_s: float) -> Verdict:
    from rewardkit.sandbox import (
        FunctionRef,
        WorkerFunctionError,
        WorkerLost,
        WorkerTimeout,
        shared_pool,
    )

    if find_spec("sympy") is None:
        raise MissingExtraError("MathVerifier for irrational answers", "math", "sympy")
    # By name, so that sympy is imported in the worker and never here.
    where = "rewardkit.verifiers.math.symbolic"
    function = FunctionRef(where, "same_value", modules=((where, ""),))
    trees = (plain(answer.tree), plain(gold.tree))
    try:
        same = shared_pool().call(function, trees, cpu_s=cpu_s, wall_s=WALL_FACTOR * cpu_s)
    except WorkerTimeout as error:
        if error.limit == "cpu":
            return _no("algebra", f"not decided within {cpu_s:g} s of processor time")
        # The clock alone ran out: the machine was busy, which no completion can bring about.
        return Verdict.unscorable(f"algebra: {error}", fault="infrastructure", rule="algebra")
    except WorkerFunctionError as error:
        return _no("algebra", f"not decided: {error.type_name}")
    except WorkerLost as error:
        return Verdict.unscorable(f"algebra: {error}", fault="infrastructure", rule="algebra")
    if same:
        return _yes("algebra", "equal in value")
    reason = "not decided" if same is None else f"{answer.shown} is not {gold.shown}"
    return _no("algebra", reason)


def _yes(tier: str, reason: str) -> Verdict:
    return Verdict.correct(reason, details={"tier": tier})


def _no(tier: str, reason: str, **details: Any) -> Verdict:
    return Verdict.incorrect(reason, details={"tier": tier, **details})
