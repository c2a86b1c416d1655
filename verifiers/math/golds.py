"""Golds: text, numbers, lists of accepted answers, expressions of sympy."""

from __future__ import annotations

import numbers
import re
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rewardkit.verdict import Verdict
from rewardkit.verifiers._decimal import gold_number
from rewardkit.verifiers.extraction import extract, gold_text
from rewardkit.verifiers.math.tree import Node, Op, Sym, number
from rewardkit.verifiers.math.understood import Understood, studied, understood
from rewardkit.verifiers.math.values import TooLarge, Undefined, study

__all__ = ["MAX_GOLDS", "golds"]

MAX_GOLDS = 64
"""Most accepted answers of one row."""


def golds(answer: object) -> list[Understood] | str:
    """The accepted answers, or why there is none that can be judged."""
    if isinstance(answer, list | tuple):
        if not 0 < len(answer) <= MAX_GOLDS:
            return f"a list of {len(answer)} accepted answers (1 to {MAX_GOLDS})"
        found = [_one(item) for item in answer]
        read = [gold for gold in found if isinstance(gold, Understood)]
        if len(read) < len(found):
            # One that cannot be read might be the one that the answer equals.
            return next(gold for gold in found if isinstance(gold, str))
        return read
    gold = _one(answer)
    return gold if isinstance(gold, str) else [gold]


def _one(answer: object) -> Understood | str:
    if isinstance(answer, str):
        return _text(answer)
    if _is_sympy(answer):
        try:
            return studied(_tree(answer, 0))
        except (TypeError, ValueError) as error:
            return f"an expression of sympy that is not read: {error}"
    if isinstance(answer, complex):
        return "a complex float: write it as text"
    if not isinstance(answer, numbers.Number | Decimal) or isinstance(answer, bool):
        value: Any = gold_number(answer)
    else:
        value = gold_number(answer)
    if isinstance(value, Verdict):
        return value.reason.removeprefix("the gold answer is ")
    return studied(number(Fraction(value)))


def _text(answer: str) -> Understood | str:
    """A gold in text: the answer alone, at the end of a solution, or in a sentence."""
    text = gold_text(answer)
    if len(text) < len(answer) and ("boxed" in answer or "fbox" in answer):
        text = _boxed(answer, text)
    found = understood(text)
    if isinstance(found, str) and text == answer.strip():
        from rewardkit.verifiers.math.sentences import marked

        found = marked(text) or found
    if not isinstance(found, str) and _is_false(found.tree):
        return "an equation that does not hold"
    return found


def _boxed(answer: str, text: str) -> str:
    """The gold in a box, with what belongs to it and stands outside of the box."""
    from rewardkit.verifiers.math.around import in_its_place

    box = extract(answer, "boxed", None)
    if box.text != text or box.span is None:
        return text
    placed = in_its_place(answer, box).text or text
    return f"{text}\\%" if placed == text and _PERCENT_AFTER.match(answer, box.span[1]) else placed


def _is_false(tree: Node) -> bool:
    """True for numbers set equal that are not: ``43 = 42``, ``x = 3 = 5``."""
    if not (isinstance(tree, Op) and tree.kind == "rel" and set(tree.name) <= {"=", ","}):
        return False
    try:
        values = {study(side).value for side in tree.args} - {None}
    except (TooLarge, Undefined):
        return False
    return len(values) > 1


_PERCENT_AFTER = re.compile(r"[}\s$)*]{0,6}\\?(?:%|percent\b|per cent\b)")


def _is_sympy(answer: object) -> bool:
    """True for an object of sympy; nobody has one without having imported it."""
    sympy = sys.modules.get("sympy")
    return sympy is not None and isinstance(answer, sympy.Basic | sympy.MatrixBase)


_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan", "sinh", "cosh", "tanh"}
)
_NAMED = {"Pi": "pi", "Exp1": "e", "ImaginaryUnit": "i", "Infinity": "inf"}
_RELATIONS = {
    "Equality": "=", "Unequality": "!=", "StrictLessThan": "<", "LessThan": "<=",
    "StrictGreaterThan": ">", "GreaterThan": ">=",
}  # fmt: skip


def _tree(expr: Any, depth: int) -> Node:
    """Our tree of an expression, by the names of its classes; nothing of it is evaluated."""
    if depth > 40:
        raise ValueError("nested too deeply")
    name = type(expr).__name__
    if getattr(expr, "is_Rational", False):
        return number(Fraction(int(expr.p), int(expr.q)))
    if name == "Float":
        return number(Fraction(str(expr)))
    if name in _NAMED:
        return Sym(_NAMED[name])
    if name == "NegativeInfinity":
        return Op("neg", (Sym("inf"),))
    if name in ("Symbol", "Dummy"):
        return Sym(str(expr.name))
    if name == "EmptySet":
        return Op("set", ())
    if name == "Reals":
        return Op("reals", ())
    if "Matrix" in name:
        rows = [[_tree(cell, depth + 1) for cell in row] for row in expr.tolist()]
        return Op("matrix", tuple(Op("row", tuple(row)) for row in rows))
    args = tuple(_tree(arg, depth + 1) for arg in expr.args if not _is_flag(arg))
    return _operation(name, expr, args)


def _is_flag(arg: Any) -> bool:
    """Whether an end of an interval is open is no part of the tree."""
    return type(arg).__name__ in ("BooleanTrue", "BooleanFalse")


def _operation(name: str, expr: Any, args: tuple[Node, ...]) -> Node:
    if name in ("Add", "Mul"):
        return Op(name.lower(), args)
    if name == "Pow":
        return Op("pow", args)
    if name == "exp":
        return Op("pow", (Sym("e"), args[0]))
    if name == "log":
        return Op("log", args, "ln")
    if name in ("Abs", "factorial", "binomial"):
        return Op({"Abs": "abs", "factorial": "fact", "binomial": "binom"}[name], args)
    if name in _FUNCTIONS:
        return Op(name, args)
    if name in _RELATIONS:
        return Op("rel", args, _RELATIONS[name])
    if name in ("FiniteSet", "Tuple"):
        return Op("set" if name == "FiniteSet" else "tuple", args)
    if name == "Interval":
        around = ("(" if expr.left_open else "[") + (")" if expr.right_open else "]")
        return Op("interval", args[:2], around)
    if name == "Union":
        node = args[0]
        for arg in args[1:]:
            node = Op("union", (node, arg))
        return node
    raise ValueError(f"a {name} in it")
