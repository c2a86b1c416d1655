"""The grammar above values: lists, relations, brackets, sets, matrices, units, words."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction

from rewardkit.verifiers.math import calendar, families
from rewardkit.verifiers.math.grammar import angle_of, as_set
from rewardkit.verifiers.math.lexer import Token, Unsupported, tokens
from rewardkit.verifiers.math.literals import base_number, literal
from rewardkit.verifiers.math.operators import Operators
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, Text, free_symbols, number
from rewardkit.verifiers.math.units import unit
from rewardkit.verifiers.math.words import SCALES, number_words, plain_words

__all__ = ["MAX_LENGTH", "parse"]

MAX_LENGTH = 20_000
"""Longest text read, in characters."""

_JOINTS = frozenset({",", ";", "and", "or"})


def parse(text: str) -> Node:
    """Read an answer that :func:`spelling.bare` has passed.

    Raises:
        Unsupported: for everything outside of the grammar or its limits.
    """
    if len(text) > MAX_LENGTH:
        raise Unsupported(f"longer than {MAX_LENGTH} characters")
    if (moment := calendar.read(text)) is not None:
        return moment
    if (based := _in_letters(text)) is not None:
        return based
    worded = _TEXT.sub(r" \1 ", text).strip() if text.startswith("\\text") else text
    if worded[:1].isalpha() and len(worded) < 200 and (value := number_words(worded)) is not None:
        return number(value)
    try:
        return _general(text) or _parsed(text)
    except Unsupported:
        if (words := _words(text)) is not None:
            return words
        raise


_LETTERED = re.compile(
    r"([0-9A-Z]{1,40})_\{?(?:\\text\s?\{)?\s?([1-3][0-9]|eleven|twelve|sixteen)\s?\}{0,2}"
)


def _in_letters(text: str) -> Node | None:
    """``2A_{16}``, a number with letters among its digits; one letter alone is a name."""
    match = _LETTERED.fullmatch(text) if "_" in text else None
    if match is None or len(match[1]) < 2 or match[1].isdecimal():
        return None
    try:
        return base_number(match[1], match[2])
    except Unsupported:
        return None  # a product of names


def _parsed(text: str) -> Node:
    parser = _Shapes(tokens(text))
    if not parser.kind():
        raise Unsupported("empty")
    node = parser.listed(top=True)
    if parser.kind():
        raise Unsupported(f"{parser.next().text!r} after the value")
    return node


def _general(text: str) -> Node | None:
    """A general solution, which says of a letter that it is any integer."""
    for body, letters, field in families.cut(text):
        with suppress(Unsupported):
            if (found := families.family(_parsed(body), letters, field)) is not None:
                return found
    return None


_PROSE = re.compile(
    r"[^\W\d_][^\W\d_'’ ,.;:!?\"()-]*(?:[ ,.;:'’\"()-]+[^\W\d_][^\W\d_'’]*)*[.\"')]*"
)
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")


def _words(text: str) -> Node | None:
    """The text as words, if it is nothing but words."""
    if len(text) > 300:
        return None
    inner = _TEXT.sub(r" \1 ", text).strip()
    if not inner or not _PROSE.fullmatch(inner):
        return None
    words = plain_words(inner)
    if not _VAGUE.isdisjoint(words.split()):
        return None  # "about a dozen" is an amount that nobody can compare
    return Op("reals", ()) if words in _REALS else Text(words)


class _Shapes(Operators):
    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self._in_set = 0  # there a colon says "such that"

    def listed(self, top: bool = False) -> Node:
        """Relations joined by commas, "and" or "or"; or one."""
        items, joints = [self._relation()], list[str]()
        while (kind := self.kind()) in _JOINTS:
            if kind in (",", ";") and self.kind(1) in ("and", "or"):
                self.next()
                kind = self.kind()
            self.next()
            if self.kind() in ("", ")", "]", "}", "}set"):
                raise Unsupported("a list that breaks off")
            joints.append(kind)
            items.append(self._relation())
        return items[0] if len(items) == 1 else _list(items, joints)

    def _relation(self) -> Node:
        if self.kind() == "rel" and self._tokens[self._at].text in ("=", "~"):
            self.next()  # "= 5" says 5
        self._first = self._at
        sides, signs = [self._proportion()], list[str]()
        while self.kind() == "rel":
            signs.append(self.next().text)
            side = self._proportion()
            sides.append(as_set(side) if signs[-1] == "in" else side)
        if not signs:
            first = sides[0]
            return _labelled(first) if isinstance(first, Op) else first
        if signs == ["=="] and self.accept("pmod"):
            return Op("congruent", (*sides, self._argument_of_mod()))
        return Op("rel", tuple(sides), ",".join(signs))

    def _argument_of_mod(self) -> Node:
        return self._group() if self.kind() == "{" else self.expression(30)

    def _proportion(self) -> Node:
        parts = [self._side()]
        while not self._in_set and self.accept(":"):
            parts.append(self._side())
        return parts[0] if len(parts) == 1 else Op("ratio", tuple(parts))

    # -- one side: a value and its unit ----------------------------------------------------------

    def _side(self) -> Node:
        if self.kind() == "(" and self.kind(1) == "pmod":
            raise Unsupported("a modulus alone")
        token = self._tokens[self._at] if self.kind() else None
        if token is not None and token.kind == "money":
            self.next()
            return self._with_unit(
                self.expression(), {"\\$": "dollars"}.get(token.text, token.text)
            )
        if token is not None and token.kind == "-" and self.kind(1) == "money":
            self.next()
            money = self.next().text
            debt = Op("neg", (self.expression(20),))
            return self._with_unit(debt, {"\\$": "dollars"}.get(money, money))
        value = self.expression()
        if isinstance(value, Text):
            words = plain_words(" ".join([value.words, *self._unit_words()]))
            return Op("reals", ()) if words in _REALS else Text(words)
        return self._with_unit(value, "")

    def _with_unit(self, value: Node, written: str) -> Node:
        words = self._unit_words()
        if words and (scale := SCALES.get(words[0].lower())):
            value = Op("scaled", (value, Num(Fraction(scale))))
            words = words[1:]
        elif words and words[0][:1] in SCALES and not words[0].isascii():
            value = Op("scaled", (value, Num(Fraction(SCALES[words[0][0]]))))
            words = [words[0][1:], *words[1:]] if words[0][1:] else words[1:]
        name = " ".join(words).strip()
        if isinstance(value, Op) and value.kind == "degree":
            if name.lower().rstrip(".") in ("c", "f", "celsius", "fahrenheit"):
                name = {"c": "celsius", "f": "fahrenheit"}.get(name.lower(), name.lower())
                return Op("quantity", value.args, name)
            if not name:
                return Op("quantity", (self._minutes(value.args[0]),), "degrees")
        if not name and not written:
            return value
        return self._quantity(value, name, written)

    def _minutes(self, degrees: Node) -> Node:
        """Degrees with the minutes and seconds of arc after them: ``30^\\circ 15'``."""
        for parts in (60, 3600):
            marks = 1 if parts == 60 else 2
            if self.kind() != "number" or any(self.kind(1 + i) != "prime" for i in range(marks)):
                break
            if not isinstance(degrees, Num):
                raise Unsupported("minutes of an angle that is no number")
            degrees = Num(degrees.value + literal(self.next().text).value / parts, False)
            self._at += marks
        return degrees

    def _quantity(self, value: Node, name: str, written: str) -> Node:
        if name and unit(name) is None:
            raise Unsupported(f"{name[:30]!r} after the value")
        if written and name and unit(name) != unit(written):
            raise Unsupported(f"{written} and {name[:20]}")
        quantity = Op("quantity", (value,), name or written)
        if self.kind() == "number" and not written:
            whole = _compound(quantity, self._side())
            if whole is None:
                raise Unsupported("two quantities side by side")
            return whole
        return quantity

    def _unit_words(self) -> list[str]:
        """The words of a unit after a value: ``cm^2``, ``km / h``, ``square feet``."""
        words: list[str] = []
        if (
            self.kind() == "sym"
            and words == []
            and self._at
            and (self._tokens[self._at - 1].kind in ("degree", "circ", "}"))
        ):
            words.append(self.next().text)
            return words
        while (kind := self.kind()) in ("text", "unit") or (words and kind in _UNIT_PARTS):
            token = self.next()
            if kind == "^" and self.kind() == "{":
                self.next()
                words[-1] += "^" + self._signed()
                self.expect("}")
            elif kind == "^":
                words[-1] += "^" + self.next().text
            else:
                words.append(token.text)
        return [w for part in words for w in part.split()]

    def _signed(self) -> str:
        sign = "-" if self.accept("-") else ""
        return sign + self.next().text

    # -- brackets --------------------------------------------------------------------------------

    def shaped(self, token: Token) -> Node | None:
        kind = token.kind
        if kind in ("(", "["):
            return self._bracketed(token)
        if kind == "]":  # ]1, 2[ as the French write an open interval
            return self._french()
        if kind == "set{":
            return self._set()
        if kind == "text":
            return Text(plain_words(token.text))
        if kind == "empty":
            return Op("set", ())
        if kind == "field":
            return Op("reals", ()) if token.text == "R" else Text(f"field {token.text.lower()}")
        if kind == "begin":
            return self._environment(token.text)
        if kind == "bar":
            return Op("mark", (self._argument(),), "bar")
        if kind == "mark":
            return Op("mark", (self._marked(token.text),), token.text)
        return None

    def _marked(self, name: str) -> Node:
        """What a mark stands on; angles and triangles have three letters."""
        if self.kind() == "{":
            return self._group()
        if name in ("angle", "triangle"):
            letters = [self.expression(30)]
            while self.kind() == "sym":
                letters.append(self.expression(30))
            return Op("mul", tuple(letters))
        return self.expression(20)

    def _bracketed(self, token: Token) -> Node:
        bars, self._bars = self._bars, 0
        inner = self.listed()
        self._bars = bars
        closing = self.next()
        if closing.kind == "[" and token.kind == "[":  # [0, 4[ as the French leave an end open
            closing = closing._replace(kind=")")
        if closing.kind not in (")", "]"):
            raise Unsupported(f"{closing.text!r} where a bracket should close")
        items = inner.args if isinstance(inner, Op) and inner.kind == "list" else (inner,)
        if inner is not items[0] and isinstance(inner, Op) and inner.name != ",":
            raise Unsupported("a list in brackets without commas")
        around = token.kind + closing.kind
        if len(items) == 1 and around in ("()", "[]"):
            if around == "[]" and isinstance(inner, Op) and inner.kind in ("bracket", "tuple"):
                return Op("bracket", items)
            return angle_of(inner)
        if around == "()":
            return Op("tuple", items, "<" if token.text == "<" else "")
        if around == "[]":
            return Op("bracket", items)
        if len(items) != 2:
            raise Unsupported(f"{around} around {len(items)} values")
        return Op("interval", items, around)

    def _french(self) -> Node:
        inner = self.listed()
        closing = self.next().kind
        if not (isinstance(inner, Op) and inner.kind == "list" and len(inner.args) == 2):
            raise Unsupported("']' where a value should stand")
        return Op("interval", inner.args, "(" + (")" if closing == "[" else "]"))

    def _set(self) -> Node:
        if self.accept("}set"):
            return Op("set", ())
        bars, self._bars = self._bars, int(self._has_bar())
        self._in_set += 1
        first = self.listed()
        self._in_set -= 1
        self._bars = bars
        if self.kind() in ("|", ":"):
            self.next()
            body = self.listed()
            self.expect("}set")
            return families.of_builder(first, body) or Op("builder", (first, body))
        self.expect("}set")
        if isinstance(first, Op) and first.kind == "ratio":
            raise Unsupported("a colon in a set")
        is_list = isinstance(first, Op) and first.kind == "list"
        return Op("set", first.args if is_list and isinstance(first, Op) else (first,))

    def _has_bar(self) -> bool:
        """True if the set has a bar by itself (such that), not the two of an absolute value."""
        bars = 0
        for at in range(self._at, len(self._tokens)):
            kind = self._tokens[at].kind
            if kind == "}set":
                break
            bars += kind == "|"
        return bars % 2 == 1 and self.kind() != "|"

    def _environment(self, name: str) -> Node:
        rows, row = list[Node](), list[Node]()
        while self.kind() != "end":
            row.append(self.listed())
            if self.accept("&"):
                continue
            rows.append(Op("row", tuple(row)))
            row = []
            if not self.accept("row") and self.kind() != "end":
                raise Unsupported(f"{self.next().text!r} in a matrix")
        self.next()
        if not rows or row:
            raise Unsupported("a matrix that breaks off")
        cells = [r.args for r in rows if isinstance(r, Op)]
        if name == "cases" and all(len(c) == 1 for c in cells):
            return Op("list", tuple(c[0] for c in cells), "and")
        if len({len(c) for c in cells}) != 1:
            raise Unsupported("rows of different length")
        matrix = Op("matrix", tuple(rows))
        return Op("det", (matrix,)) if name == "vmatrix" else matrix


