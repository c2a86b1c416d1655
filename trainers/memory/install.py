"""The savings put on one model, and taken off again.

Only instances are changed, by a ``forward`` of their own that falls back on their class's: other
models of the same class, the names of parameters, checkpoints and exported adapters know nothing of
it. What a model is made of is recognised by what it does and not by its name; what is not
recognised is left as it is.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from rewardkit.errors import ConfigError
from rewardkit.trainers import parallel
from rewardkit.trainers.memory.lean_lora import lean_lora
from rewardkit.trainers.memory.lean_norm import form_of, lean_norm
from rewardkit.trainers.memory.offload import Mover, Offload, mover_for
from rewardkit.trainers.memory.tiled import tiled

__all__ = ["Installed", "install"]


@dataclass
class Installed:
    """What was changed on a model.

    Attributes:
        norms: RMSNorms that are lean.
        adapters: linear layers whose adapters are lean.
        blocks: feed-forward blocks in tiles.
        layers: layers whose inputs are offloaded.
        unknown: modules that look like one of these and were left as they are, by class.
    """

    norms: int = 0
    adapters: int = 0
    blocks: int = 0
    layers: int = 0
    unknown: set[str] = field(default_factory=set)
    _undo: list[tuple[Any, str, Any]] = field(default_factory=list, repr=False)
    _hooks: list[Any] = field(default_factory=list, repr=False)

    def set(self, module: torch.nn.Module, name: str, value: Any) -> None:
        """Set an attribute of an instance; :meth:`remove` puts the former one back."""
        self._undo.append((module, name, module.__dict__.get(name, _NONE)))
        module.__dict__[name] = value

    def remove(self) -> None:
        """Take everything off."""
        for module, name, before in reversed(self._undo):
            if before is _NONE:
                del module.__dict__[name]
            else:
                module.__dict__[name] = before
        for hook in self._hooks:
            hook.remove()
        self._undo.clear()
        self._hooks.clear()


_NONE = object()


def install(
    model: torch.nn.Module,
    *,
    offload: bool = False,
    mlp_tile: int | None = None,
    lean: bool = True,
    mover: Mover | None = None,
) -> Installed:
    """Put the savings on a model; what cannot be had is told once.

    Args:
        model: of ``transformers``, with adapters of peft's or without.
        offload: keep the inputs of checkpointed layers in host memory; the layers must be set up
            for checkpointing already.
        mlp_tile: tokens at a time in feed-forward blocks; ``None``: all.
        lean: norms and adapters that keep less for the backward pass.
        mover: how inputs are offloaded; ``None``: as fits the model's device.

    Raises:
        ConfigError: if inputs are to be offloaded and no layer is checkpointed.
    """
    done = Installed()
    for module in model.modules():
        if "forward" in module.__dict__:  # somebody else's, a hook of accelerate say
            continue
        if lean and type(module).__name__.endswith("RMSNorm"):
            _lean_norm(done, module)
        elif lean and _is_adapted(module):
            done.set(module, "forward", MethodType(_adapter_forward, module))
            done.adapters += 1
        elif mlp_tile is not None and _is_block(module):
            done.set(module, "_tile", mlp_tile)
            done.set(module, "forward", MethodType(_tiled_forward, module))
            done.blocks += 1
    if offload:
        _offload(done, model, mover)
    if mlp_tile is not None and not done.blocks:
        parallel.warn(
            f"{_name(model)} has no feed-forward block of a known kind: mlp_tile has no effect",
            stacklevel=3,
        )
    return done


def _name(model: Any) -> str:
    return type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__


def _lean_norm(done: Installed, module: torch.nn.Module) -> None:
    form = form_of(module)
    if form is None:
        done.unknown.add(type(module).__name__)
        return
    done.set(module, "_lean", form)
    done.set(module, "forward", MethodType(_norm_forward, module))
    done.norms += 1


def _norm_forward(self: Any, hidden_states: torch.Tensor) -> torch.Tensor:
    form, eps = self._lean
    if hidden_states.dtype == torch.float64:  # which its class rounds to float32
        plain: torch.Tensor = type(self).forward(self, hidden_states)
        return plain
    return lean_norm(hidden_states, self.weight, eps, form)


def _is_adapted(module: torch.nn.Module) -> bool:
    """Whether it is a linear layer of peft's LoRA, plain or on four bits."""
    base = getattr(module, "base_layer", None)
    return hasattr(module, "lora_A") and (type(base) is torch.nn.Linear or _is_4bit(base))


