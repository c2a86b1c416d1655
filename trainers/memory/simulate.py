"""Training steps on tensors without memory, and an exact account of what they would take.

Fake tensors (``torch._subclasses.FakeTensorMode``) have shapes and types and go through every real
operation, forward and backward, of any model. An account of their storages (see
:mod:`rewardkit.trainers.memory.account`), from the making of each to its end, is the step's memory
on any machine, known before anything is allocated.

What it cannot see: workspaces inside of kernels, the allocator's fragmentation, and the context of
a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from rewardkit.trainers.memory.parts import few_parts

__all__ = ["fake_model", "simulated"]


class _Answers(TorchDispatchMode):
    """Where a program asks a fake tensor for its value: true, one, or a small fraction."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            kind = args[0].dtype
            known = getattr(args[0], "constant", None)  # of few entries, written out
            if known is not None:
                return known.item()
            return True if kind == torch.bool else 2.0**-14 if kind.is_floating_point else 1
        if func is torch.ops.aten.repeat_interleave.Tensor:  # as long as the counts say
            with unset_fake_temporarily():
                count = int(args[0].constant.sum())
            return torch.empty(count, dtype=torch.long, device=args[0].device)
        return func(*args, **(kwargs or {}))


@contextmanager
def simulated() -> Iterator[None]:
    """Within this, tensors are fake; none is asked for memory and none computes anything.

    Everything runs as it does on real tensors, in particular ``transformers`` leaves out a causal
    mask where real ones would let it: it does not for fake ones, as it takes them for a trace.
    """
    from transformers import masking_utils as typed

    masking_utils: Any = typed

    before = masking_utils.is_tracing, fake_tensor.CONSTANT_NUMEL_LIMIT
    masking_utils.is_tracing = lambda tensor=None: False
    # Lengths of completions are read back, so what is in ``torch.tensor([...])`` must be known.
    fake_tensor.CONSTANT_NUMEL_LIMIT = 4096
    try:
        with few_parts(), FakeTensorMode(allow_non_fake_inputs=True), _Answers():  # type: ignore[no-untyped-call]
            yield
    finally:
        masking_utils.is_tracing, fake_tensor.CONSTANT_NUMEL_LIMIT = before


def fake_model(config: Any, dtype: torch.dtype, lora: Any = None) -> Any:
    """A model of this configuration, within :func:`simulated`, with adapters of peft's if given.

    Args:
        config: of ``transformers``.
        dtype: of the weights.
        lora: a ``peft.LoraConfig``.
    """
    from transformers import AutoModelForCausalLM

    with unset_fake_temporarily(), torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        if lora is not None:
            from peft import get_peft_model

            model = get_peft_model(model, lora)
    _materialise(model)
    return model


def _materialise(model: torch.nn.Module) -> None:
    """Every parameter and buffer, which is on no device, as a fake one; ties stay ties."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    empty = torch.empty(parameter.shape, dtype=parameter.dtype)
                    made[id(parameter)] = torch.nn.Parameter(empty, parameter.requires_grad)
                module._parameters[name] = made[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
