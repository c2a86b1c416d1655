"""Values with a unit, also where the unit is written as letters: ``5 m / s``."""

from __future__ import annotations

from fractions import Fraction

from rewardkit.verifiers.math.tree import Node, Num, Op, Sym, free_symbols, is_value, number
from rewardkit.verifiers.math.units import UNIT_NAMES
from rewardkit.verifiers.math.values import factors

__all__ = ["is_quantity", "kelvins", "radians", "split", "times"]


def is_quantity(node: Node) -> bool:
    """True for a value with a unit."""
    return isinstance(node, Op) and node.kind == "quantity"


def split(node: Node) -> tuple[Node, str]:
    """Value and unit; ``5 m`` written without a mark is a product of 5 and m."""
    if isinstance(node, Op) and node.kind == "quantity":
        return node.args[0], node.name
    if not (isinstance(node, Op) and node.kind in ("mul", "div")):
        return node, ""
    values, names = list[Node](), list[str]()
    for factor, inverse in factors(node):
        base, power = _powered(factor)
        if isinstance(base, Sym) and base.name in UNIT_NAMES and power:
            names.append(("/" if inverse else "*") + base.name + power)
        elif free_symbols(factor):
            return node, ""
        else:
            values.append(Op("inv", (factor,)) if inverse else factor)
    if not names or not values or names[0][0] == "/":
        return node, ""
    return (values[0] if len(values) == 1 else Op("mul", tuple(values))), "".join(names)[1:]


def _powered(node: Node) -> tuple[Node, str]:
    """A base and its whole power as text (" " for none)."""
    if isinstance(node, Op) and node.kind == "pow" and isinstance(node.args[1], Num):
        return node.args[0], f"^{node.args[1].value}" if node.args[1].value < 10 else ""
    return node, " "


def times(node: Node, factor: Fraction) -> Node:
    """The tree times an exact factor."""
    return Op("mul", (node, number(factor)))


_DEGREES = {"celsius": (Fraction(1), Fraction("273.15")), "kelvin": (Fraction(1), Fraction(0)),
            "fahrenheit": (Fraction(5, 9), Fraction("459.67") * 5 / 9)}  # fmt: skip
_SCALES = {"°C": "celsius", "°F": "fahrenheit", "K": "kelvin", "degrees celsius": "celsius",
           "degrees fahrenheit": "fahrenheit"}  # fmt: skip


def kelvins(value: Node, name: str) -> Node | None:
    """A temperature as a tree in kelvins; ``None`` for other quantities."""
    scale = _DEGREES.get(_SCALES.get(name, _SCALES.get(name.lower(), name.lower())))
    if scale is None:
        return None
    return Op("add", (times(value, scale[0]), number(scale[1])))


def radians(node: Node) -> Node | None:
    """An angle as a tree of radians, if it can be one."""
    value, name = split(node)
    if name == "degrees" and is_value(value):
        return Op("degree", (value,))
    if name in ("", "rad", "radian", "radians") and is_value(value):
        return value
    return None