def _list(items: list[Node], joints: list[str]) -> Node:
    kinds = set(joints)
    if kinds == {"and"} and len(items) == 2 and (whole := _compound(*items)) is not None:
        return whole
    if kinds == {",", ";"} and (groups := _groups(items, joints)):
        return Op("list", groups, ",")
    if "and" in kinds and "or" in kinds:
        raise Unsupported('"and" beside "or"')
    return Op("list", tuple(items), "or" if "or" in kinds else "and" if "and" in kinds else ",")


def _groups(items: list[Node], joints: list[str]) -> tuple[Node, ...]:
    """``p=5, q=2; p=7, q=2`` as two solutions; nothing if the groups are of different length."""
    groups = [[items[0]]]
    for item, joint in zip(items[1:], joints, strict=True):
        if joint == ";":
            groups.append([])
        groups[-1].append(item)
    if len({len(group) for group in groups}) > 1 or len(groups[0]) < 2:
        return ()
    return tuple(Op("list", tuple(group), ",") for group in groups)


_UNIT_PARTS = frozenset({"text", "unit", "/", "^", "*", "sym"})


def _compound(first: Node, second: Node) -> Node | None:
    """``3 hours 20 minutes`` as one quantity, in the smaller unit."""
    parts = []
    for node in (first, second):
        if not (isinstance(node, Op) and node.kind == "quantity" and isinstance(node.args[0], Num)):
            return None
        measure = unit(node.name)
        if measure is None:
            return None
        parts.append((node.args[0].value, measure, node.name))
    (much, large, _), (rest, small, name) = parts
    if large.powers != small.powers or large.factor <= small.factor:
        return None
    return Op("quantity", (Num(much * large.factor / small.factor + rest),), name)


_VAGUE = frozenset(SCALES) | {"about", "approximately", "roughly", "almost", "nearly", "around"}
_REALS = frozenset({"all real numbers", "all reals", "real numbers", "all real x"})


def _labelled(node: Op) -> Op:
    """``Area: 5`` and the point ``A(1, 2)`` say what a name is; ``3:5`` is a ratio."""
    if node.kind == "ratio" and len(node.args) == 2 and isinstance(node.args[0], Sym | Text):
        return Op("rel", node.args, "=")
    if node.kind == "call" and len(node.args) > 2 and node.name.isupper():
        point = Op("tuple", node.args[1:])  # P(1, 2), which is no function of numbers
        return node if free_symbols(point) else Op("rel", (node.args[0], point), "=")
    if node.kind == "mul" and len(node.args) == 2 and isinstance(node.args[0], Sym):
        name, pair = node.args[0].name, node.args[1]
        if name.isupper() and isinstance(pair, Op) and pair.kind == "tuple":
            return Op("rel", node.args, "=")
    return node
