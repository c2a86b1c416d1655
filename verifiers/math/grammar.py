r"""The grammar of one value: a Pratt parser over our tokens, with limits on depth and size.

Pratt, "Top down operator precedence" (1973). Whatever is outside of the grammar raises
``Unsupported``; nothing is guessed, and no other library ever sees the text. Lists, relations and
sets, which are made of values, are in :mod:`shapes`.
"""

from __future__ import annotations

from fractions import Fraction

from rewardkit.verifiers.math.lexer import Token, Unsupported
from rewardkit.verifiers.math.literals import base_number, literal, repeating
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, Text

__all__ = ["MAX_DEPTH", "SUM", "Values", "angle_of", "as_set"]

MAX_DEPTH = 40
"""Deepest nesting of brackets, signs and exponents."""

_SETS, SUM, _PRODUCT, _SIGN, _POWER, _POSTFIX = 5, 10, 20, 25, 30, 40
_SET_OPS = {"union": "union", "meet": "meet", "minus": "minus"}
# What may follow a factor without a sign between them; a number may not ("4 2" is not 8).
_JOINS = frozenset(
    {
        "(",
        "{",
        "frac",
        "root",
        "cbrt",
        "sym",
        "func",
        "binom",
        "[floor",
        "[ceil",
        "|",
        "mark",
        "big",
        "begin",
    }
)
_CALLED = frozenset("fghFGP")


