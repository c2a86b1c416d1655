"""Equality of two answers, part by part and kind by kind; each tier says yes, no or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers.math import probing
from rewardkit.verifiers.math.quantities import is_quantity, radians, split, times
from rewardkit.verifiers.math.regions import is_regional, region, same_region
from rewardkit.verifiers.math.relations import given, is_equation, is_name, is_solved, same_relation
from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    Text,
    free_symbols,
    is_value,
    walk,
)
from rewardkit.verifiers.math.units import unit
from rewardkit.verifiers.math.values import TooLarge, Undefined, study

__all__ = ["Comparer", "Result"]

MAX_PAIRS = 4000
"""Most pairs of parts compared in two lists without order."""

Algebra = Callable[[Node, Node], bool | None]


class Result(NamedTuple):
    """Whether two answers are equal, the tier that said so, and what of the answer was judged.

    ``judged`` and ``wanted`` are the parts whose form counts: without names and earlier sides.
    """

    equal: bool | None
    tier: str
    judged: Node
    wanted: Node
    unsolved: bool = False


class Comparer:
    """Compares an answer with a gold. One per pair: it counts the work done on it.

    Args:
        tolerance: greatest distance between numbers, relative to the gold's.
        algebra: asked last, about two values that the digits do not settle.
    """

    def __init__(self, tolerance: Fraction, algebra: Algebra) -> None:
        self._tolerance = tolerance
        self._algebra = algebra
        self._pairs = 0
        self._tier = "form"

    def compare(self, answer: Node, gold: Node) -> Result:
        """Raises ``False_`` for an answer that states a false equation."""
        if answer == gold:
            return Result(True, "form", answer, gold)
        found = self._compared(expanded(answer), expanded(gold))
        values = is_value(found.judged) and is_value(found.wanted)
        return found._replace(tier=self._tier if values or self._tier == "algebra" else "structure")

    def _compared(self, answer: Node, gold: Node) -> Result:
        judged = self._given(answer)
        wanted = self._given(gold)
        if judged is None or wanted is None:
            return self._unsolved(answer, gold, judged is None, wanted is None)
        names = judged[0], wanted[0]
        if all(isinstance(name, Sym) for name in names) and names[0] != names[1]:
            return Result(False, "structure", answer, gold)
        result: bool | None = False
        best = judged[1][0], wanted[1][0]
        for a in judged[1]:
            for g in wanted[1]:
                same = self.equal(a, g)
                if same:
                    return Result(True, "", a, g)
                result = None if same is None else result
        return Result(result, "", *best)

    def _given(self, node: Node) -> tuple[Node | None, tuple[Node, ...]] | None:
        """Name and values; ``None`` for an equation that is not solved."""
        if not is_equation(node) or not isinstance(node, Op):
            return None, (node,)
        found = given(node, self.equal)
        return None if found is None else (found.name, found.values)

    def _unsolved(self, answer: Node, gold: Node, is_open: bool, gold_open: bool) -> Result:
        """At least one is an equation in unknowns. It may be the other's, written anew."""
        self._tier = "structure"
        if not (isinstance(answer, Op) and isinstance(gold, Op)):
            return Result(False, "", answer, gold)
        if answer.kind != "rel" or gold.kind != "rel":
            return Result(False, "", answer, gold)
        same = self._relations(answer, gold)
        return Result(same, "", answer, gold, unsolved=is_open and is_solved(gold))

    # -- equality --------------------------------------------------------------------------------

    def equal(self, a: Node, g: Node) -> bool | None:
        """Whether the answer's part equals the gold's; ``None`` if that is not known."""
        if a == g:
            return True
        self._pairs += 1
        if self._pairs > MAX_PAIRS:
            return None
        a, g = _unlabelled(a, g)
        if is_value(a) and is_value(g):
            return self._values(a, g)
        if isinstance(a, Text) or isinstance(g, Text):
            return self._no() if a != g else True
        self._tier = "structure"
        if is_quantity(a) or is_quantity(g):
            return self._quantities(a, g)
        if is_regional(a) or is_regional(g):
            return self._regions(a, g)
        return self._structures(a, g)

    def _no(self) -> bool:
        self._tier = "structure"
        return False

    def _values(self, a: Node, g: Node) -> bool | None:
        if a == g:
            return True
        if _has_infinity(a) or _has_infinity(g):
            return self._no()
        if _base(a) or _base(g):
            self._tier = "structure"
            return _digits(a) == _digits(g) and ("" in (_base(a), _base(g)) or _base(a) == _base(g))
        try:
            exact = study(a).value, study(g).value
        except (TooLarge, Undefined):
            return None
        if exact[0] is not None and exact[1] is not None:
            self._tier = "rational"
            return abs(exact[0] - exact[1]) <= self._tolerance * abs(exact[1])
        self._tier = "digits"
        a, g = _opaque(a), _opaque(g)
        if self._tolerance and not free_symbols(a) and not free_symbols(g):
            return _within(a, g, self._tolerance)
        same = probing.same(a, g)
        if same is None:
            self._tier = "algebra"
            same = self._algebra(a, g)
        return same

    def _quantities(self, a: Node, g: Node) -> bool | None:
        (value, name), (wanted, gold_name) = split(a), split(g)
        if name and gold_name:
            mine, theirs = unit(name), unit(gold_name)
            if mine is None or theirs is None or mine.powers != theirs.powers:
                return self._angles(a, g) if "degrees" in (name, gold_name) else self._no()
            if mine.factor != theirs.factor:
                value, wanted = times(value, mine.factor), times(wanted, theirs.factor)
            return self.equal(value, wanted)
        # A unit that only one of them writes is taken as meant by the other.
        return self.equal(value, wanted) or self._angles(a, g)

    def _angles(self, a: Node, g: Node) -> bool | None:
        """Degrees against radians."""
        turned = [radians(node) for node in (a, g)]
        if turned[0] is None or turned[1] is None or turned[0] is a is turned[1]:
            return self._no()
        return self._values(turned[0], turned[1])

    def _regions(self, a: Node, g: Node) -> bool | None:
        mine, theirs = region(_opaque(a)), region(_opaque(g))
        if mine is not None and theirs is not None:
            return same_region(mine, theirs)
        if isinstance(a, Op) and isinstance(g, Op) and a.kind == g.kind == "rel":
            return self._relations(a, g)
        return self._structures(a, g)

    def _relations(self, a: Op, g: Op) -> bool | None:
        if a.name == g.name and len(a.args) == len(g.args):
            same = self._in_order(a.args, g.args)
            if same:
                return True
        opened, wanted = _opaque(a), _opaque(g)
        if isinstance(opened, Op) and isinstance(wanted, Op):
            return same_relation(opened, wanted)
        return None

    def _structures(self, a: Node, g: Node) -> bool | None:
        if not (isinstance(a, Op) and isinstance(g, Op)):
            return self._loose(a, g)
        if a.kind == "rel" and g.kind == "rel":
            return self._named(a, g)
        pair = (a.kind, g.kind)
        if pair in (("list", "list"), ("set", "list"), ("list", "set")):
            return self._in_any_order(a.args, g.args)
        if pair == ("set", "set"):
            return self._sets(a.args, g.args)
        if "tuple" in pair and "bracket" in pair and len(g.args) == 2:
            return self._no()  # the open interval (-1, 1) is not the closed [-1, 1]
        if pair in _ORDERED:
            return self._in_order(a.args, g.args)
        if "matrix" in pair:
            return self._matrices(a, g)
        if a.kind == g.kind == "interval":
            return a.name == g.name and self._in_order(a.args, g.args)
        if a.kind == g.kind == "congruent":
            return self._congruences(a, g)
        if a.kind in ("ratio", "time") or g.kind in ("ratio", "time"):
            return self._ratios(a, g)
        if a.kind == g.kind == "date":
            return all(x == y or Sym("?") in (x, y) for x, y in zip(a.args, g.args, strict=True))
        if a.kind == g.kind and a.name == g.name and len(a.args) == len(g.args):
            return self._in_order(a.args, g.args)
        return self._loose(a, g)

    def _loose(self, a: Node, g: Node) -> bool | None:
        """One value in brackets for sets, such as ``\\{5\\}`` for 5; a ratio for a fraction."""
        for one, other in ((a, g), (g, a)):
            if isinstance(one, Op) and one.kind == "set" and len(one.args) == 1:
                return self.equal(one.args[0], other) if one is a else self.equal(a, one.args[0])
            if isinstance(one, Op) and one.kind == "ratio" and is_value(other):
                return self._ratios(a, g)
        return self._no()

    def _named(self, a: Op, g: Op) -> bool | None:
        """Two labelled parts of lists: ``x = 1`` against ``x = 1``."""
        found = self._compared(a, g)
        return found.equal

    def _in_order(self, a: Sequence[Node], g: Sequence[Node]) -> bool | None:
        if len(a) != len(g):
            return self._no()
        result: bool | None = True
        for x, y in zip(a, g, strict=True):
            same = self.equal(x, y)
            if same is False:
                return False
            result = None if same is None else result
        return result

    def _in_any_order(self, a: Sequence[Node], g: Sequence[Node]) -> bool | None:
        """As multisets: 1, 1, 2 is not 1, 2, 2."""
        if len(a) != len(g):
            return self._no()
        if _names(a) != _names(g):
            a, g = _labelled(a), _labelled(g)
        if any(is_equation(x) for x in a) != any(is_equation(y) for y in g):
            return self._in_order(a, g)  # w = 16, d = 3 against 16, 3
        rest, unknown = _without_common(a, g)
        for x in rest[0]:
            for at, y in enumerate(rest[1]):
                same = self.equal(x, y)
                if same:
                    del rest[1][at]
                    break
                unknown = unknown or same is None
            else:
                return None if unknown else False
        return True

    def _sets(self, a: Sequence[Node], g: Sequence[Node]) -> bool | None:
        """As sets: each has its equal on the other side."""
        rest, unknown = _without_common(a, g, multiset=False)
        for some, others, turned in ((rest[0], g, False), (rest[1], a, True)):
            for x in some:
                found = [self.equal(y, x) if turned else self.equal(x, y) for y in others]
                if not any(found):
                    return None if unknown or None in found else False
        return True

    def _matrices(self, a: Op, g: Op) -> bool | None:
        rows, wanted = _rows(a), _rows(g)
        if rows is None or wanted is None:
            return self._no()
        flat = all(len(m) == 1 or all(len(r) == 1 for r in m) for m in (rows, wanted))
        if (a.kind != "matrix" or g.kind != "matrix") and flat:
            mine = [x for row in rows for x in row]
            return self._in_order(mine, [y for row in wanted for y in row])
        if [len(r) for r in rows] != [len(r) for r in wanted]:
            return self._no()
        return self._in_order([x for r in rows for x in r], [y for r in wanted for y in r])

    def _congruences(self, a: Op, g: Op) -> bool | None:
        same = self._in_order((a.args[0], a.args[2]), (g.args[0], g.args[2]))
        x, y, m = (study(n).value for n in (a.args[1], g.args[1], g.args[2]))
        if x is None or y is None or not m:
            return None
        return same and (x - y) % m == 0

    def _ratios(self, a: Node, g: Node) -> bool | None:
        if isinstance(a, Op) and isinstance(g, Op) and a.kind == g.kind == "time":
            half = 24 if a.name and g.name else 12
            (h, *rest), (k, *others) = (_wholes(n) for n in (a, g))
            return (h - k) % half == 0 and rest == others
        parts = [_parts(node) for node in (a, g)]
        if parts[0] is None or parts[1] is None or len(parts[0]) != len(parts[1]):
            return self._no()
        if _is_clock(a) or _is_clock(g):
            hours, wanted = (_hours(p) for p in parts)
            return (hours[0] - wanted[0]) % 12 == 0 and hours[1] == wanted[1]
        mine, theirs = parts[0], parts[1]
        return all(
            self.equal(Op("mul", (mine[0], v)), Op("mul", (theirs[0], u)))
            for u, v in zip(mine[1:], theirs[1:], strict=True)
        )


