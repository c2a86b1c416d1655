"""Plain values as JSON can carry them: what it cannot say stands in an object with one key."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rewardkit.verifiers.code.extras import Array, CodecError
from rewardkit.verifiers.code.forms import canonical
from rewardkit.verifiers.code.show import show

__all__ = ["tagged", "untagged"]


def _array(parts: Any) -> Array:
    dtype, shape, items = parts
    return Array(dtype, tuple(shape), items)


# Datasets may write these too.
_FROM_TAG: dict[str, Callable[[Any], object]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": lambda pairs: dict(pairs),
    "$bytes": bytes.fromhex,
    "$complex": lambda parts: complex(*parts),
    "$float": float,
    "$decimal": Decimal,
    "$fraction": lambda parts: Fraction(*parts),
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda parts: timedelta(*parts),
    "$array": _array,
}


def untagged(value: object) -> object:
    """With every tag as what it stands for. Recursive, but no deeper than the codec lets values be.

    Raises:
        CodecError: for a tag that stands for nothing.
    """
    if isinstance(value, list):
        return [untagged(item) for item in value]
    if isinstance(value, tuple):
        return tuple(untagged(item) for item in value)
    if not isinstance(value, dict):
        return value
    inner = {key: untagged(item) for key, item in value.items()}
    tag = next(iter(inner)) if len(inner) == 1 else None
    if not isinstance(tag, str) or tag not in _FROM_TAG:
        return inner
    try:
        return _FROM_TAG[tag](inner[tag])
    except (TypeError, ValueError, ArithmeticError) as error:
        shown = f"{type(value).__name__}: {show(value)}"
        raise CodecError(f"{shown} does not stand for a value: {error}") from None


def tagged(value: object) -> Any:
    """As JSON can carry it, so that :func:`untagged` gives the same again."""
    if isinstance(value, list):
        return [tagged(item) for item in value]
    if isinstance(value, dict):
        ambiguous = len(value) == 1 and next(iter(value)) in _FROM_TAG
        if ambiguous or not all(isinstance(key, str) for key in value):
            return {"$dict": [[tagged(key), tagged(item)] for key, item in value.items()]}
        return {key: tagged(item) for key, item in value.items()}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {f"${kind.__name__}": [tagged(item) for item in _ordered(value)]}
    return _scalar(value)


def _scalar(value: object) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, complex):
        return {"$complex": [tagged(value.real), tagged(value.imag)]}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, Fraction):
        return {"$fraction": [value.numerator, value.denominator]}
    if isinstance(value, timedelta):
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, datetime | date | time):
        return {f"${type(value).__name__}": value.isoformat()}
    if isinstance(value, Array):
        return {"$array": [value.dtype, list(value.shape), tagged(value.items)]}
    return value


def _ordered(value: Any) -> list[Any]:
    # A set's own order changes from run to run, and with it the fingerprint of a rubric.
    return list(value) if isinstance(value, tuple) else sorted(value, key=_sort_key)


def _sort_key(value: object) -> bytes:
    return canonical(value, typed=True) or b""