class Values:
    """One pass over the tokens; every method consumes what it reads."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._bars = 0
        self._first = 0  # where the relation that is read begins

    # -- the tokens ------------------------------------------------------------------------------

    def kind(self, ahead: int = 0) -> str:
        """Kind of the token that comes next, or ``""`` at the end."""
        at = self._at + ahead
        return self._tokens[at].kind if at < len(self._tokens) else ""

    def next(self) -> Token:
        """The next token, consumed."""
        if self._at >= len(self._tokens):
            raise Unsupported("it breaks off")
        self._at += 1
        return self._tokens[self._at - 1]

    def expect(self, kind: str) -> Token:
        """The next token, which must be of this kind."""
        token = self.next()
        if token.kind != kind:
            raise Unsupported(f"{token.text!r} where {kind!r} should stand")
        return token

    def accept(self, kind: str) -> bool:
        """Consume the next token if it is of this kind."""
        if self.kind() == kind:
            self._at += 1
            return True
        return False

    # -- what shapes adds ------------------------------------------------------------------------

    def listed(self) -> Node:
        """A list of relations, or one."""
        raise NotImplementedError

    def shaped(self, token: Token) -> Node | None:
        """A bracketed structure that starts with this token, or ``None``."""
        raise NotImplementedError

    def big(self, token: Token) -> Node:
        """An operator over an index or a variable, with what it applies to."""
        raise NotImplementedError

    def derivative(self, above: Node, below: Node) -> Node | None:
        """The derivative that starts with this fraction, or ``None``."""
        raise NotImplementedError

    # -- expressions -----------------------------------------------------------------------------

    def expression(self, floor: int = 0) -> Node:
        """An expression of operators that bind tighter than ``floor``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsupported("nested too deeply")
        left, chain = self._prefix(), ""
        while (step := self._step(left, floor, chain)) is not None:
            left, chain = step
        self._depth -= 1
        return left

    def _step(self, left: Node, floor: int, chain: str) -> tuple[Node, str] | None:
        """``left`` with the operator after it and the kind of chain that it grows, or ``None``."""
        kind = self.kind()
        if not kind:
            return None
        if floor < SUM and kind in ("+", "-", "pm", "mp"):
            self._at += 1
            return self._added(left, kind, chain), "add"
        if floor < _PRODUCT:
            if kind in ("*", "/"):
                self._at += 1
                return self._multiplied(left, kind, chain), "mul"
            if kind == "mod" or kind == "choose":
                self._at += 1
                return Op("mod" if kind == "mod" else "binom", (left, self.expression(20))), ""
            if kind in _JOINS and self._joins(left):
                return _product(left, self.expression(_PRODUCT), chain), "mul"
        if floor < _POWER and kind == "^":
            self._at += 1
            return self._raised(left), ""
        if floor < _POSTFIX and kind in ("%", "!", "degree", "prime"):
            self._at += 1
            return _postfix(kind, left), ""
        if floor < _SETS and kind in _SET_OPS:
            self._at += 1
            return Op(_SET_OPS[kind], (as_set(left), as_set(self.expression(_SETS)))), ""
        return None

    def _added(self, left: Node, kind: str, chain: str) -> Node:
        right = self.expression(SUM)
        if kind == "-":
            right = Op("neg", (right,))
        elif kind in ("pm", "mp"):
            right = Op(kind, (right,))
        terms = left.args if chain == "add" and isinstance(left, Op) else (left,)
        return Op("add", (*terms, right))

    def _multiplied(self, left: Node, kind: str, chain: str) -> Node:
        right = self.expression(_PRODUCT)
        if kind == "/" and not chain:
            return Op("div", (left, right))
        return _product(left, Op("inv", (right,)) if kind == "/" else right, chain)

    def _joins(self, left: Node) -> bool:
        kind = self.kind()
        if kind == "|" and self._bars:
            return False
        if kind == "sym" and isinstance(left, Op) and left.kind == "degree":
            return self._tokens[self._at].text not in ("C", "F")  # a temperature
        if kind == "{" and self.kind(1) == "number":
            raise Unsupported("two numbers without a sign between them")
        return not isinstance(left, Text)

    def _raised(self, base: Node) -> Node:
        if self.accept("circ"):
            return Op("degree", (base,))
        if self.kind() == "{" and self.kind(1) in ("circ", "degree") and self.kind(2) == "}":
            self._at += 3
            return Op("degree", (base,))
        if self.kind() == "degree":
            self._at += 1
            return Op("degree", (base,))
        # Right to left: 2^3^2 is 2^9.
        exponent = self._exponent()
        if exponent == Sym("T") and isinstance(base, Op) and base.kind in ("tuple", "bracket"):
            return base  # a row on its side: tuples are columns as well
        return Op("pow", (base, exponent))

    def _exponent(self) -> Node:
        r"""Braces end an exponent: ``x^{2}(x+1)``; ``2^10`` is read as a person would."""
        if self.kind() == "{":
            group = self._group()
            return Op("pow", (group, self._exponent())) if self.accept("^") else group
        return self.expression(_POWER - 1)

    def _prefix(self) -> Node:
        token = self.next()
        kind = token.kind
        if kind == "number":
            return self._number(token)
        if kind == "sym":
            return self._symbol(token)
        if kind in ("-", "+"):
            inner = self.expression(_SIGN if self._is_power_next() else _PRODUCT)
            return Op("neg", (inner,)) if kind == "-" else inner
        if kind in ("pm", "mp"):
            return Op(kind, (self.expression(_PRODUCT),))
        if kind in ("frac", "binom"):
            above, below = self._argument(), self._argument()
            if kind == "frac" and (found := self.derivative(above, below)) is not None:
                return found
            return Op("div" if kind == "frac" else "binom", (above, below))
        if kind in ("root", "cbrt"):
            return self._root(token)
        if kind == "func":
            return self._function(token)
        if kind == "{":
            self._at -= 1
            return self._group()
        if kind in ("|", "[floor", "[ceil"):
            return self._barred(token)
        if kind == "big":
            return self.big(token)
        if (shape := self.shaped(token)) is not None:
            return shape
        raise Unsupported(f"{token.text!r} where a value should stand")

    def _is_power_next(self) -> bool:
        return self.kind() == "number"

    # -- numbers and names -----------------------------------------------------------------------

    def _number(self, token: Token) -> Node:
        kind = self.kind()
        if kind in ("bar", "dots") or (kind == "(" and "." in token.text):
            repeated = self._repeating(token, kind)
            if repeated is not None:
                return Num(repeated, False)
        if kind == "_":
            self._at += 1
            return base_number(token.text, self._index())
        value = literal(token.text)
        if value.whole and kind in ("frac", "number") and (mixed := self._mixed_fraction()):
            return Op("mixed", (value, mixed))
        return value

    def _repeating(self, token: Token, kind: str) -> Fraction | None:
        if kind == "dots":
            self._at += 1
            return repeating(token.text, None)
        if kind == "(":
            if self.kind(1) != "number" or self.kind(2) != ")" or self._tokens[self._at].spaced:
                return None
            digits = self._tokens[self._at + 1].text
            if not digits.isdecimal() or self.kind(3) not in ("", ",", ")"):
                return None
            self._at += 3
            return repeating(token.text, digits)
        digits = self._barred_digits()
        return repeating(token.text, digits)

    def _barred_digits(self) -> str:
        r"""Digits under bars or dots: ``\overline{16}``, ``\dot{1}4\dot{2}``."""
        digits = ""
        while self.kind() == "bar" or (digits and self.kind() == "number"):
            if self.accept("bar"):
                grouped = self.accept("{")
                digits += self.next().text
                if grouped:
                    self.expect("}")
            else:
                digits += self.next().text
        return digits

    def _mixed_fraction(self) -> Node | None:
        r"""The proper fraction after a whole number: ``2 1/2``, ``2\frac{1}{2}``."""
        start, token = self._at, self._tokens[self._at]
        if token.kind == "frac":
            self._at += 1
            fraction: Node | None = Op("div", (self._argument(), self._argument()))
        elif token.spaced and self.kind(1) == "/" and self.kind(2) == "number":
            self._at += 3
            fraction = Op("div", (literal(token.text), literal(self._tokens[self._at - 1].text)))
        else:
            raise Unsupported("two numbers without a sign between them")
        if _is_proper(fraction):
            return fraction
        self._at = start
        return None

    def _symbol(self, token: Token) -> Node:
        name = token.text
        if self.kind() == "_":
            self._at += 1
            name = f"{name}_{self._index()}"
        while self.accept("prime"):
            name += "'"
        if name[:1] in _CALLED and self._is_inverse():
            self._at += 5
            name += "^-1"
        elif self.kind() != "(" or not (name.rstrip("'") in _CALLED or self._is_defined(token)):
            return Sym(name)
        self.expect("(")
        inside = self.listed()
        self.expect(")")
        args = inside.args if isinstance(inside, Op) and inside.kind == "list" else (inside,)
        return Op("call", (Sym(name), *args), name)

    def _is_defined(self, token: Token) -> bool:
        """True for the W of ``W(x) = 1``; elsewhere ``W(x)`` is a product."""
        if self._tokens[self._first] is not token:
            return False
        kinds = [self.kind(1), self.kind(2), self.kind(3)]
        return kinds == ["sym", ")", "rel"] and self._tokens[self._at + 3].text == "="

    def _is_inverse(self) -> bool:
        kinds = tuple(self.kind(i) for i in range(6))
        return kinds == ("^", "{", "-", "number", "}", "(")

    def _index(self) -> str:
        """An index or base as text."""
        if not self.accept("{"):
            return self.next().text
        words = []
        while self.kind() != "}":
            words.append(self.next().text)
            if len(words) > 12:
                raise Unsupported("a long index")
        self._at += 1
        return "".join(words)

    # -- commands --------------------------------------------------------------------------------

    def _root(self, token: Token) -> Node:
        index: Node = Num(Fraction(3 if token.text in ("∛", "cbrt") else 2))
        if self.accept("["):
            index = self.expression()
            self.expect("]")
        if token.text in ("√", "∛") and self.kind() == "number":
            return Op("root", (literal(self.next().text), index))
        return Op("root", (self._argument(), index))

    def _argument(self) -> Node:
        r"""What a command applies to: a group, a letter, or one digit (``\frac12`` is a half)."""
        if self.kind() == "{":
            return self._group()
        token = self.next()
        if token.kind == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if token.kind == "sym":
            return Sym(token.text)
        if token.kind in ("root", "frac", "func"):
            self._at -= 1
            return self._prefix()
        if token.kind != "number" or not token.text.isdecimal():
            raise Unsupported(f"{token.text!r} where an argument should stand")
        if len(token.text) == 2 and self._tokens[self._at - 2].kind in ("frac", "binom"):
            digits = [Token("number", digit) for digit in token.text]
            self._tokens[self._at - 1 : self._at] = digits
        elif len(token.text) > 1 and self._tokens[self._at - 2].text != "sqrt":
            raise Unsupported(f"an argument of several digits without braces: {token.text[:20]}")
        elif len(token.text) > 1:
            raise Unsupported(f"a root of several digits without braces: {token.text[:20]}")
        return literal(token.text[0])

    def _group(self) -> Node:
        self.expect("{")
        inner = angle_of(self.listed())
        if self.accept("over"):
            inner = Op("div", (inner, self.expression()))
        self.expect("}")
        return inner  # of {1, 2} nobody can say whether it is a set or a group of LaTeX

    def _function(self, token: Token) -> Node:
        name, power, base = token.text, None, None
        while self.kind() in ("_", "^"):
            if self.next().kind == "_":
                base = self._group() if self.kind() == "{" else self._argument()
            else:
                power = self._group() if self.kind() == "{" else self._argument()
        args = self._operands()
        if name in ("log", "lg") and base is None:
            base = Num(Fraction(10)) if name == "lg" else None
        if power == Op("neg", (Num(Fraction(1)),)) and name in _INVERSES:
            name, power = "a" + name, None
        if name in ("log", "lg", "ln"):
            node: Node = Op("log", (args[0],) if base is None else (args[0], base), name)
            if name == "log" and base is None:
                node = Op("log", (args[0], Num(Fraction(10))), "log10?")
        elif name == "choose":
            node = Op("binom", args)
        elif name == "cis":
            node = Op("pow", (Sym("e"), Op("mul", (Sym("i"), args[0]))))
        elif name == "exp":
            node = Op("pow", (Sym("e"), args[0]))
        else:
            node = Op(name, args)
        if len(args) > 1 and name not in ("gcd", "lcm", "max", "min", "choose"):
            raise Unsupported(f"{name} of several arguments")
        return node if power is None else Op("pow", (node, power))

    def _operands(self) -> tuple[Node, ...]:
        r"""Arguments of a function; without brackets the product that follows: ``\sin 2x``."""
        if self.kind() in ("(", "{", "["):
            closing = {"(": ")", "{": "}", "[": "]"}[self.next().kind]
            inner = self.listed()
            self.expect(closing)
            is_list = isinstance(inner, Op) and inner.kind == "list"
            args = inner.args if is_list and isinstance(inner, Op) else (inner,)
            return tuple(angle_of(arg) for arg in args)
        arg = self.expression(_PRODUCT)
        chain = ""
        while self.kind() in _JOINS - {"func", "big"} and self._joins(arg):
            arg, chain = _product(arg, self.expression(_PRODUCT), chain), "mul"
        return (arg,)

    def _barred(self, token: Token) -> Node:
        self._bars += token.kind == "|"
        inner = self.expression()
        self._bars -= token.kind == "|"
        if token.kind == "|":
            self.expect("|")
            return Op("abs", (inner,))
        self.expect("]" + token.text)
        return Op(token.text, (inner,))