_ORDERED = frozenset(
    {("tuple", "tuple"), ("bracket", "bracket"), ("tuple", "bracket"), ("bracket", "tuple"),
     ("list", "tuple"), ("tuple", "list"), ("list", "bracket"), ("bracket", "list")}
)  # fmt: skip


def expanded(node: Node) -> Node:
    r"""``a \pm b`` as the two values it stands for; every sign is taken the same way."""
    if not any(isinstance(n, Op) and n.kind in ("pm", "mp") for n in walk(node)):
        return node
    if isinstance(node, Op) and node.kind in ("list", "set"):
        parts: list[Node] = []
        for arg in node.args:
            wide = expanded(arg)
            many = isinstance(wide, Op) and wide.kind == "list" and wide is not arg
            parts += wide.args if many and isinstance(wide, Op) else (wide,)
        return Op(node.kind, tuple(parts), node.name)
    if isinstance(node, Op) and node.kind == "rel" and node.name == "=":
        wide = expanded(node.args[1])
        if isinstance(wide, Op) and wide.kind == "list":
            return Op("list", tuple(Op("rel", (node.args[0], v), "=") for v in wide.args), "or")
    return Op("list", (_signed(node, "pm"), _signed(node, "mp")), "or")


def _signed(node: Node, plus: str) -> Node:
    if not isinstance(node, Op):
        return node
    args = tuple(_signed(arg, plus) for arg in node.args)
    if node.kind in ("pm", "mp"):
        return args[0] if node.kind == plus else Op("neg", args)
    return Op(node.kind, args, node.name)


