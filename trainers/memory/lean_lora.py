"""A linear layer with a low-rank adapter (LoRA, arXiv 2106.09685) as one operation.

peft's own keeps, for each adapted layer, its input in the adapter's type, and makes the sum of base
and adapter out of several tensors as large as the output. Here the input is kept as it came, which
layers that read the same input share, and the adapter's part is added in place. Where the adapter
is in float32 and the rest is not, rows are cast some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from rewardkit.trainers.memory.parts import parts

__all__ = ["lean_lora"]

Dense = Callable[[], torch.Tensor]

_CHUNK = 32 * 2**20
"""Bytes that a cast of the rows in work may take."""


def lean_lora(
    x: torch.Tensor,
    dense: Dense,
    bias: torch.Tensor | None,
    a: torch.Tensor,
    b: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """``x W^T + bias + scale * (x A^T) B^T``.

    Args:
        x: ``[..., in]``.
        dense: gives the frozen ``W``, ``[out, in]``; called again in the backward pass, so that a
            quantised weight exists unpacked for one product only.
        bias: ``[out]``, frozen.
        a: ``[r, in]``.
        b: ``[out, r]``.
        scale: of the adapter.
    """
    if torch.is_grad_enabled() and (x.requires_grad or a.requires_grad or b.requires_grad):
        apply = cast("Callable[..., torch.Tensor]", _LeanLora.apply)
        return apply(x, dense, bias, a, b, scale)
    return _forward(x, dense, bias, a, b, scale, _types(x, a))


def _types(x: torch.Tensor, a: torch.Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Of the products with the base, and of those with the adapter."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        return dtype, dtype
    return x.dtype, a.dtype


def _parts(
    rows: torch.Tensor, width: int, low: torch.dtype, *present: torch.dtype
) -> Iterator[slice]:
    """All rows at once if nothing must be cast, else as many as the cast may take."""
    size = len(rows) if all(dtype == low for dtype in present) else _CHUNK // (width * low.itemsize)
    return parts(len(rows), max(1, size))


def _forward(
    x: torch.Tensor,
    dense: Dense,
    bias: torch.Tensor | None,
    a: torch.Tensor,
    b: torch.Tensor,
    scale: float,
    types: tuple[torch.dtype, torch.dtype],
) -> torch.Tensor:
    dtype, low = types
    with torch.autocast(x.device.type, enabled=False):
        rows = x.reshape(-1, x.shape[-1])
        y = linear(rows.to(dtype), dense().to(dtype), None if bias is None else bias.to(dtype))
        a, b = a.to(low), b.to(low)
        for part in _parts(rows, len(b), low, x.dtype, dtype):
            inner = rows[part].to(low) @ a.T
            if y.dtype == low:
                y[part].addmm_(inner, b.T, alpha=scale)
            else:
                y[part] = y[part].to(low).addmm_(inner, b.T, alpha=scale)
        return y.view(*x.shape[:-1], -1)


class _LeanLora(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dense: Dense,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.dense, ctx.scale, ctx.types = dense, scale, _types(x, a)
        ctx.save_for_backward(x, a, b)
        return _forward(x, dense, bias, a, b, scale, ctx.types)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, own_a, own_b = ctx.saved_tensors
        dtype, low = ctx.types
        rows, pull = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        a, b = own_a.to(low), own_b.to(low)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (pull.to(dtype) @ ctx.dense().to(dtype)).to(x.dtype)
        total = torch.promote_types(low, torch.float32)
        to_a = torch.zeros(a.shape, dtype=total, device=a.device)
        to_b = torch.zeros(b.shape, dtype=total, device=b.device)
        widest = max(a.shape[1], len(b))
        for part in _parts(rows, widest, low, x.dtype, pull.dtype):
            pulled, seen = pull[part].to(low), rows[part].to(low)
            inner = pulled @ b
            to_a.add_(inner.T @ seen, alpha=ctx.scale)
            to_b.add_(pulled.T @ (seen @ a.T), alpha=ctx.scale)
            del pulled, seen
            if to_x is None:
                continue
            if to_x.dtype == low:
                to_x[part].addmm_(inner, a, alpha=ctx.scale)
            else:
                to_x[part] = to_x[part].to(low).addmm_(inner, a, alpha=ctx.scale)
        made = None if to_x is None else to_x.view(x.shape)
        return made, None, None, to_a.to(own_a.dtype), to_b.to(own_b.dtype), None
