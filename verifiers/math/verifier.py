"""Whether the answer equals the gold, as mathematics."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from rewardkit._arguments import Bounds
from rewardkit.sample import Sample
from rewardkit.verdict import Verdict
from rewardkit.verifier import Verifier
from rewardkit.verifiers.extraction import (
    AUTO_MATH,
    THINK,
    Boxes,
    Extract,
    Extraction,
    Retraction,
    Thinking,
    extract,
)
from rewardkit.verifiers.math.golds import golds
from rewardkit.verifiers.math.tree import Node, Num, Op, Text, walk
from rewardkit.verifiers.math.understood import Understood, understood

__all__ = ["Form", "MathVerifier"]

Form = Literal["value", "simplified", "any"]
"""Which forms of an equal value count, see :class:`MathVerifier`."""


class MathVerifier(Verifier):
    r"""The answer equals the gold, as mathematics.

    Reads LaTeX, plain text and Unicode by a grammar of our own; the table of what it knows is in
    the documentation. Of a formula with a box in it, the side that the box stands in is the answer.
    Equality is exact unless a tolerance is given; a gold of ten digits or more stands for the exact
    value that it is the rounding of. A percentage is a hundredth of its number, and a gold in
    percent may be answered by the number.

    Tiers, each of which decides or passes on: ``form`` (written the same), ``rational`` (exact
    values), ``structure`` (part by part: sets, intervals, relations, matrices, words), ``digits``
    (fifty digits and more at seeded points), ``algebra`` (sympy on a tree of ours, in a worker that
    is killed at its limit). What runs into a limit is incorrect: the completion caused it.

    Args:
        extract: where the answer is.
        form: an answer is a value, not the question again.

            - ``"value"``: no operator is left unevaluated (sum, product, integral, limit,
              derivative, gcd, mod, floor, determinant), no addition, subtraction, multiplication
              or division is left to do between rational values, no like terms or matrices to be
              added, and no relation left unsolved, unless the gold has it too. Closed forms
              (powers, roots, factorials, binomials, sines, logarithms) are values, and so are
              polynomials however factored; ``84/2`` is a division.
            - ``"simplified"``: besides, closed forms that come to a rational are worked out.
            - ``"any"``: equality is enough.
        cpu_s: processor seconds for algebra on one answer.
        thinking: markers of the part that is not the answer.
        boxes: which of several boxes counts: the ``"last"``, since a correction is honest, or the
            ``"only"`` one. Boxes joined by commas, "and" or "or" are one list.
        retraction: ``"refuse"`` an answer that is taken back after it ("actually no") or that
            shares its place with another ("or maybe 4"), or ``"ignore"`` that.
        tolerance: greatest distance of a number from the gold, relative to the gold alone, so that
            a huge answer cannot widen it; 0 for exact.
        ordered: whether values in a list without brackets ("2, 3") must come in the gold's order.
            Names ("x = 2, y = 3") put them in order by themselves, and brackets always keep it.
        undecided: the verdict where no tier can tell. The completion caused it, and writing what
            nobody can decide must not pay: ``"incorrect"``, unless you would rather look at them.

    The gold is text, a number, an expression of sympy, or a list of accepted answers. One that
    cannot be read is unscorable, fault ``"dataset"``.

    Raises:
        MissingExtraError: when algebra is needed and sympy is not installed.

    Example:
        >>> math = MathVerifier()
        >>> math.verify(Sample(completion=r"\boxed{\frac{1}{2}}", answer="0.5")).status
        'correct'
    """

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    traits: ClassVar[frozenset[str]] = frozenset({"answer", "whitespace", "thinking"})
    stands_on: ClassVar[tuple[str, ...]] = ("sympy",)
    blocking: ClassVar[bool] = True
    version: ClassVar[str] = "4"

    extract: Extract = "auto"
    form: Form = "value"
    cpu_s: Annotated[float, Bounds(gt=0)] = 1.0
    thinking: Thinking = THINK
    boxes: Boxes = "last"
    retraction: Retraction = "refuse"
    tolerance: Annotated[float, Bounds(ge=0, lt=1)] = 0.0
    ordered: bool = False
    undecided: Literal["incorrect", "unscorable"] = "incorrect"

    def _verify(self, sample: Sample) -> Verdict:
        try:
            return self._judge(sample)
        except RecursionError:
            return _on_a_stack_of_its_own(self._judge, sample)

    def _judge(self, sample: Sample) -> Verdict:
        accepted = golds(sample.answer)
        if isinstance(accepted, str):
            return Verdict.unscorable(f"the gold answer: {accepted}", fault="dataset")
        found = self._found(sample.text)
        if found.text is None:
            return Verdict.incorrect(found.reason, label="missing", **found.evidence)
        answer = understood(found.text)
        if isinstance(answer, str):
            from rewardkit.verifiers.math.sentences import in_sentence

            answer = in_sentence(found.text) or answer
        if isinstance(answer, str):
            from rewardkit.verifiers.math.choices import letter_of, words_only

            if not any(letter_of(gold.tree) for gold in accepted):
                return Verdict.incorrect(answer, **found.evidence)
            answer = words_only(found.text)
        status, tier, reason, gold = self._best(answer, accepted)
        if status == "incorrect" and (
            not (_is_number(answer.tree) and _are_numbers(accepted))
            or _is_percentage(sample.text, found)
        ):
            second = self._read_again(sample.text, found, answer, accepted)
            status, tier, reason, gold = second or (status, tier, reason, gold)
        if status == "correct" and (hedge := self._hedge(sample.text, found, accepted)):
            status, reason = "incorrect", f"hedged: {hedge}"
        evidence = found.evidence
        evidence["details"] = {"value": answer.shown, "gold": gold.shown, "tier": tier}
        if status == "correct":
            return Verdict.correct(reason, **evidence)
        if status == "incorrect":
            return Verdict.incorrect(reason, **evidence)
        fault: Any = "infrastructure" if status == "infrastructure" else "verifier"
        return Verdict.unscorable(reason, fault=fault, **evidence)

    def _read_again(
        self, text: str, found: Extraction, answer: Understood, accepted: list[Understood]
    ) -> tuple[str, str, str, Understood] | None:
        """What a second reading earns, if it is right."""
        # Imported by the first wrong answer that might be read in another way.
        from rewardkit.verifiers.math.readings import again

        for gold in accepted:
            if (pair := again(text, found, answer, gold)) is not None:
                judged = self._best(pair[0], [pair[1]])
                if judged[0] == "correct":
                    return judged
        return None

    def _hedge(self, text: str, found: Extraction, accepted: list[Understood]) -> str:
        """The other value that the words after the answer leave open, if it is another."""
        stop = found.span[1] if found.span else len(text)
        if stop == len(text) or self.retraction == "ignore":
            return ""
        if not _JOINED.search(text, stop, stop + 40):
            return ""
        from rewardkit.verifiers.math.hedges import alternative

        joined = alternative(text, stop)
        if joined is None:
            return ""
        joint, other = joined
        # A tenth of the budget: what the words after an answer hold must not double its cost.
        loose = replace(self, form="any", cpu_s=self.cpu_s / 10)
        if loose._best(other, accepted)[0] == "correct":
            return ""
        if joint == "and":
            return f"and {other.shown}"
        # One may be the rounding of the other: "1/3 or 0.333".
        both = understood(f"{found.text} \\approx {other.text or other.shown}")
        answer = understood(found.text or "")
        if isinstance(both, str) or isinstance(answer, str):
            return f"or {other.shown}"
        return "" if loose._judged(both, answer)[0] == "correct" else f"or {other.shown}"

    def _found(self, text: str) -> Extraction:
        how = AUTO_MATH if self.extract == "auto" else self.extract
        found = extract(text, how, self.thinking, boxes=self.boxes, retraction=self.retraction)
        if self.extract == "auto" and len(text) <= _BARE_LENGTH and found.rule in _UNMARKED:
            whole = extract(text, "whole", self.thinking, retraction=self.retraction)
            if whole.text is not None and _is_bare_answer(whole.text):
                return whole
        if found.rule in _IN_PROSE or (found.rule == "auto" and len(text) <= _BARE_LENGTH):
            from rewardkit.verifiers.math import sentences

            if found.span is not None:
                return sentences.widened(text, found)
            return sentences.alone(text, found, self.thinking, self.retraction)
        if found.rule in _BOXES:
            from rewardkit.verifiers.math.around import in_its_place

            return in_its_place(text, found)
        if found.rule in _MARKED and found.span is not None:
            from rewardkit.verifiers.math.around import measured
            from rewardkit.verifiers.math.sentences import all_bold

            return measured(text, all_bold(text, found), found.span[1])
        return found

    def _best(
        self, answer: Understood, accepted: list[Understood]
    ) -> tuple[str, str, str, Understood]:
        """The best judgement over the accepted answers: (status, tier, reason, gold)."""
        best: tuple[str, str, str, Understood] | None = None
        for gold in accepted:
            judged = (*self._judged(answer, gold), gold)
            if judged[0] == "correct":
                return judged
            if best is None or judged[0] != "incorrect":
                best = judged
        assert best is not None
        return best

    def _judged(self, answer: Understood, gold: Understood) -> tuple[str, str, str]:
        if answer.tree == gold.tree:
            return "correct", "form", "written as the gold"
        a, g = answer.study.value, gold.study.value
        if a is not None and g is not None and _is_number(answer.tree) and _is_number(gold.tree):
            # Two plain numbers, nine pairs of ten.
            if abs(a - g) <= Fraction(self.tolerance) * abs(g) if self.tolerance else a == g:
                return "correct", "rational", "equal in value"
            return "incorrect", "rational", f"{answer.shown} is not {gold.shown}"
        # Imported by the first pair that is not two numbers: many a run never has one.
        from rewardkit.verifiers.math.judging import judged

        return judged(answer, gold, self)


def _on_a_stack_of_its_own(judge: Callable[[Sample], Verdict], sample: Sample) -> Verdict:
    """Judge in a thread: the grammar's depth is bounded, so it is the caller's stack that is nearly
    full, and that must not decide."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(judge, sample).result()
        except RecursionError:
            return Verdict.incorrect("not supported: nested too deeply")