def _names(parts: Sequence[Node]) -> set[Node]:
    return {p.args[0] for p in parts if is_equation(p) and isinstance(p, Op)}


def _labelled(parts: Sequence[Node]) -> Sequence[Node]:
    """``x = 1, 2`` says x = 1 or x = 2; ``x = 1 or x = 2`` says 1 and 2 of one name."""
    names = [p.args[0] if is_equation(p) and isinstance(p, Op) else None for p in parts]
    indexed = {n.name.partition("_")[0] if isinstance(n, Sym) else None for n in names}
    if len(indexed) == 1 and None not in indexed:  # x_1 = 5, x_2 = -2
        return [p.args[-1] if isinstance(p, Op) else p for p in parts]
    if names[0] is not None and all(n in (None, names[0]) for n in names):
        return [p.args[-1] if is_equation(p) and isinstance(p, Op) else p for p in parts]
    return parts


def _unlabelled(a: Node, g: Node) -> tuple[Node, Node]:
    """Names on one side only are no part of the value."""
    if is_equation(a) and not is_equation(g) and isinstance(a, Op) and is_name(a.args[0]):
        return (a.args[-1] if len(a.args) == 2 else a), g
    if is_equation(g) and not is_equation(a) and isinstance(g, Op) and is_name(g.args[0]):
        return a, (g.args[-1] if len(g.args) == 2 else g)
    return a, g


