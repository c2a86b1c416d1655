"""Whether the answer equals the gold, as mathematics."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

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
from rewardkit.verifiers.math.algebra import Algebra, Busy, OutOfTime
from rewardkit.verifiers.math.compare import Comparer, Result
from rewardkit.verifiers.math.golds import golds
from rewardkit.verifiers.math.relations import False_, is_solved
from rewardkit.verifiers.math.tree import Node, Op, Sym, Text, walk
from rewardkit.verifiers.math.understood import Understood, studied, understood
from rewardkit.verifiers.math.values import TooLarge, Undefined, study
from rewardkit.verifiers.math.words import plain_words

__all__ = ["Form", "MathVerifier"]

Form = Literal["value", "simplified", "any"]
"""Which forms of an equal value count, see :class:`MathVerifier`."""


class MathVerifier(Verifier):
    r"""The answer equals the gold, as mathematics.

    Reads LaTeX, plain text and Unicode by a grammar of our own; the table of what it knows is in
    the documentation. Equality is exact unless a tolerance is given, and a percentage is a
    hundredth of its number.

    Tiers, each of which decides or passes on: ``form`` (written the same), ``rational`` (exact
    values), ``structure`` (part by part: sets, intervals, relations, matrices, words), ``digits``
    (fifty digits and more at seeded points), ``algebra`` (sympy on a tree of ours, in a worker that
    is killed at its limit). What runs into a limit is incorrect: the completion caused it.

    Args:
        extract: where the answer is.
        form: an answer is a value, not the question again.

            - ``"value"``: no operator is left unevaluated (sum, product, integral, limit, gcd, mod,
              floor, determinant), no addition, subtraction, multiplication or division is left to
              do between rational values, and no relation left unsolved, unless the gold has it
              too. Closed forms (powers, roots, factorials, binomials, sines, logarithms) are
              values, and so are polynomials however factored; ``84/2`` is a division.
            - ``"simplified"``: besides, closed forms that come to a rational are worked out.
            - ``"any"``: equality is enough.
        cpu_s: processor seconds for algebra on one answer.
        thinking: markers of the part that is not the answer.
        boxes: which of several boxes counts: the ``"last"``, since a correction is honest, or the
            ``"only"`` one. Boxes joined by commas, "and" or "or" are one list.
        retraction: ``"refuse"`` an answer that is taken back after it ("actually no"), or
            ``"ignore"`` that.
        tolerance: greatest distance of a number from the gold, relative to the gold alone, so that
            a huge answer cannot widen it; 0 for exact.
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
    stands_on: ClassVar[tuple[str, ...]] = ("sympy",)
    blocking: ClassVar[bool] = True

    extract: Extract = "auto"
    form: Form = "value"
    cpu_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    thinking: Thinking = THINK
    boxes: Boxes = "last"
    retraction: Retraction = "refuse"
    tolerance: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    undecided: Literal["incorrect", "unscorable"] = "incorrect"

    def _verify(self, sample: Sample) -> Verdict:
        accepted = golds(sample.answer)
        if isinstance(accepted, str):
            return Verdict.unscorable(f"the gold answer: {accepted}", fault="dataset")
        found = self._found(sample.text)
        if found.text is None:
            return Verdict.incorrect(found.reason, label="missing", **found.evidence)
        answer = understood(found.text)
        if isinstance(answer, str):
            answer = _in_sentence(found.text) or answer
        if isinstance(answer, str):
            if not any(_letter_of(gold.tree) for gold in accepted):
                return Verdict.incorrect(answer, **found.evidence)
            answer = _words_only(found.text)
        status, tier, reason, gold = self._best(answer, accepted)
        if (
            status == "incorrect"
            and found.span
            and (with_percent := _percent_after(sample.text, found.span[1], answer, gold))
        ):
            status, tier, reason, gold = self._best(with_percent, [gold])
        evidence = found.evidence
        evidence["details"] = {"value": answer.shown, "gold": gold.shown, "tier": tier}
        if status == "correct":
            return Verdict.correct(reason, **evidence)
        if status == "incorrect":
            return Verdict.incorrect(reason, **evidence)
        fault: Any = "infrastructure" if status == "infrastructure" else "verifier"
        return Verdict.unscorable(reason, fault=fault, **evidence)

    def _found(self, text: str) -> Extraction:
        how = AUTO_MATH if self.extract == "auto" else self.extract
        found = extract(text, how, self.thinking, boxes=self.boxes, retraction=self.retraction)
        if self.extract == "auto" and len(text) <= _BARE_LENGTH and found.rule in _UNMARKED:
            whole = extract(text, "whole", self.thinking, retraction=self.retraction)
            if whole.text is not None and _is_bare_answer(whole.text):
                return whole
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
        if (letter := _letter_of(gold.tree)) and (chosen := _chosen(answer.text)):
            same = chosen == letter
            reason = "the choice" if same else f"{chosen} is not {letter}"
            return ("correct" if same else "incorrect"), "structure", reason
        if isinstance(gold.tree, Text) and plain_words(_unwrapped(answer.text)) == gold.tree.words:
            return "correct", "form", "the words of the gold"
        algebra = Algebra(self.cpu_s)
        try:
            found = Comparer(Fraction(self.tolerance), algebra).compare(answer.tree, gold.tree)
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
        return self._formed(found, answer, gold)

    def _formed(self, found: Result, answer: Understood, gold: Understood) -> tuple[str, str, str]:
        """The judgement on an equal value: does its form count?"""
        if found.equal is None:
            status = "incorrect" if self.undecided == "incorrect" else "unscorable"
            return status, found.tier, "not decided: no tier can tell"
        if not found.equal:
            return "incorrect", found.tier, f"{answer.shown} is not {gold.shown}"
        reason = "written as the gold" if found.tier == "form" else "equal in value"
        if self.form == "any":
            return "correct", found.tier, reason
        if found.unsolved or (is_solved(found.wanted) and not is_solved(found.judged)):
            return "incorrect", "form", "equal, but not solved"
        mine, wanted = study(found.judged), study(found.wanted)
        if left := sorted(mine.todo - wanted.todo - gold.study.todo):
            names = ", ".join(_TODO.get(kind, f"a {kind}") for kind in left)
            return "incorrect", "form", f"equal, but not worked out: {names}"
        if self.form == "simplified" and mine.closed and not wanted.closed:
            return "incorrect", "form", "equal, but a closed form is not worked out"
        return "correct", found.tier, reason


