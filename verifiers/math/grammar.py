r"""Reading answers: numbers, fractions, percent, powers and roots, in LaTeX and plain text.

A tokenizer and a Pratt parser (Pratt, "Top down operator precedence", 1973) with limits on length,
depth and size. Whatever is outside of the grammar raises ``Unsupported``; nothing is guessed, and
no other library ever sees the text.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from rewardkit.verifiers._decimal import read_number
from rewardkit.verifiers.math.tree import Kind, Node, Num, Op

__all__ = ["Answer", "Unsupported", "parse"]

MAX_LENGTH = 2000
"""Longest text read, in characters."""
MAX_TOKENS = 200
MAX_DEPTH = 40
"""Deepest nesting of brackets, signs and exponents."""


class Unsupported(Exception):  # noqa: N818 - says what the text is, not that anything failed
    """The text is outside of the grammar; the message says where."""


class Answer(NamedTuple):
    """What a text says: a value, and the name it gives to it (``x = 3``) if any."""

    value: Node
    name: str | None


def parse(text: str) -> Answer:
    """Read an answer.

    Raises:
        Unsupported: for everything outside of the grammar or its limits.
    """
    if len(text) > MAX_LENGTH:
        raise Unsupported(f"longer than {MAX_LENGTH} characters")
    name, body = _named(_bare(text))
    tokens = _tokens(body)
    if not tokens:
        raise Unsupported("empty")
    parser = _Parser(tokens)
    value = parser.expression(0)
    if (rest := parser.peek()) is not None:
        raise Unsupported(f"{rest.text!r} after the value")
    return Answer(value, name)


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}", re.DOTALL)
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_DELIMITERS = re.compile(r"\$|\\[()\[\]]|\\(?:left|right|displaystyle)(?![A-Za-z])")
_SPACES = re.compile(r"\\(?:[,;:! ]|quad|qquad)|~")
_GROUPED = re.compile(r"(?<=[0-9])(?:\{,\}|\\,|\\!,|,\\!)(?=[0-9]{3}(?![0-9]))")


def _bare(text: str) -> str:
    """Without what is written around or inside of an answer but says nothing."""
    text = text.strip().removesuffix(".")
    if text[:2] == "**" and text[-2:] == "**" and len(text) > 4:
        text = text[2:-2]
    if box := _BOX.fullmatch(text.strip(" $")):
        text = box[1]
    text = _GROUPED.sub(",", text).replace("\\%", "%").replace("\\$", "$")
    text = _WRAPPED.sub(r" \1 ", text)
    # A space, never nothing: $4$$2$ is not 42.
    text = _SPACES.sub(" ", _DELIMITERS.sub(" ", text))
    return text.strip().removesuffix(".").strip()


_NAME = re.compile(r"\\?([A-Za-z]{1,8}(?:_[A-Za-z0-9])?)\s*=(?!=)")


def _named(text: str) -> tuple[str | None, str]:
    match = _NAME.match(text)
    return (match[1], text[match.end() :]) if match else (None, text)


class _Token(NamedTuple):
    """``kind`` is ``"number"``, ``"frac"``, ``"root"`` or the symbol itself."""

    kind: str
    text: str
    spaced: bool = False


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"
    r"|\.[0-9]+(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<frac>\\[dtc]?frac(?![A-Za-z]))|(?P<root>\\sqrt(?![A-Za-z])|sqrt(?=\s*\()|√)"
    r"|(?P<times>\\cdot(?![A-Za-z])|\\times(?![A-Za-z])|\*(?!\*)|[·×⋅])"
    r"|(?P<over>\\div(?![A-Za-z])|[/÷∕⁄])|(?P<power>\^|\*\*)|(?P<minus>[-−])"
    r"|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)|(?P<symbol>[-+(){}\[\]%]))"
)
_MEANS = {"times": "*", "over": "/", "power": "^", "minus": "-"}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or len(tokens) >= MAX_TOKENS:
            what = "too long" if match else f"{text[at:].strip()[:20]!r}"
            raise Unsupported(what)
        kind = match.lastgroup or ""
        word = match[kind]
        if kind == "raised":
            tokens += [_Token("^", "^"), _Token("number", word.translate(_RAISED))]
        else:
            kind = word if kind == "symbol" else _MEANS.get(kind, kind)
            tokens.append(_Token(kind, word, match.start(match.lastgroup or 0) > at))
        at = match.end()
    return tokens


_SUM, _PRODUCT, _POWER, _POSTFIX = 10, 20, 30, 40
_INFIX: dict[str, tuple[int, Kind]] = {
    "+": (_SUM, "add"),
    "-": (_SUM, "sub"),
    "*": (_PRODUCT, "mul"),
    "/": (_PRODUCT, "div"),
}
# What may follow a factor without a sign between them; a number may not ("4 2" is not 8).
_JOINS = frozenset({"(", "frac", "root"})


class _Parser:
    """One pass over the tokens; every method consumes what it reads."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self, ahead: int = 0) -> _Token | None:
        """The token that comes next, or ``None`` at the end."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def expression(self, floor: int) -> Node:
        """An expression of operators that bind tighter than ``floor``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsupported("nested too deeply")
        left = self._prefix()
        while (step := self._step(left, floor)) is not None:
            left = step
        self._depth -= 1
        return left

    def _step(self, left: Node, floor: int) -> Node | None:
        """``left`` with the operator after it, or ``None`` where that binds no tighter."""
        token = self.peek()
        if token is None:
            return None
        if token.kind == "%" and floor < _POSTFIX:
            if isinstance(left, Op) and left.kind == "percent":
                raise Unsupported("a percentage of a percentage")
            self._at += 1
            return Op("percent", (left,))
        if token.kind == "^" and floor < _POWER:
            self._at += 1
            # Right to left: 2^3^2 is 2^9.
            return Op("pow", (left, self.expression(_POWER - 1)))
        if token.kind in _INFIX and floor < _INFIX[token.kind][0]:
            power, kind = _INFIX[token.kind]
            self._at += 1
            return Op(kind, (left, self.expression(power)))
        if token.kind in _JOINS and floor < _PRODUCT:
            return Op("mul", (left, self.expression(_PRODUCT)))
        return None

    def _prefix(self) -> Node:
        token = self._next()
        if token.kind in ("-", "+"):
            inner = self.expression(_PRODUCT)
            return Op("neg", (inner,)) if token.kind == "-" else inner
        if token.kind == "number":
            return self._number(token)
        if token.kind == "frac":
            return Op("div", (self._argument(), self._argument()))
        if token.kind == "root":
            return self._root()
        if token.kind in ("(", "{"):
            return self._until(")" if token.kind == "(" else "}")
        raise Unsupported(f"{token.text!r} where a value should stand")

    def _number(self, token: _Token) -> Node:
        value = _literal(token.text)
        mixed = value.whole and self._mixed_fraction()
        return Op("mixed", (value, mixed)) if mixed else value

    def _mixed_fraction(self) -> Node | None:
        r"""The proper fraction after a whole number: ``2 1/2``, ``2\frac{1}{2}``."""
        start, token = self._at, self.peek()
        if token is None:
            return None
        if token.kind == "frac":
            self._at += 1
            fraction: Node | None = Op("div", (self._argument(), self._argument()))
        elif token.kind == "number" and token.spaced and self._kind(1) == "/":
            self._at += 2
            below = self._next()
            fraction = Op("div", (_literal(token.text), _literal(below.text)))
        else:
            return None
        if _is_proper(fraction):
            return fraction
        self._at = start
        return None

    def _root(self) -> Node:
        unicode = self._tokens[self._at - 1].text == "√"
        index: Node = Num(Fraction(2), True)
        if self._kind() == "[":
            self._at += 1
            index = self._until("]")
        if unicode and self._kind() == "number":
            return Op("root", (_literal(self._next().text), index))
        return Op("root", (self._argument(), index))

    def _argument(self) -> Node:
        r"""What a LaTeX command applies to: a group, or one digit (``\frac12`` is a half)."""
        token = self._next()
        if token.kind in ("{", "("):
            return self._until("}" if token.kind == "{" else ")")
        if token.kind != "number" or not token.text.isdecimal():
            raise Unsupported(f"{token.text!r} where an argument should stand")
        if len(token.text) == 2 and self._tokens[self._at - 2].kind == "frac":
            digits = [_Token("number", digit) for digit in token.text]
            self._tokens[self._at - 1 : self._at] = digits
        elif len(token.text) > 1:
            raise Unsupported(f"an argument of several digits without braces: {token.text[:20]}")
        return _literal(token.text[0])

    def _until(self, closing: str) -> Node:
        inner = self.expression(0)
        token = self._next()
        if token.kind != closing:
            raise Unsupported(f"{token.text!r} where {closing!r} should stand")
        return inner

    def _next(self) -> _Token:
        token = self.peek()
        if token is None:
            raise Unsupported("it breaks off")
        self._at += 1
        return token

    def _kind(self, ahead: int = 0) -> str | None:
        token = self.peek(ahead)
        return token.kind if token else None


def _literal(text: str) -> Num:
    value = read_number(text)
    if isinstance(value, str):
        raise Unsupported(value)
    return Num(value, all(c not in text for c in ".eE"))


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
