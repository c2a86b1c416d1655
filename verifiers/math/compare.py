"""Equality of two answers, part by part and kind by kind; each tier says yes, no or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers.math import probing
from rewardkit.verifiers.math.constants import renamings
from rewardkit.verifiers.math.decimals import of_rounding
from rewardkit.verifiers.math.families import has_family, is_relettered, same_family
from rewardkit.verifiers.math.matrices import has_matrix, worked_out
from rewardkit.verifiers.math.parts import (
    are_tuples,
    base_of,
    digits_of,
    expanded,
    has_infinity,
    has_two,
    hours_of,
    is_clock,
    is_empty,
    is_percent,
    labelled,
    names_of,
    opaque,
    parts_of,
    rows_of,
    unlabelled,
    wholes_of,
    without_common,
)
from rewardkit.verifiers.math.quantities import is_quantity, kelvins, radians, split, times
from rewardkit.verifiers.math.regions import is_regional, region, same_region
from rewardkit.verifiers.math.relations import (
    given,
    is_equation,
    is_solved,
    renamed,
    same_name,
    same_relation,
    summed,
)
from rewardkit.verifiers.math.tree import (
    Node,
    Num,
    Op,
    Sym,
    Text,
    free_symbols,
    is_value,
)
from rewardkit.verifiers.math.units import unit
from rewardkit.verifiers.math.values import TooLarge, Undefined, study
from rewardkit.verifiers.math.vectors import as_tuple

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
        ordered: whether lists without brackets must have the gold's order.
    """

    def __init__(self, tolerance: Fraction, algebra: Algebra, ordered: bool = False) -> None:
        self._ordered = ordered
        self._tolerance = tolerance
        self._algebra = algebra
        self._pairs = 0
        self._tier = "form"

    def compare(self, answer: Node, gold: Node) -> Result:
        """Raises ``False_`` for an answer that states a false equation."""
        if answer == gold:
            return Result(True, "form", answer, gold)
        answer, gold = expanded(answer), expanded(gold)
        found = self._compared(answer, gold)
        for other in renamings(answer, gold) if found.equal is False else ():
            if (again := self._compared(other, gold)).equal:
                found = again
                break
        values = is_value(found.judged) and is_value(found.wanted)
        return found._replace(tier=self._tier if values or self._tier == "algebra" else "structure")

    def _compared(self, answer: Node, gold: Node) -> Result:
        answer = renamed(answer, gold)
        judged = self._given(answer)
        wanted = self._given(gold)
        if judged is None or wanted is None:
            return self._unsolved(answer, gold, judged is None, wanted is None)
        if judged[0] and wanted[0] and not same_name(judged[0], wanted[0]):
            if free_symbols(gold) == free_symbols(answer) and has_two(gold):
                return self._unsolved(answer, gold, False, False)  # x = 2y is y = x/2
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
        if is_open and is_value(gold) and isinstance(answer, Op) and (value := summed(answer)):
            return Result(self.equal(value, gold), "", value, gold)
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
        a, g = unlabelled(a, g)
        if is_value(a) and is_value(g):
            same = self._values(a, g)
            if same is False and is_percent(g) and isinstance(g, Op) and not is_percent(a):
                return self._values(a, g.args[0])  # the unit is asked for, and may be left out
            if same is False and (other := is_relettered(a, g)) is not None:
                return self._values(other, g)
            return same
        if isinstance(a, Text) or isinstance(g, Text):
            return is_empty(a) and is_empty(g)
        self._tier = "structure"
        if has_family(a) or has_family(g):
            return same_family(a, g, self.equal)
        if has_matrix(a) or has_matrix(g):
            return self._calculated(a, g)
        if is_quantity(a) or is_quantity(g):
            return self._quantities(a, g)
        if is_regional(a) or is_regional(g):
            return self._regions(a, g)
        return self._structures(a, g)

    def _calculated(self, a: Node, g: Node) -> bool | None:
        """Expressions in matrices, worked out."""
        found = [worked_out(node) if has_matrix(node) else node for node in (a, g)]
        if found[0] is None or found[1] is None:
            return None
        return self.equal(found[0], found[1])

    def _no(self) -> bool:
        self._tier = "structure"
        return False

    def _values(self, a: Node, g: Node) -> bool | None:
        if a == g:
            return True
        if has_infinity(a) or has_infinity(g):
            return self._no()
        if base_of(g) not in ("", "10"):
            # Its digits are asked for, in its base, which may be left out. Beside a gold without
            # a base, 42_{16} has the value of 66: its digits alone are no 42.
            self._tier = "structure"
            return digits_of(a) == digits_of(g) and base_of(a) in ("", base_of(g))
        try:
            exact = study(a).value, study(g).value
        except (TooLarge, Undefined):
            return None
        tolerance = self._tolerance or of_rounding(a, g)
        if exact[0] is not None and exact[1] is not None:
            self._tier = "rational"
            return abs(exact[0] - exact[1]) <= tolerance * abs(exact[1])
        self._tier = "digits"
        a, g = opaque(a), opaque(g)
        if tolerance and not free_symbols(a) and not free_symbols(g):
            return _within(a, g, tolerance)
        same = probing.same(a, g)
        if same is None:
            self._tier = "algebra"
            same = self._algebra(a, g)
        return same

    def _quantities(self, a: Node, g: Node) -> bool | None:
        (value, name), (wanted, gold_name) = split(a), split(g)
        if name and gold_name:
            mine, theirs = unit(name), unit(gold_name)
            if (heat := kelvins(value, name)) and (wanted_heat := kelvins(wanted, gold_name)):
                return self.equal(heat, wanted_heat)
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
        mine, theirs = region(opaque(a)), region(opaque(g))
        if mine is not None and theirs is not None:
            return same_region(mine, theirs, self._tolerance)
        if isinstance(a, Op) and isinstance(g, Op) and a.kind == g.kind == "rel":
            return self._relations(a, g)
        return self._structures(a, g)

    def _relations(self, a: Op, g: Op) -> bool | None:
        if a.name == g.name and len(a.args) == len(g.args):
            same = self._in_order(a.args, g.args)
            if same:
                return True
        opened, wanted = opaque(a), opaque(g)
        if isinstance(opened, Op) and isinstance(wanted, Op):
            return same_relation(opened, wanted)
        return None

    def _structures(self, a: Node, g: Node) -> bool | None:
        if not (isinstance(a, Op) and isinstance(g, Op)):
            return self._loose(a, g)
        if a.kind == "rel" and g.kind == "rel":
            return self._named(a, g)
        for one, other, turned in ((a, g, False), (g, a, True)):
            if (vector := as_tuple(one, other)) is not None:
                return self.equal(other, vector) if turned else self.equal(vector, other)
        pair = (a.kind, g.kind)
        if pair in (("list", "list"), ("set", "list"), ("list", "set")):
            if len(a.args) != len(g.args) and are_tuples(a.args) and are_tuples(g.args):
                return self._sets(a.args, g.args)  # a solution named twice is one solution
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
        """One value in brackets for sets, ``\\{5\\}``, or said twice, "1/2 or 50%"; a ratio."""
        if isinstance(a, Op) and a.kind == "list" and is_value(g):
            first = a.args[0]  # "28 or 0.28" are two values, each of which 28% may be written as
            same = self.equal(first, g) and all(self.equal(part, first) for part in a.args[1:])
            return same or self._no()
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
        if names_of(a) != names_of(g):
            a, g = labelled(a), labelled(g)
        named = any(is_equation(x) for x in a), any(is_equation(y) for y in g)
        if named[0] != named[1] or (self._ordered and not named[0]):
            return self._in_order(a, g)  # w = 16, d = 3 against 16, 3
        rest, unknown = without_common(a, g)
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
        rest, unknown = without_common(a, g, multiset=False)
        for some, others, turned in ((rest[0], g, False), (rest[1], a, True)):
            for x in some:
                found = [self.equal(y, x) if turned else self.equal(x, y) for y in others]
                if not any(found):
                    return None if unknown or None in found else False
        return True

    def _matrices(self, a: Op, g: Op) -> bool | None:
        rows, wanted = rows_of(a), rows_of(g)
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
            (h, *rest), (k, *others) = (wholes_of(n) for n in (a, g))
            # 15:30 says that it is no half past three in the morning, as "PM" does.
            half = 24 if (a.name or not 1 <= h <= 12) and (g.name or not 1 <= k <= 12) else 12
            return (h - k) % half == 0 and rest == others
        parts = [parts_of(node) for node in (a, g)]
        if parts[0] is None or parts[1] is None or len(parts[0]) != len(parts[1]):
            return self._no()
        if is_clock(a) or is_clock(g):
            hours, wanted = (hours_of(p) for p in parts)
            return (hours[0] - wanted[0]) % 12 == 0 and hours[1] == wanted[1]
        mine, theirs = parts[0], parts[1]
        if any(study(part).value == 0 for part in (*mine, *theirs)):
            return self._in_order(mine, theirs)  # 12:00 is not 1:00
        return all(
            self.equal(Op("mul", (mine[0], v)), Op("mul", (theirs[0], u)))
            for u, v in zip(mine[1:], theirs[1:], strict=True)
        )


_ORDERED = frozenset(
    {("tuple", "tuple"), ("bracket", "bracket"), ("tuple", "bracket"), ("bracket", "tuple"),
     ("list", "tuple"), ("tuple", "list"), ("list", "bracket"), ("bracket", "list")}
)  # fmt: skip


def _within(a: Node, g: Node, tolerance: Fraction) -> bool | None:
    """Whether an irrational value is within the tolerance of the gold."""
    most, off = Op("mul", (g, Num(tolerance))), Op("add", (a, Op("neg", (g,))))
    return probing.over_points(off, most, lambda x, y, _: x.size() - x.err <= y.size() + y.err)
