"""What weights in four bits take, without bitsandbytes: by arithmetic, and with a stand-in.

Four bits a weight, in blocks of 64 with a scale each; with double quantisation the scales take
eight bits in blocks of 256, with a float32 scale each (arXiv 2305.14314, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import MethodType
from typing import Any, cast

import torch
from torch.nn.functional import linear

from rewardkit.trainers.config import QuantSettings
from rewardkit.trainers.memory.account import Account

__all__ = ["four_bit_bytes", "packed_bytes", "pretend_four_bits", "quantised_layers"]

_BLOCK, _NESTED = 64, 256
_CODES = 16 * 4, 256 * 4
"""Bytes of the tables of values of one weight: of the four bits, and of the eight of its scales."""


def packed_bytes(count: int, nested: bool) -> int:
    """Bytes of ``count`` weights in four bits with all that belongs to them."""
    blocks = -(-count // _BLOCK)
    if not nested:
        return -(-count // 2) + 4 * blocks + _CODES[0]
    scales = blocks + 4 * -(-blocks // _NESTED) + 4  # and the mean that was taken off them
    return -(-count // 2) + scales + sum(_CODES)


def quantised_layers(model: Any) -> Iterator[torch.nn.Linear]:
    """The linear layers that are loaded in four bits: all but the head, and adapters."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = base.get_output_embeddings()
    for name, module in base.named_modules():
        own = type(module) is torch.nn.Linear and "lora_" not in name
        if own and module is not head and getattr(head, "base_layer", None) is not module:
            yield module


def four_bit_bytes(model: Any, quant: QuantSettings) -> dict[int, int]:
    """Bytes by the ``id`` of each quantised weight."""
    return {
        id(layer.weight): packed_bytes(layer.weight.numel(), quant.use_bnb_nested_quant)
        for layer in quantised_layers(model)
    }


def pretend_four_bits(model: Any, dtype: torch.dtype, account: Account | None = None) -> None:
    """Let quantised layers of a fake model unpack their weight for each product, as real ones do.

    Args:
        model: on fake tensors.
        dtype: that weights are unpacked to.
        account: books what is unpacked under ``dequantisation``.
    """
    for layer in quantised_layers(model):
        dense = _Unpacking(layer.weight, dtype, account)
        layer.__dict__["_dense"] = dense
        layer.__dict__["forward"] = MethodType(_forward, layer)


class _Unpacking:
    def __init__(self, weight: torch.Tensor, dtype: torch.dtype, account: Account | None) -> None:
        self._weight, self._dtype, self._account = weight, dtype, account

    def __call__(self) -> torch.Tensor:
        account = self._account
        with nullcontext() if account is None else account.caused_by("dequantisation"):
            return torch.empty_like(self._weight, dtype=self._dtype)


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    apply = cast("Callable[..., torch.Tensor]", _Product.apply)
    return apply(x, self._dense, self.bias)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, dense: Any, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.dense = dense
        return linear(x, dense().to(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return g @ ctx.dense().to(g.dtype), None, None
