r"""The grammar of operators over an index or a variable: sums, products, integrals, limits,
derivatives. They are kept as they are, to be refused by the form of an answer or to be worked out.
"""

from __future__ import annotations

from fractions import Fraction

from rewardkit.verifiers.math.grammar import SUM, Values
from rewardkit.verifiers.math.lexer import Token, Unsupported
from rewardkit.verifiers.math.tree import Node, Num, Op, Sym

__all__ = ["Operators"]

_D = Sym("d")
_MAX_MARK = 24


class Operators(Values):
    """Values, and operators before them."""

    def big(self, token: Token) -> Node:
        r"""``\sum_{k=1}^{n}``, ``\int_a^b``, ``\lim_{x \to a}`` and what they apply to."""
        if token.text == "lim":
            return self._limit()
        marks: list[Node] = []
        while self.kind() in ("_", "^"):
            self._at += 1
            marks.append(self._group() if self.kind() == "{" else self._argument())
        return Op(token.text, (self.expression(SUM), *marks))

    def _limit(self) -> Node:
        self.expect("_")
        self.expect("{")
        variable = self.expect("sym")
        self.expect("to")
        side = self._side_of_limit()
        target = self.expression()
        self.expect("}")
        return Op("lim", (self.expression(SUM), Sym(variable.text), target), side)

    def _side_of_limit(self) -> str:
        """The ``^+`` or ``^-`` at the end of the mark, taken out of the tokens."""
        end = next((i for i in range(_MAX_MARK) if self.kind(i) in ("}", "")), 0)
        braced = self.kind(end - 2) == "{"  # 0^{+}, not 0^+
        at, sign = end - (3 if braced else 2), self.kind(end - 1)
        if at < 1 or self.kind(at) != "^" or sign not in ("+", "-"):
            return ""
        del self._tokens[self._at + at : self._at + end + braced]
        return sign

    def derivative(self, above: Node, below: Node) -> Node | None:
        r"""``\frac{d}{dx} f`` and what follows it, or the name ``\frac{dy}{dx}``; else ``None``."""
        variable, order = _differential(below)
        if variable is None:
            return None
        if above == _D or (order > 1 and above == _power(order)):
            if self.kind() in ("", "rel", ",", ")", "}"):
                raise Unsupported("a derivative of nothing")
            body = self.expression(SUM)
            if _is_function(body):  # the name of f'(x), not a derivative to be worked out
                return Op("call", (body, variable), f"d{order}")
        elif isinstance(above, Op) and above.kind == "mul" and above.args[0] in (_D, _power(order)):
            rest = above.args[1:]
            body = rest[0] if len(rest) == 1 else Op("mul", rest)
            if _is_function(body):
                return Op("call", (body, variable), f"d{order}")
        else:
            return None
        return Op("diff", (body, variable, Num(Fraction(order))))


def _is_function(node: Node) -> bool:
    return isinstance(node, Sym) or (isinstance(node, Op) and node.kind == "call")


def _power(order: int) -> Node:
    return Op("pow", (_D, Num(Fraction(order))))


def _differential(node: Node) -> tuple[Sym | None, int]:
    """The variable and order that ``dx`` or ``dx^2`` names."""
    if not (isinstance(node, Op) and node.kind == "mul" and len(node.args) == 2):
        return None, 1
    first, second = node.args
    if first != _D:
        return None, 1
    if isinstance(second, Op) and second.kind == "pow" and isinstance(second.args[1], Num):
        base, power = second.args[0], second.args[1].value
        if isinstance(base, Sym) and power.denominator == 1 and 1 < power < 10:
            return base, int(power)
    return (second, 1) if isinstance(second, Sym) else (None, 1)
