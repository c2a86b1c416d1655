"""Attention over packed rows, put in place of a model's own through ``transformers``' interface.

No mask is ever made, and no key is copied for a completion. Where a token sees two runs of keys
(its prompt, and its own past), each is attended to by itself and both are joined by their
normalisers, as in ring attention (arXiv 2310.01889): ``softmax`` over the union is the mean of the
two results, weighted by their masses. Backward the same kernels run with the joined result.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rewardkit.trainers.segments import Layout, Piece, Pieces

__all__ = ["LAYOUT", "NAME", "UnpackableError", "attend", "install"]

NAME = "rewardkit"
"""What the attention is registered as. Without a layout it is ``sdpa``."""
LAYOUT = "packed_layout"
"""The argument by which a layout reaches it through the layers of a model, in the forward pass and
again where a checkpointed layer is computed a second time."""

_UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")
"""What some models ask of attention beyond what is done here."""


class UnpackableError(Exception):
    """A model asks for an attention that packed rows do not have."""


def install(model: Any) -> str | None:
    """Give a model this attention in place of ``sdpa``; a reason why not, if it cannot be."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    own = model.config._attn_implementation
    if own == NAME:
        return None
    if own != "sdpa":
        return f"its attention is {own!r} and not 'sdpa'"
    if not getattr(model, "_supports_attention_backend", False):
        return "its attention cannot be replaced"
    model.set_attn_implementation(NAME)
    return None if model.config._attn_implementation == NAME else "its attention stays as it is"


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """As ``transformers`` calls it: ``[1, heads, T, D]`` to ``[1, T, heads, D]``.

    Raises:
        UnpackableError: if the model wants more of it than this.
    """
    layout = kwargs.pop(LAYOUT, None)
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    wanted = [name for name in _UNKNOWN if kwargs.get(name) is not None]
    # The mask of packed rows has one entry, and says nothing. What a model makes of it by itself
    # (biases that it learns, keys that it chooses) would be left out, and never learned.
    if attention_mask is not None and attention_mask.numel() > 1:
        wanted.append("a mask of its own")
    if wanted or kwargs.get("is_causal") is False:
        raise UnpackableError(f"its attention has {wanted[0] if wanted else 'no causal order'}")
    window = kwargs.get("sliding_window")
    if window is not None and layout.longest > window:
        raise UnpackableError(f"its attention reaches {window} tokens")
    query, key, value = _as_autocast(query, key, value)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    fits = query.device.type == "cpu" and not dropout and query.shape[-1] == value.shape[-1]
    if fits and not layout.alone:  # one sequence is the usual call, which keeps least
        return _joined(query, key, value, layout, scale), None
    return _apart(query, key, value, layout, scale, dropout), None