_JOINED = re.compile(
    r"\b(?:or|and|maybe|perhaps|possibly)\b|[或∨]|\\(?:lor|vee)(?![a-z])", re.IGNORECASE
)
_BARE_LENGTH = 200
"""Longest completion that may be nothing but an answer, without any marker."""
_BOXES = frozenset({"last \\boxed{}", "last boxes, as a list"})
_MARKED = frozenset({"last bold", "last formula"})
_UNMARKED = frozenset({"auto", "last bold", "last formula", "last number"})
_IN_PROSE = frozenset({"last number", 'last "answer is"'})


def _is_bare_answer(text: str) -> bool:
    """True if all of a short completion is one answer, such as ``\\frac{10}{9}`` or "41 or 42"."""
    value = understood(text)
    # Words beside the mathematics: a sentence, whose answer is found by its marks.
    return isinstance(value, Understood) and not any(isinstance(n, Text) for n in walk(value.tree))


def _is_percentage(text: str, found: Extraction) -> bool:
    """True if a percent sign or word may stand after the answer."""
    if found.span is None:
        return False
    after = text[found.span[1] : found.span[1] + 14]
    return "%" in after or "pct" in after or "per" in after


def _are_numbers(accepted: list[Understood]) -> bool:
    return all(_is_number(gold.tree) for gold in accepted)


def _is_number(tree: Node) -> bool:
    """A number written as one, signs allowed, of which nothing is left to do."""
    if isinstance(tree, Op) and tree.kind == "neg":
        tree = tree.args[0]
    return isinstance(tree, Num)
