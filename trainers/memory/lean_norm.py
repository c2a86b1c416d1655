"""RMSNorm (arXiv 1910.07467) that keeps its input and one number per row, and nothing else.

As written in ``transformers`` it upcasts its whole input and keeps three float32 tensors of that
size for the backward pass. Here rows go through some at a time, by the same operations in the same
order, so the forward pass gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch.autograd.function import once_differentiable

from rewardkit.trainers.memory.parts import parts

__all__ = ["Form", "form_of", "lean_norm"]

Form = Literal["llama", "late", "gemma"]
"""Where weight and rounding come: ``w * round(x/s)``, ``round(w * x/s)``, ``round((1 + w) * x/s)``.
"""

_CHUNK = 32 * 2**20
"""Bytes of one float32 tensor of the rows in work."""


def lean_norm(x: torch.Tensor, weight: torch.Tensor, eps: float, form: Form) -> torch.Tensor:
    """``[..., D]`` to ``[..., D]``, each row over the root of its mean square, times the weight.

    Args:
        x: the input.
        weight: ``[D]``.
        eps: added to the mean square.
        form: which of the three spellings.
    """
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        apply = cast("Callable[..., torch.Tensor]", _LeanNorm.apply)
        return apply(x, weight, eps, form)
    return _forward(x, weight, eps, form)[0]


def form_of(module: torch.nn.Module) -> tuple[Form, float] | None:
    """Which form a norm module has, found by trying it on a few numbers; ``None``: none of them."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    own = dict(module.named_parameters())
    if not isinstance(eps, float) or list(own) != ["weight"] or own["weight"].ndim != 1:
        return None
    from torch._guards import detect_fake_mode
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    if detect_fake_mode():
        with unset_fake_temporarily():
            return _tried(module, eps)
    return _tried(module, eps)


def _tried(module: torch.nn.Module, eps: float) -> tuple[Form, float] | None:
    # Its own forward on a weight of eight entries: the model may be on another device, or be fake.
    small = type(module).__new__(type(module))
    small.__dict__ = {k: v for k, v in module.__dict__.items() if k != "forward"}
    draw = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(8, generator=draw, dtype=torch.bfloat16))
    small.__dict__["_parameters"] = {"weight": weight}
    x = torch.randn(64, 8, generator=draw).bfloat16()
    forms: tuple[Form, ...] = ("llama", "late", "gemma")
    with torch.no_grad(), torch.device("cpu"):
        try:
            want = type(module).forward(small, x)
        except Exception:  # whatever it wants, it is no plain norm
            return None
        for form in forms:
            if torch.equal(_forward(x, weight, eps, form)[0], want):
                return form, eps
    return None


def _rows(x: torch.Tensor) -> int:
    return max(1, _CHUNK // (4 * x.shape[-1]))


def _weighted(hat: torch.Tensor, weight: torch.Tensor, form: Form, dtype: torch.dtype) -> Any:
    if form == "llama":
        return weight * hat.to(dtype)
    if form == "late":
        return (weight * hat).to(dtype)
    return (hat * (1.0 + weight.float())).to(dtype)


def _forward(
    x: torch.Tensor, weight: torch.Tensor, eps: float, form: Form
) -> tuple[torch.Tensor, torch.Tensor]:
    """The output, and one over the root of each row's mean square, ``[N, 1]`` in float32."""
    rows = x.reshape(-1, x.shape[-1])
    dtype = torch.promote_types(weight.dtype, x.dtype) if form == "llama" else x.dtype
    out = torch.empty(rows.shape, dtype=dtype, device=x.device)
    scale = torch.empty((len(rows), 1), dtype=torch.float32, device=x.device)
    for part in parts(len(rows), _rows(x)):
        wide = rows[part].float()
        scale[part] = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        out[part] = _weighted(wide * scale[part], weight, form, x.dtype)
    return out.view(x.shape), scale


class _LeanNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float, form: Form
    ) -> torch.Tensor:
        out, scale = _forward(x, weight, eps, form)
        ctx.save_for_backward(x, weight, scale)
        ctx.form = form
        return out

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        x, weight, scale = ctx.saved_tensors
        rows, pull = x.reshape(-1, x.shape[-1]), g.reshape(-1, x.shape[-1])
        to_x = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        to_weight = None
        if ctx.needs_input_grad[1]:
            to_weight = torch.zeros(weight.shape, dtype=torch.float32, device=x.device)
        factor = weight.float() + (1.0 if ctx.form == "gemma" else 0.0)
        for part in parts(len(rows), _rows(x)):
            hat, pulled = rows[part].float() * scale[part], pull[part].float()
            if to_weight is not None:
                to_weight += (pulled * hat).sum(0)
            if to_x is not None:
                inner = pulled * factor
                mean = (inner * hat).mean(-1, keepdim=True)
                to_x[part] = inner.sub_(hat.mul_(mean)).mul_(scale[part])
        return (
            None if to_x is None else to_x.view(x.shape),
            None if to_weight is None else to_weight.to(weight.dtype),
            None,
            None,
        )