def _as_autocast(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """In the type that ``scaled_dot_product_attention`` would have taken them in."""
    kind = tensors[0].device.type
    if torch.is_autocast_enabled(kind) and tensors[0].dtype != torch.float64:
        return [t.to(torch.get_autocast_dtype(kind)) for t in tensors]
    return list(tensors)


def _apart(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scale: float,
    dropout: float,
) -> torch.Tensor:
    """A call for each completion, its prompt's keys before its own; on any device."""
    groups = query.shape[1] // key.shape[1]
    out = []
    for family in layout.families:
        prompt = slice(family.start, family.start + family.prefix)
        for start, length in family.segments():
            own = slice(start, start + length)
            q, k, v = (x[:, :, own] for x in (query, key, value))
            bias = None
            if family.prefix and own != prompt:
                k, v = (torch.cat([x[:, :, prompt], y], 2) for x, y in ((key, k), (value, v)))
                # Of the kernels that take this order none takes fewer heads of keys.
                k, v = (x.repeat_interleave(groups, 1) if groups > 1 else x for x in (k, v))
                bias = causal_lower_right(length, family.prefix + length)
            out.append(
                scaled_dot_product_attention(
                    q, k, v, attn_mask=bias, dropout_p=dropout, is_causal=bias is None,
                    scale=scale, enable_gqa=bias is None and groups > 1,
                )
            )  # fmt: skip
    return (out[0] if len(out) == 1 else torch.cat(out, 2)).transpose(1, 2)


def _joined(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scale: float
) -> torch.Tensor:
    """All of a kind in few calls, on the processor."""
    heads, tokens = query.shape[1:3]
    kv, width = key.shape[1], query.shape[-1]
    pieces = layout.pieces(heads * width)
    # [key heads, T, queries to each, D] and [key heads, T, D]
    q = query[0].view(kv, heads // kv, tokens, width).transpose(1, 2)
    out: torch.Tensor = _Joined.apply(q, key[0], value[0], pieces, scale)  # type: ignore[no-untyped-call]
    return out.transpose(0, 1).reshape(1, tokens, heads, width)


class _Joined(torch.autograd.Function):
    """Attention of ``q [K, T, n, D]`` to ``k, v [K, T, D]``, ``[K, T, n, D]``."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        pieces: Pieces,
        scale: float,
    ) -> torch.Tensor:
        out = _row_major(q)
        mass = q.new_empty(q.shape[:3], dtype=torch.promote_types(q.dtype, torch.float32))
        for piece in pieces.own:
            part, logs = _forward(q, k, v, piece, scale)
            _put(out, piece, part)
            _put(mass, piece, logs)
        for piece in pieces.shared:
            part, logs = (_only_real(x, piece) for x in _forward(q, k, v, piece, scale))
            before, logs_before = _real(out, piece), _real(mass, piece)
            share = torch.sigmoid(logs - logs_before)[..., None]
            joined = torch.lerp(before.to(share.dtype), part.to(share.dtype), share)
            _put(out, piece, joined.to(out.dtype), real=True)
            _put(mass, piece, torch.logaddexp(logs, logs_before), real=True)
        ctx.save_for_backward(q, k, v, out, mass)
        ctx.pieces, ctx.scale = pieces, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, out, mass = ctx.saved_tensors
        dq, dk, dv = _row_major(q), torch.empty_like(k), torch.empty_like(v)
        for piece in ctx.pieces.own:
            parts = _backward(grad, q, k, v, out, mass, piece, ctx.scale)
            for whole, part in zip((dq, dk, dv), parts, strict=True):
                _put(whole, piece, part)
        for piece in ctx.pieces.shared:
            parts = _backward(grad, q, k, v, out, mass, piece, ctx.scale)
            _add(dq, piece, parts[0])
            for whole, part in zip((dk, dv), parts[1:], strict=True):
                _add_keys(whole, piece, part)
        return dq, dk, dv, None, None


def _row_major(like: torch.Tensor) -> torch.Tensor:
    """Empty, ``[K, T, ...]``, in memory token by token as a model's next layer wants it."""
    return like.new_empty((like.shape[1], like.shape[0], *like.shape[2:])).transpose(0, 1)


def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, piece: Piece, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Result ``[K, rows, n, D]`` and normaliser ``[K, rows, n]`` of a piece."""
    parts = _queries(q, piece), *(_keys(x, piece, q.shape[2]) for x in (k, v))
    out, logs = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        *parts, 0.0, piece.causal, scale=scale
    )
    return _rows(out, len(q)), _rows(logs, len(q))


def _backward(
    grad: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    mass: torch.Tensor,
    piece: Piece,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of a piece's queries, keys and values, laid out as :func:`_forward`'s result.

    With the result and the normaliser of all keys, the kernel gives this piece's share.
    """
    given = _queries(grad, piece)
    if piece.real is not None:  # what fills up has no gradient
        blank = torch.ones(len(piece.queries), dtype=torch.bool, device=grad.device)
        blank[piece.real] = False
        lines = given.transpose(1, 2).reshape(len(q), -1, *q.shape[2:])
        lines[:, blank] = 0
        given = lines.view(given.shape[0], -1, *q.shape[2:]).transpose(1, 2)
    heads = q.shape[2]
    parts = _queries(q, piece), *(_keys(x, piece, heads) for x in (k, v)), _queries(out, piece)
    dq, dk, dv = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        given, *parts, _queries(mass, piece), 0.0, piece.causal, scale=scale
    )
    sums = [_rows(x.sum(1, keepdim=True), len(q))[:, :, 0] for x in (dk, dv)]
    return _rows(dq, len(q)), sums[0], sums[1]


def _queries(x: torch.Tensor, piece: Piece) -> torch.Tensor:
    """``[K, T, n, ...]`` to ``[K * batch, n, length, ...]``."""
    if piece.single is not None:
        return x[:, piece.single[0]].transpose(1, 2)
    found = x.index_select(1, piece.queries)
    return found.view(len(x) * piece.batch, -1, *x.shape[2:]).transpose(1, 2)


def _keys(x: torch.Tensor, piece: Piece, heads: int) -> torch.Tensor:
    """``[K, T, D]`` to ``[K * batch, heads, length, D]``, heads sharing their memory."""
    if piece.single is not None:
        found = x[:, piece.single[1]]
    else:
        found = x.index_select(1, piece.keys).view(len(x) * piece.batch, -1, x.shape[2])
    return found[:, None].expand(-1, heads, -1, -1)


def _rows(x: torch.Tensor, key_heads: int) -> torch.Tensor:
    """``[K * batch, n, length, ...]`` to ``[K, batch * length, n, ...]``."""
    x = x.transpose(1, 2)
    return x.reshape(key_heads, -1, *x.shape[2:])


def _only_real(part: torch.Tensor, piece: Piece) -> torch.Tensor:
    return part if piece.real is None else part.index_select(1, piece.real)


def _real(whole: torch.Tensor, piece: Piece) -> torch.Tensor:
    """The piece's queries in a row."""
    if piece.single is not None:
        return whole[:, piece.single[0]]
    return whole.index_select(1, _only_real(piece.queries[None], piece)[0])


def _put(whole: torch.Tensor, piece: Piece, part: torch.Tensor, *, real: bool = False) -> None:
    """Write a piece's queries into a row; ``real``: what fills up has been left out already."""
    if piece.single is not None:
        whole[:, piece.single[0]] = part
        return
    part = part if real else _only_real(part, piece)
    whole.index_copy_(1, _only_real(piece.queries[None], piece)[0], part)


def _add(whole: torch.Tensor, piece: Piece, part: torch.Tensor) -> None:
    if piece.single is not None:
        whole[:, piece.single[0]] += part
    else:
        whole.index_add_(1, _only_real(piece.queries[None], piece)[0], _only_real(part, piece))


def _add_keys(whole: torch.Tensor, piece: Piece, part: torch.Tensor) -> None:
    if piece.single is not None:
        whole[:, piece.single[1]] += part
    else:
        whole.index_add_(1, piece.keys, part)
