"""Values for people to read: short, whatever they are."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from rewardkit.verifiers.code.extras import Array
from rewardkit.verifiers.code.received import Ratio, Unordered

__all__ = ["MAX_SHOWN", "show"]

MAX_SHOWN = 200
"""Most characters of one value."""

_ITEMS, _LEVELS, _TEXT, _BITS = 8, 4, 120, 256


def show(value: object) -> str:
    """A plain value, cut short. Never prints all of a large one: a long integer's digits alone
    take quadratic time, and Python refuses to write more than 4300 of them.

    Example:
        >>> show([1, "a", 2**10_000])
        "[1, 'a', <integer of 10001 bits>]"
    """
    text = _show(value, _LEVELS)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _show(value: object, levels: int) -> str:
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"<integer of {value.bit_length()} bits>"
    if isinstance(value, Ratio | Fraction):
        return f"{_show(value.numerator, levels)}/{_show(value.denominator, levels)}"
    if isinstance(value, Decimal):
        return f"Decimal({str(value)[:_TEXT]!r})"
    if isinstance(value, Array):
        return f"array({_show(value.items, levels)})"
    if isinstance(value, str | bytes):
        return repr(value[:_TEXT]) + ("…" if len(value) > _TEXT else "")
    if isinstance(value, list):
        return f"[{_items(value, levels)}]"
    if isinstance(value, tuple):
        return f"({_items(list(value), levels)})"
    if isinstance(value, Unordered):
        return f"{{{_items(value.items, levels, value.tag == b'd')}}}"
    if isinstance(value, dict):
        flat = [part for pair in value.items() for part in pair]
        return f"{{{_items(flat, levels, pairs=True)}}}"
    if isinstance(value, set | frozenset):
        return f"{{{_items(list(value), levels)}}}"
    return repr(value)[:_TEXT]


def _items(items: list[object], levels: int, pairs: bool = False) -> str:
    if not levels:
        return "…" if items else ""
    shown = [_show(item, levels - 1) for item in items[: 2 * _ITEMS if pairs else _ITEMS]]
    rest = "" if len(shown) == len(items) else ", …"
    if pairs:
        shown = [f"{key}: {val}" for key, val in zip(shown[::2], shown[1::2], strict=True)]
    return ", ".join(shown) + rest