def _is_4bit(base: Any) -> bool:
    return type(base).__name__ == "Linear4bit" and hasattr(base.weight, "quant_state")


def _adapter_forward(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    name = _plain_adapter(self)
    # On a GPU bitsandbytes multiplies by four bits as they are, where no gradient is asked for.
    packed = x.is_cuda and not torch.is_grad_enabled() and _is_4bit(self.base_layer)
    if name is None or args or kwargs or packed:
        plain: torch.Tensor = type(self).forward(self, x, *args, **kwargs)
        return plain
    a, b = self.lora_A[name].weight, self.lora_B[name].weight
    base = self.base_layer
    bias = None if base.bias is None else base.bias
    return lean_lora(x, _dense(base), bias, a, b, self.scaling[name])


def _plain_adapter(module: Any) -> str | None:
    """The one adapter that is on, if it is nothing but two matrices on a frozen layer."""
    names = [name for name in module.active_adapters if name in module.lora_A]
    if module.disable_adapters or module.merged or len(names) != 1:
        return None
    name: str = names[0]
    special = name in module.lora_variant or module.lora_B[name].bias is not None
    drops = module.training and getattr(module.lora_dropout[name], "p", 0.0) > 0
    frozen = not any(p.requires_grad for p in module.base_layer.parameters())
    return name if frozen and not special and not drops else None


class _Held:
    """A weight as it is. No closure: a copied model must find its own."""

    def __init__(self, weight: torch.Tensor) -> None:
        self._weight = weight

    def __call__(self) -> torch.Tensor:
        return self._weight


class _Unpacked(_Held):
    """A weight in four bits, unpacked anew at each call."""

    def __call__(self) -> torch.Tensor:
        from bitsandbytes.functional import dequantize_4bit

        weight: Any = self._weight
        found: torch.Tensor = dequantize_4bit(weight.data, weight.quant_state)
        return found


def _dense(base: Any) -> _Held:
    own = base.__dict__.get("_dense")  # the simulation's, which has no four bits to unpack
    if own is not None:
        return own  # type: ignore[no-any-return]
    return _Unpacked(base.weight) if _is_4bit(base) else _Held(base.weight)


_BLOCKS = (
    {"gate_proj", "up_proj", "down_proj"},  # Llama, Mistral, Qwen, Gemma and most others
    {"gate_up_proj", "down_proj"},  # Phi-3, GLM
    {"c_fc", "c_proj"},  # GPT-2
    {"dense_h_to_4h", "dense_4h_to_h"},  # GPT-NeoX, Bloom's takes the residual too
    {"fc1", "fc2"},  # Phi
    {"up_proj", "down_proj"},  # Nemotron
)


def _is_block(module: torch.nn.Module) -> bool:
    """Whether it is a feed-forward block that looks at each token by itself.

    Its linear layers have one of the known sets of names, there is nothing else in it but an
    activation and dropout, and it takes one tensor: so no routers, no shared state.
    """
    children = dict(module.named_children())
    linears = {n for n, child in children.items() if hasattr(child, "weight")}
    if linears not in _BLOCKS:
        return False
    taken = list(inspect.signature(type(module).forward).parameters.values())[1:]
    required = [p for p in taken if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD]
    return len(required) == 1 and len(taken) == 1


def _tiled_forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    block = MethodType(type(self).forward, self)
    return tiled(block, x, self._tile, [p for p in self.parameters() if p.requires_grad])


def _offload(done: Installed, model: Any, mover: Mover | None) -> None:
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    layers = [m for m in layers if m.gradient_checkpointing]
    if not layers:
        raise ConfigError(
            f"activation_offloading keeps the inputs of checkpointed layers, and "
            f"{_name(model)} has none: set gradient_checkpointing=True, or load the policy with it"
        )
    offload = Offload(mover or mover_for(next(iter(model.parameters())).device))
    for layer in layers:
        done.set(layer, "_gradient_checkpointing_func", offload.checkpoint)
    done.layers = len(layers)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    done._hooks.append(base.base_model.register_forward_hook(offload.drain))
