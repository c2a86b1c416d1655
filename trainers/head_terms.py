"""The output embedding taken apart into plain matrices, with adapters on it if there are any."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

__all__ = ["Terms", "linear_terms"]


class Terms(NamedTuple):
    """Logits as a sum of products: ``sum_k inputs[k] @ weights[k].T + bias``.

    Attributes:
        inputs: each ``[M, H_k]``; the first is the hidden states, others come of adapters.
        weights: each ``[V, H_k]``.
        bias: ``[V]``, or ``None``.
    """

    inputs: tuple[torch.Tensor, ...]
    weights: tuple[torch.Tensor, ...]
    bias: torch.Tensor | None

    @property
    def tensors(self) -> tuple[torch.Tensor | None, ...]:
        """All of them, inputs first, the bias last."""
        return (*self.inputs, *self.weights, self.bias)

    @classmethod
    def of(cls, tensors: tuple[torch.Tensor | None, ...]) -> Terms:
        """What :attr:`tensors` was taken of."""
        *products, bias = tensors
        known = [t for t in products if t is not None]
        half = len(known) // 2
        return cls(tuple(known[:half]), tuple(known[half:]), bias)

    def logits(self) -> torch.Tensor:
        """``[M, V]``, all at once."""
        z = torch.nn.functional.linear(self.inputs[0], self.weights[0], self.bias)
        for x, weight in zip(self.inputs[1:], self.weights[1:], strict=True):
            z = z + x @ weight.T
        return z


def linear_terms(project: Any, hidden: torch.Tensor) -> Terms | None:
    """The terms of a projection; ``None`` if it is of a kind whose arithmetic is not known here.

    Known are ``torch.nn.Linear``, peft's LoRA on one, and peft's fully trained copy of one. Exact
    classes only, and none with hooks: a quantised layer inherits from ``Linear`` too, and computes
    something else.
    """
    if getattr(project, "_forward_hooks", None) or getattr(project, "_forward_pre_hooks", None):
        return None
    kind = type(project)
    if kind is torch.nn.Linear:
        return Terms((hidden,), (project.weight,), project.bias)
    if not kind.__module__.startswith("peft."):
        return None
    if kind.__name__ == "ModulesToSaveWrapper":
        return linear_terms(_saved_module(project), hidden)
    if kind.__name__ == "Linear" and hasattr(project, "lora_A"):
        return _with_adapters(project, hidden)
    return None


def _saved_module(wrapper: Any) -> Any:
    active = list(wrapper.active_adapters)
    if wrapper.disable_adapters or not active or active[0] not in wrapper.modules_to_save:
        return wrapper.original_module
    return wrapper.modules_to_save[active[0]]


def _with_adapters(layer: Any, hidden: torch.Tensor) -> Terms | None:
    base = linear_terms(layer.base_layer, hidden)
    if base is None or layer.merged or layer.disable_adapters:
        return base
    inputs, weights = list(base.inputs), list(base.weights)
    for name in layer.active_adapters:
        if name not in layer.lora_A:
            continue
        down, up = layer.lora_A[name], layer.lora_B[name]
        if name in layer.lora_variant or down.bias is not None or up.bias is not None:
            return None
        dropped = layer.lora_dropout[name](hidden.to(down.weight.dtype))
        inputs.append(down(dropped) * layer.scaling[name])
        weights.append(up.weight)
    return Terms(tuple(inputs), tuple(weights), base.bias)
