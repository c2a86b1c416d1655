r"""General solutions: ``\frac{\pi}{4}+k\pi`` for all integers k, whatever the letter is called.

Two that are linear in their letter are the same if they name the same numbers: ``k\pi`` is
``-n\pi``, and ``\pi+2k\pi`` with ``2k\pi`` is ``k\pi``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    Text,
    free_symbols,
    substituted,
    walk,
)

__all__ = ["cut", "family", "has_family", "is_relettered", "of_builder", "same_family"]

LETTERS = frozenset("kmnljpqN")
"""Letters that are taken for whole numbers where one side of a pair says so of its own."""
MAX_RESIDUES = 2000
_TAIL_LENGTH = 90

_WHOLE, _NATURAL = Text("field z"), Text("field n")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_NAMES = r"[A-Za-z](?:\s*,\s*[A-Za-z])*"
_TAIL = re.compile(
    r"[\s,;(\[]*(?:\b(?:where|with|for|and)\b|其中)?[\s,]*(?:\b(?:any|all|every|each|some)\b)?\s*(?:"
    rf"(?P<a>{_NAMES})\s*\\in\s*(?:\\math(?:bb|bf|rm|cal)\s*\{{?\s*)?(?P<set>[ZN])\s*\}}?"
    r"(?P<part>\s*[\^_]\s*\{?[-+*]\}?)?"
    rf"|(?P<b>{_NAMES})\s*(?:\b(?:is|are|be)\b|[为是])?\s*(?:\b(?:an?|any|some|arbitrary)\b|任意)?\s*"
    r"(?:\bintegers?\b|整数)"
    rf"|\bintegers?\s+(?P<c>{_NAMES}))\s*[)\].}}]*\s*"
)


def cut(text: str) -> Iterator[tuple[str, list[str], str]]:
    r"""A text without ``k \in \mathbb{Z}`` at its end, the letters, and "Z" or "N"; if it has one.

    Where the text can be read in several ways, all of them.
    """
    if not ("\\in" in text or "integer" in text or "整数" in text):
        return
    plain = _TEXT.sub(r" \1 ", text)
    start = max(0, len(plain) - _TAIL_LENGTH)
    for at in range(start, len(plain)):
        if plain[at] not in " ,;([" and at:
            continue
        if (match := _TAIL.fullmatch(plain, at)) is not None:
            names = re.findall("[A-Za-z]", match["a"] or match["b"] or match["c"])
            whole = match["set"] != "N" and not match["part"]
            if plain[:at].strip() and len(set(names)) == len(names):
                yield plain[:at], names, "Z" if whole else "N"


def family(body: Node, letters: list[str], field: str) -> Op | None:
    """The family of a body and its letters; ``None`` if the letters are what is sought."""
    for part in walk(body):
        sides = part.args if isinstance(part, Op) and part.kind == "rel" else ()
        if any(isinstance(side, Sym) and side.name in letters for side in sides):
            return None  # x > 3 for integers x
    if not set(letters) <= free_symbols(body):
        return None
    return Op("family", (body, *map(Sym, letters)), field)


def of_builder(head: Node, body: Node) -> Op | None:
    r"""``\{k\pi \mid k \in \mathbb{Z}\}`` and ``\{x \mid x = k\pi, k \in \mathbb{Z}\}``."""
    parts = _members(body)
    last = parts[-1]
    if not (isinstance(last, Op) and last.kind == "rel" and last.name == "in"):
        return None
    letter, field = last.args
    if not isinstance(letter, Sym) or field not in (_WHOLE, _NATURAL) or letter == head:
        return None
    if len(parts) == 2 and isinstance(parts[0], Op) and parts[0].args[:1] == (head,):
        head = parts[0]
    elif len(parts) > 1:
        return None
    return family(head, [letter.name], "Z" if field == _WHOLE else "N")


def has_family(node: Node) -> bool:
    """True for a family, or a list with one in it."""
    if not isinstance(node, Op):
        return False
    if node.kind == "list":
        return any(isinstance(arg, Op) and arg.kind == "family" for arg in node.args)
    return node.kind == "family"


def is_relettered(a: Node, g: Node) -> Node | None:
    r"""The answer with the gold's letter, where both speak of ``k\pi`` and do not say so."""
    mine, theirs = free_symbols(a), free_symbols(g)
    if len(mine) != 1 or len(theirs) != 1 or mine == theirs or not mine | theirs <= LETTERS:
        return None
    if not all(any(_turns(part) for part in walk(node)) for node in (a, g)):
        return None
    return substituted(a, dict(zip(mine, theirs, strict=True)))


def _turns(node: Node) -> bool:
    return node == Sym("pi") or (isinstance(node, Op) and node.kind == "degree")


def same_family(a: Node, g: Node, equal: Callable[[Node, Node], bool | None]) -> bool | None:
    """Whether two families are the same; one that does not declare its letter is read as one."""
    mine, theirs = _declared(a), _declared(g)
    letters = [_letters(node, other) for node, other in ((a, theirs), (g, mine))]
    if letters[0] is None or letters[1] is None or len(letters[0]) != len(letters[1]):
        return False
    if mine[1] and theirs[1] and mine[1] != theirs[1]:
        return False  # whole numbers are not natural ones
    renamed = substituted(_body(a), dict(zip(letters[0], letters[1], strict=True)))
    if equal(renamed, _body(g)):
        return True
    if "N" in (mine[1], theirs[1]) or len(letters[0]) != 1:
        return None
    found = [_residues(_body(n), names[0]) for n, names in ((a, letters[0]), (g, letters[1]))]
    return None if found[0] is None or found[1] is None else _same(found[0], found[1])


