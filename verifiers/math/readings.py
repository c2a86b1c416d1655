"""Second readings of an answer that did not equal the gold as it was read first.

Each is one that people use, and is tried only against a gold that it can be meant for.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rewardkit.verifiers.extraction import Extraction
from rewardkit.verifiers.math.sentences import in_sentence
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, Text
from rewardkit.verifiers.math.understood import Understood, studied

__all__ = ["again"]

_PERCENT = re.compile(r"[}\s$\\)*]{0,6}(?:%|percent\b|per cent\b|pct\b)")
_TEXTS = re.compile(r"\\text\s*\{([^{}]*)\}")
_INDIAN = re.compile(r"(-?)([0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3})(\.[0-9]{1,20})?")
_DOTTED = re.compile(r"(-?)([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]{1,20})")
_DECIMAL = re.compile(r"(-?)([0-9]{1,20}),([0-9]{1,40})")


def again(
    text: str, found: Extraction, answer: Understood, gold: Understood
) -> tuple[Understood, Understood] | None:
    r"""Answer and gold read anew, or ``None``.

    ``\boxed{42}`` percent, read as 42 at first; 12,34,567 as the Indians group it; 3,14 in the
    countries of the decimal comma, for a gold that is one number, not two; words with one number
    among them, for a gold that is no words.
    """
    if found.span and _PERCENT.match(text, found.span[1]):
        return studied(Op("percent", (answer.tree,))), gold
    if (chosen := _choose(answer.tree)) is not None and _is_single(gold.tree):
        return studied(chosen), gold
    if isinstance(answer.tree, Text) and not isinstance(gold.tree, Text):
        said = in_sentence(_TEXTS.sub(r" \1 ", answer.text))
        return None if said is None else (said, gold)
    if _is(answer, "list") and _is_single(gold.tree) and (read := _with_commas(answer.text)):
        return read, gold
    if _is(gold, "list") and _is_single(answer.tree) and (read := _of_a_gold(gold.text)):
        return answer, read
    return None


def _is(value: Understood, kind: str) -> bool:
    return isinstance(value.tree, Op) and value.tree.kind == kind


def _is_single(tree: Node) -> bool:
    """One value: a number, with or without a unit."""
    if isinstance(tree, Op) and tree.kind in ("neg", "quantity"):
        tree = tree.args[0]
    return isinstance(tree, Num) or (isinstance(tree, Op) and tree.kind in ("div", "mixed"))


def _choose(tree: Node) -> Node | None:
    """``C(5, 2)``, read before as a point C, as a binomial."""
    if not (isinstance(tree, Op) and tree.kind == "rel" and tree.args[0] == Sym("C")):
        return None
    pair = tree.args[-1]
    is_pair = isinstance(pair, Op) and pair.kind == "tuple" and len(pair.args) == 2
    return Op("binom", pair.args) if is_pair and isinstance(pair, Op) else None


def _with_commas(text: str) -> Understood | None:
    if (indian := _indian(text)) is not None:
        return indian
    if (dotted := _DOTTED.fullmatch(text)) is not None:
        return _number(dotted[1], dotted[2].replace(".", "") + dotted[3], len(dotted[3]))
    match = _DECIMAL.fullmatch(text)
    # "5,0" names two values, one of which might be the right one; 5 is written "5".
    if match is None or not match[3].strip("0"):
        return None
    return _number(match[1], f"{match[2]}{match[3]}", len(match[3]))


def _of_a_gold(text: str) -> Understood | None:
    """A gold such as 0,125: as a list it would be of 0 and 125; "1,2" stays a list of two."""
    match = _DECIMAL.fullmatch(text)
    if match is not None and match[2] == "0" and len(match[3]) > 1:
        return _number(match[1], match[3], len(match[3]))
    return _indian(text)


def _indian(text: str) -> Understood | None:
    match = _INDIAN.fullmatch(text)
    if match is None:
        return None
    places = match[3][1:] if match[3] else ""
    return _number(match[1], match[2].replace(",", "") + places, len(places))


def _number(sign: str, digits: str, places: int) -> Understood:
    value = Num(Fraction(int(digits), 10**places), not places)
    return studied(Op("neg", (value,)) if sign else value)