_INVERSES = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})


def angle_of(node: Node) -> Node:
    """An angle in degrees as the operand of something, where it is no quantity by itself."""
    if isinstance(node, Op) and node.kind == "quantity" and node.name == "degrees":
        return Op("degree", node.args)
    return node


def as_set(node: Node) -> Node:
    """Values beside a sign of sets: ``{1, 2}``, ``\\mathbb{R} \\setminus 3``."""
    if isinstance(node, Num) or (isinstance(node, Op) and node.kind in ("neg", "div", "root")):
        return Op("set", (node,))
    return Op("set", node.args) if isinstance(node, Op) and node.kind == "list" else node


def _product(left: Node, right: Node, chain: str) -> Node:
    factors = (
        left.args if chain == "mul" and isinstance(left, Op) and left.kind == "mul" else (left,)
    )
    return Op("mul", (*factors, right))


def _postfix(kind: str, left: Node) -> Node:
    name = {"%": "percent", "!": "fact", "degree": "degree", "prime": "minutes"}[kind]
    if isinstance(left, Op) and left.kind == name:
        raise Unsupported(f"{kind!r} twice")
    if kind == "prime":
        raise Unsupported("a prime after a value")
    return Op(name, (left,))


def _is_proper(node: Node | None) -> bool:
    if not isinstance(node, Op):
        return False
    above, below = node.args
    return (
        isinstance(above, Num)
        and isinstance(below, Num)
        and above.whole
        and below.whole
        and 0 < above.value < below.value
    )
