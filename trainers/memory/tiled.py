"""Feed-forward blocks computed some tokens at a time, in the backward pass too.

The tensors inside of such a block are the widest of a layer (3.5 times the hidden states in Llama,
and several of them). It treats every token by itself, so they need never exist for all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch.autograd.function import once_differentiable

from rewardkit.trainers.memory.parts import parts

__all__ = ["tiled"]

Block = Callable[[torch.Tensor], torch.Tensor]


def tiled(
    block: Block, x: torch.Tensor, tile: int, parameters: Sequence[torch.nn.Parameter]
) -> torch.Tensor:
    """``block(x)``, for at most ``tile`` tokens at a time.

    Args:
        block: maps ``[n, H]`` to ``[n, K]``, every row by itself.
        x: ``[..., H]``.
        tile: tokens at a time.
        parameters: those of the block that are learned.

    Returns:
        ``[..., K]``. Its gradient calls the block again, tile by tile; sums of gradients over tiles
        are made in float32 at least. Random numbers (dropout) are those of the forward pass.
    """
    if x[..., 0].numel() <= tile:
        return block(x)
    if not torch.is_grad_enabled():
        return _forward(block, x, tile)
    apply = cast("Callable[..., torch.Tensor]", _Tiled.apply)
    return apply(block, tile, x, *parameters)


def _forward(block: Block, x: torch.Tensor, tile: int) -> torch.Tensor:
    rows = x.reshape(-1, x.shape[-1])
    out: torch.Tensor | None = None
    for part in parts(len(rows), tile):
        piece = block(rows[part])
        if out is None:
            out = piece.new_empty((len(rows), piece.shape[-1]))
        out[part] = piece
        del piece
    assert out is not None
    return out.view(*x.shape[:-1], -1)


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, block: Block, tile: int, x: torch.Tensor, *parameters: torch.nn.Parameter
    ) -> torch.Tensor:
        ctx.block, ctx.tile, ctx.parameters = block, tile, parameters
        ctx.ambient, ctx.generators = _Ambient(x.device.type), _generators(x.device)
        ctx.save_for_backward(x)
        with ctx.ambient.again():
            return _forward(block, x, tile)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        rows, pull = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        wanted = ctx.needs_input_grad[2]
        out = torch.empty_like(rows) if wanted else None
        sums: list[torch.Tensor | None] = [None] * len(ctx.parameters)
        with _replayed(x.device, ctx.generators):
            for part in parts(len(rows), ctx.tile):
                piece = rows[part].detach().requires_grad_(wanted)
                with torch.enable_grad(), ctx.ambient.again():
                    y = ctx.block(piece)
                leaves = ([piece] if wanted else []) + list(ctx.parameters)
                found = torch.autograd.grad(y, leaves, pull[part], allow_unused=True)
                if out is not None and found[0] is not None:
                    out[part] = found[0]
                _add(sums, found[len(found) - len(sums) :])
                del y, found, piece
        made = [
            None if s is None else s.to(p.dtype) for s, p in zip(sums, ctx.parameters, strict=True)
        ]
        return None, None, None if out is None else out.view_as(x), *made


def _add(sums: list[torch.Tensor | None], found: Sequence[torch.Tensor | None]) -> None:
    for k, g in enumerate(found):
        if g is None:
            continue
        total = sums[k]
        if total is None:
            sums[k] = g.to(torch.promote_types(g.dtype, torch.float32))
        else:
            total.add_(g)


class _Ambient:
    """The autocast that a forward pass ran under, for its repetition in the backward pass.

    Without its cache: a weight cast where no gradient was asked for would be found there where one
    is.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._on = torch.is_autocast_enabled(device)
        self._dtype = torch.get_autocast_dtype(device)

    def again(self) -> torch.autocast:
        return torch.autocast(
            self._device, dtype=self._dtype, enabled=self._on, cache_enabled=False
        )


def _generators(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.get_rng_state(), own


@contextmanager
def _replayed(
    device: torch.device, states: tuple[torch.Tensor, torch.Tensor | None]
) -> Iterator[None]:
    devices = [device] if states[1] is not None else []
    with torch.random.fork_rng(devices):
        torch.set_rng_state(states[0])
        if states[1] is not None:
            torch.cuda.set_rng_state(states[1], device)
        yield