def _members(node: Node) -> list[Node]:
    return list(node.args) if isinstance(node, Op) and node.kind == "list" else [node]


def _declared(node: Node) -> tuple[list[str], str]:
    for part in _members(node):
        if isinstance(part, Op) and part.kind == "family":
            return [arg.name for arg in part.args[1:] if isinstance(arg, Sym)], part.name
    return [], ""


def _letters(node: Node, other: tuple[list[str], str]) -> list[str] | None:
    declared = _declared(node)[0]
    if declared:
        return declared
    free = sorted(free_symbols(_body(node)) & (LETTERS | set(other[0])))
    return free if len(free) == len(other[0]) else None


def _body(node: Node) -> Node:
    """The values of a family without its declaration, as one list where there are several."""
    parts = [p.args[0] if has_family(p) and isinstance(p, Op) else p for p in _members(node)]
    flat = [value for part in parts for value in _members(part)]
    return flat[0] if len(flat) == 1 else Op("list", tuple(flat), "or")


# -- progressions: numbers a + b k, where a and b are rational, or rational multiples of pi --------


class Line(NamedTuple):
    """``start + step * k`` in units of 1 and of pi: (rational part, factor of pi)."""

    start: tuple[Fraction, Fraction]
    step: tuple[Fraction, Fraction]


class _No(Exception):  # noqa: N818 - no progression; nothing failed
    pass


def _residues(body: Node, letter: str) -> list[Line] | None:
    try:
        return [_line(_valued(part), letter) for part in _members(body)]
    except _No:
        return None


def _valued(node: Node) -> Node:
    """The value of ``x = value``."""
    if isinstance(node, Op) and node.kind == "rel" and node.name == "=":
        return node.args[-1]
    return node


Form = dict[tuple[int, int], Fraction]
"""A polynomial: coefficients by the powers of the letter and of pi, each 0 or 1."""


def _line(node: Node, letter: str) -> Line:
    form = _form(node, letter)
    zero = Fraction(0)
    start = form.get((0, 0), zero), form.get((0, 1), zero)
    return Line(start, (form.get((1, 0), zero), form.get((1, 1), zero)))


def _form(node: Node, letter: str) -> Form:
    if isinstance(node, Num):
        return {(0, 0): node.value}
    if isinstance(node, Sym) and node.name in (letter, "pi"):
        return {(1, 0) if node.name == letter else (0, 1): Fraction(1)}
    if not isinstance(node, Op):
        raise _No
    args = [_form(arg, letter) for arg in node.args]
    match node.kind:
        case "add" | "mixed":
            return {key: sum((a.get(key, Fraction(0)) for a in args), Fraction(0))
                    for key in {key for a in args for key in a}}  # fmt: skip
        case "neg":
            return {key: -value for key, value in args[0].items()}
        case "mul":
            product: Form = {(0, 0): Fraction(1)}
            for arg in args:
                product = _times(product, arg)
            return product
        case "div":
            return _times(args[0], {(0, 0): 1 / _constant(args[1])})
        case "inv":
            return {(0, 0): 1 / _constant(args[0])}
        case "degree":
            return _times(args[0], {(0, 1): Fraction(1, 180)})
        case "quantity" if node.name == "degrees":
            return _times(args[0], {(0, 1): Fraction(1, 180)})
    raise _No


def _constant(form: Form) -> Fraction:
    value = form.get((0, 0), Fraction(0))
    if not value or any(v for key, v in form.items() if key != (0, 0)):
        raise _No
    return value


def _times(a: Form, b: Form) -> Form:
    product: Form = {}
    for (i, j), u in a.items():
        for (k, m), v in b.items():
            if i + k > 1 or j + m > 1:
                raise _No
            product[i + k, j + m] = product.get((i + k, j + m), Fraction(0)) + u * v
    return product


def _same(a: list[Line], g: list[Line]) -> bool | None:
    """Whether two unions of progressions are the same set of numbers."""
    unit = 1 if any(line.step[1] for line in (*a, *g)) else 0
    if any(line.step[1 - unit] or not line.step[unit] for line in (*a, *g)):
        return None
    period = _common([abs(line.step[unit]) for line in (*a, *g)])
    sets = [_expanded(lines, unit, period) for lines in (a, g)]
    return None if sets[0] is None or sets[1] is None else sets[0] == sets[1]


def _common(steps: list[Fraction]) -> Fraction:
    """The least common multiple of rationals."""
    scale = lcm(*(step.denominator for step in steps))
    above = lcm(*(int(step * scale) for step in steps))
    return Fraction(above, scale)


def _expanded(lines: list[Line], unit: int, period: Fraction) -> set[tuple[Fraction, ...]] | None:
    found: set[tuple[Fraction, ...]] = set()
    for line in lines:
        step = abs(line.step[unit])
        if period / step + len(found) > MAX_RESIDUES:
            return None
        for at in range(int(period / step)):
            found.add((line.start[1 - unit], (line.start[unit] + at * step) % period))
    return found