_TODO = {"add": "a sum", "mul": "a product", "div": "a division", "prod": "a product over an index"}


_STATEMENT = re.compile(
    r".{0,300}\b(?:is|are|equals|was|were|be|get|have)(?: about)?\s+(.+)", re.IGNORECASE
)


_PERCENT = re.compile(r"[}\s$\\)*]{0,6}(?:%|percent\b|per cent\b|pct\b)")


def _percent_after(text: str, end: int, answer: Understood, gold: Understood) -> Understood | None:
    """``\\boxed{42}`` percent, where the gold is a percentage."""
    if not (isinstance(gold.tree, Op) and gold.tree.kind == "percent"):
        return None
    return studied(Op("percent", (answer.tree,))) if _PERCENT.match(text, end) else None


_BARE_LENGTH = 200
"""Longest completion that may be nothing but an answer, without any marker."""
_UNMARKED = frozenset({"auto", "last bold", "last formula", "last number"})


def _is_bare_answer(text: str) -> bool:
    """True if all of a short completion is one answer, such as ``\\frac{10}{9}`` or "41 or 42"."""
    value = understood(text)
    # Words beside the mathematics: a sentence, whose answer is found by its marks.
    return isinstance(value, Understood) and not any(isinstance(n, Text) for n in walk(value.tree))


def _in_sentence(text: str) -> Understood | None:
    """The value at the end of one sentence, as in an answer tag: "The total is 42."

    Never another number of it: what follows "is" must be a value to its end.
    """
    if len(text) > 400:
        return None
    inner = extract(text, ("boxed", "phrase"), None)
    if inner.text is None and (match := _STATEMENT.fullmatch(text.strip().rstrip("."))):
        value = understood(match[1].strip().strip("$"))
    elif inner.text is not None and inner.text != text:
        value = understood(inner.text)
    else:
        return None
    return value if isinstance(value, Understood) else None


def _is_number(tree: Node) -> bool:
    """A number written as one, signs allowed, of which nothing is left to do."""
    if isinstance(tree, Op) and tree.kind == "neg":
        tree = tree.args[0]
    return not isinstance(tree, Op | Sym | Text)


_LETTERS = frozenset("ABCDEFGHIJ")
_CHOICE = re.compile(
    r"(?:the )?(?:option|choice|answer)?\s*(?:\(([A-J])\)|([A-J])(?![A-Za-z0-9^_*/+=(-]))"
    r"(?:\s*[.:)]?\s*(?!(?:or|and)\b)(.*))",
    re.IGNORECASE | re.DOTALL,
)
_TEXTS = re.compile(r"\\text(?:bf|rm|it)?\s*\{([^{}]*)\}")


def _letter_of(tree: Node) -> str:
    """The letter of a choice, if the gold is one."""
    if isinstance(tree, Sym) and tree.name in _LETTERS:
        return tree.name
    if isinstance(tree, Text) and tree.words.strip("()").upper() in _LETTERS:
        return tree.words.strip("()").upper()
    return ""


def _unwrapped(text: str) -> str:
    text = _TEXTS.sub(r" \1 ", text).replace("~", " ").strip("{} ")
    return " ".join(text.split())


def _chosen(text: str) -> str:
    """The letter that an answer names, alone or before what it stands for."""
    text = _unwrapped(text)
    match = _CHOICE.fullmatch(text)
    if match is None:
        return ""
    rest = (match[3] or "").strip()
    bare_letter = match[2] and rest and text[match.end(2) : match.end(2) + 1] in ("", " ")
    if bare_letter or re.search(r"\([A-J]\)|\b(?:or|and|not)\b", rest):
        return ""  # "A man", "(A) or (B)"
    return (match[1] or match[2]).upper()


def _words_only(text: str) -> Understood:
    spelled = " ".join(text.split())[:300]
    return Understood(Text(plain_words(spelled)), study(Text("")), spelled, spelled, spelled)
