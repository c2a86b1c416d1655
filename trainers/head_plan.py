"""How the head's work is cut so that it stays within its budget of memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rewardkit.trainers.head_terms import Terms

__all__ = ["Curve", "Plan", "strip_bytes"]

_STRIP = 2 * 2**20
"""Bytes that elementwise work goes through at a time: what stays in a core's cache."""
_FEW_ROWS = {"cpu": 48, "cuda": 96}
"""With fewer rows than this to a product, making the logits a second time costs less than reading
the whole embedding for so few."""
_MIXED = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 8)
"""Whether products of low-precision matrices can come out in float32 (CUDA only)."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What happens to a projection until it is a logit: ``gain * c(alpha * .)``.

    Attributes:
        alpha: factor on the projection.
        gain: factor after the cap; 1 without one.
        capped: whether ``c`` is the hyperbolic tangent.
    """

    alpha: float = 1.0
    gain: float = 1.0
    capped: bool = False

    @classmethod
    def of(cls, scale: float, softcap: float | None, temperature: float) -> Curve:
        """``scale`` on the logits, then the cap, then the temperature."""
        if softcap is None:
            return cls(alpha=scale / temperature)
        return cls(scale / softcap, softcap / temperature, capped=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the logits are cut.

    Attributes:
        rows: positions at a time.
        columns: entries of the vocabulary at a time.
        math: type of the factors of the products.
        total: type in which they are summed, and in which everything else is done.
    """

    rows: int
    columns: int
    math: torch.dtype
    total: torch.dtype

    @classmethod
    def of(cls, terms: Terms, capped: bool, budget: int) -> Plan:
        """The cut that stays within ``budget`` bytes, buffers and temporaries together."""
        states = terms.inputs[0]
        vocabulary, width = len(terms.weights[0]), sum(x.shape[1] for x in terms.inputs)
        math, total = _types(terms)
        item, mixed = total.itemsize, math != total
        # A weight that must be converted is converted a piece at a time.
        convert = any(w.dtype != math for w in terms.weights) * width * math.itemsize
        strips = 3 if capped else 2
        logit = item + mixed * math.itemsize  # the buffer, and its copy for the products
        row = width * (3 * item + mixed * math.itemsize) + 16 * item
        # A sixteenth is left for what products need within themselves.
        free = max(budget * 15 // 16 - strips * strip_bytes(states, budget), budget // 4)
        rows, columns = free // (logit * vocabulary + row), vocabulary
        few = _FEW_ROWS.get(states.device.type, 48)
        if convert or rows < min(few, len(states)):
            rows = max(1, min(len(states), 512, free // (4 * row)))
            columns = max(1, (free - rows * row) // (rows * logit + convert))
        return cls(max(1, min(rows, len(states))), min(columns, vocabulary), math, total)


def _types(terms: Terms) -> tuple[torch.dtype, torch.dtype]:
    states, weight = terms.inputs[0], terms.weights[0]
    kind = torch.promote_types(states.dtype, weight.dtype)
    device = states.device.type
    if torch.is_autocast_enabled(device) and kind != torch.float64:
        kind = torch.get_autocast_dtype(device)
    total = torch.float64 if kind == torch.float64 else torch.float32
    # Off the GPU there are no products that take half precision and sum in float32.
    return (kind if states.is_cuda and _MIXED else total), total


def strip_bytes(like: torch.Tensor, budget: int) -> int:
    """A GPU wants few large launches, a core what fits its cache."""
    return max(4, min(budget // 8, _STRIP) if not like.is_cuda else budget // 8)