def _without_common(
    a: Sequence[Node], g: Sequence[Node], multiset: bool = True
) -> tuple[tuple[list[Node], list[Node]], bool]:
    """What is left of both lists after equal exact values are taken out of them.

    A thousand numbers are compared by their values at once, not each with each.
    """
    keys = [_key(x) for x in a], [_key(y) for y in g]
    counts: dict[object, int] = {}
    for key in keys[1]:
        counts[key] = counts.get(key, 0) + 1
    rest: list[Node] = []
    seen: set[object] = set()
    for x, key in zip(a, keys[0], strict=True):
        seen.add(key)
        if counts.get(key, 0) > 0:
            counts[key] -= 1 if multiset else 0
        else:
            rest.append(x)
    left = []
    for y, key in zip(g, keys[1], strict=True):
        if multiset and counts.get(key, 0) > 0:
            counts[key] -= 1
            left.append(y)
        elif not multiset and key not in seen:
            left.append(y)
    return (rest, left), False


def _key(node: Node) -> object:
    if is_value(node):
        try:
            value = study(node).value
        except (TooLarge, Undefined):
            return node
        return node if value is None else value
    return node


def _opaque(node: Node) -> Node:
    """Functions and marks that we know nothing of, as variables of their own."""
    if not isinstance(node, Op):
        return node
    if node.kind in ("call", "mark"):
        return Sym(repr(node)[:200])
    if not any(isinstance(n, Op) and n.kind in ("call", "mark") for n in walk(node)):
        return node
    return Op(node.kind, tuple(_opaque(arg) for arg in node.args), node.name)


def _has_infinity(node: Node) -> bool:
    return any(n == Sym("inf") for n in walk(node))


def _base(node: Node) -> str:
    """The base that a number is marked with, or ``""``."""
    return node.name.partition("_")[2] if isinstance(node, Op) and node.kind == "base" else ""


def _digits(node: Node) -> str:
    if isinstance(node, Op) and node.kind == "base":
        return node.name.partition("_")[0].lstrip("0")
    return str(node.value.numerator) if isinstance(node, Num) and node.whole else ""


def _within(a: Node, g: Node, tolerance: Fraction) -> bool | None:
    """Whether an irrational value is within the tolerance of the gold."""
    most = Op("mul", (Op("abs", (g,)), Num(tolerance)))
    off = Op("abs", (Op("add", (a, Op("neg", (g,)))),))
    return probing.over_points(off, most, lambda x, y, _: x.re - x.err <= y.re + y.err)


def _rows(node: Op) -> list[tuple[Node, ...]] | None:
    if node.kind == "matrix":
        return [row.args for row in node.args if isinstance(row, Op)]
    if node.kind not in ("tuple", "bracket", "list"):
        return None
    inner = [arg for arg in node.args if isinstance(arg, Op) and arg.kind in ("tuple", "bracket")]
    if len(inner) == len(node.args):
        return [arg.args for arg in inner]
    return [node.args] if not inner else None


def _parts(node: Node) -> list[Node] | None:
    if isinstance(node, Op) and node.kind == "ratio":
        return list(node.args)
    if isinstance(node, Op) and node.kind == "time" and not study(node.args[2]).value:
        return list(node.args[:2])
    if isinstance(node, Op) and node.kind == "div":
        return list(node.args)
    return [node, Num(Fraction(1))] if is_value(node) else None


def _wholes(node: Op) -> list[Fraction]:
    return [study(arg).value or Fraction(0) for arg in node.args]


def _is_clock(node: Node) -> bool:
    return isinstance(node, Op) and node.kind == "time" and bool(node.name)


def _hours(parts: list[Node] | None) -> list[Fraction]:
    return [study(part).value or Fraction(0) for part in parts or []][:2]
