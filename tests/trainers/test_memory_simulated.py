"""Promise: the memory of a step is known to the byte before it is allocated, and it is small.

A step on fake tensors is booked as the same step on real ones is, and the shape of Llama-3.1-8B at
20,480 tokens stays within its bounds.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from rewardkit.trainers import GRPOConfig, LoraSettings, Policy, QuantSettings
from rewardkit.trainers.loading import lora_config
from rewardkit.trainers.memory.account import Account
from rewardkit.trainers.memory.families import FAMILIES, named_shape
from rewardkit.trainers.memory.footprint import Case, Footprint, footprints
from rewardkit.trainers.memory.four_bits import packed_bytes
from rewardkit.trainers.memory.install import install
from rewardkit.trainers.memory.offload import Copies
from rewardkit.trainers.memory.parts import few_parts, parts
from rewardkit.trainers.memory.simulate import fake_model, simulated
from rewardkit.trainers.optim import make_optimizer
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

GIB = 2**30
ACTIVATIONS = ("activations", "head")
TINY = {
    "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 500, "max_position_embeddings": 2048,
}  # fmt: skip


def activations(phase: Footprint) -> float:
    """GiB on the device of all that a forward and backward pass make but gradients of weights."""
    return sum(phase.device.get(cause, 0) for cause in ACTIVATIONS) / GIB


def eight_billion(layers: int, **changes: Any) -> dict[str, Footprint]:
    """One completion a micro-batch, eight of 20,480 tokens, adapters of rank 16 everywhere."""
    shape = named_shape("llama3-8B")
    assert shape is not None
    config = shape.config()
    config.num_hidden_layers = layers
    grpo = GRPOConfig(
        per_device_train_batch_size=1, gradient_accumulation_steps=8, num_generations=8,
        max_completion_length=20_480 - 1024, activation_offloading=True, mlp_tile=1024,
        kv_budget_gib=2.6,
    ).model_copy(update=changes)  # fmt: skip
    quant = QuantSettings(load_in_4bit=True)
    return footprints(Case(config, torch.bfloat16, grpo, LoraSettings(), quant, prompt=1024))


def test_a_layer_of_the_8b_shape_at_20k_tokens_keeps_its_bound() -> None:
    """Two layers of the 32: what one takes at its peak, with the next input on its way."""
    step = eight_billion(2)["train"]
    assert activations(step) <= 2.1
    assert step.host["activations"] == 2 * 20_480 * 4096 * 2
    plain = eight_billion(2, activation_offloading=False, mlp_tile=None, lean_ops=False)["train"]
    assert activations(plain) > 2 * activations(step)


@pytest.mark.slow
def test_the_8b_shape_at_20k_tokens_takes_2_gib_of_activations_and_10_in_all() -> None:
    phases = eight_billion(32)
    step = phases["train"]
    assert activations(step) <= 2.1
    assert step.total <= 10 * GIB
    assert set(step.device) >= {"weights", "adapters", "gradients", "optimizer", "dequantisation"}
    assert step.host["activations"] == 32 * 20_480 * 4096 * 2
    assert phases["rollout"].device["KV cache"] == 131_072 * 20_480


class _Tokenizer:
    pad_token_id, eos_token_id = 0, 1


def _items(rows: int, length: int) -> list[Completion]:
    return [
        Completion(0, 0, k, [3, 4, 5 + k], list(range(10, 10 + length)), False, "", [], total=1.0, advantage=k - 0.5)
        for k in range(rows)
    ]  # fmt: skip


def _booked(model: Any, config: GRPOConfig, learned_twice: bool = False) -> dict[str, Any]:
    """The account of an optimizer step."""
    policy = Policy(model, _Tokenizer())
    account = Account([*model.parameters(), *model.buffers()])

    def to_host(tensor: torch.Tensor) -> torch.Tensor:
        with account.on_host():
            return tensor.clone()

    install(
        model, offload=config.activation_offloading, mlp_tile=config.mlp_tile,
        lean=config.lean_ops, mover=Copies(to_host),
    )  # fmt: skip
    model.train()
    optimizer = make_optimizer(model, config)
    for group in optimizer.param_groups:
        group["foreach"] = False
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    gc.collect()
    with account:
        optimizer_step(policy, optimizer, schedule, [_items(2, 90), _items(1, 90)], config)
    return {"device": account.device.peak, "host": account.host.peak, "left": account.device.now}


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)], ids=["full", "lora"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_checkpointing": False, "lean_ops": False},
        {"activation_offloading": True, "mlp_tile": 32},
        {"bf16": True, "mlp_tile": 32},
        {"loss_type": "cispo", "epsilon_high": 5.0, "entropy_coef": 0.1},
    ],
    ids=lambda c: "+".join(c) or "default",
)
def test_fake_tensors_are_booked_as_real_ones_to_the_byte(
    changes: dict[str, Any], lora: Any
) -> None:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    grpo = GRPOConfig(
        per_device_train_batch_size=2, num_generations=2, head_budget_mib=0.25, **changes
    )
    shape = AutoConfig.for_model("llama", **TINY)

    def prepared(model: Any) -> Any:
        if lora is not None:
            model.enable_input_require_grads()
        if grpo.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        return model

    real = AutoModelForCausalLM.from_config(shape)
    real = prepared(real if lora is None else get_peft_model(real, lora_config(lora)))
    found = _booked(real, grpo)
    with simulated():
        adapter = None if lora is None else lora_config(lora)
        foretold = _booked(prepared(fake_model(shape, torch.float32, adapter)), grpo)
    assert foretold == found


def test_few_parts_are_the_first_two_and_the_last() -> None:
    whole = list(parts(23, 5))
    assert [s.stop - s.start for s in whole] == [5, 5, 5, 5, 3]
    with few_parts():
        assert list(parts(23, 5)) == [whole[0], whole[1], whole[-1]]
        assert list(parts(11, 5)) == [slice(0, 5), slice(5, 10), slice(10, 11)]
    assert list(parts(23, 5)) == whole
    assert not list(parts(0, 5))


def test_an_account_books_what_lives_and_forgets_what_is_gone() -> None:
    given = torch.zeros(100)
    with Account([given]) as account:
        kept = given.view(10, 10) + 1
        _ = kept.T
        with account.caused_by("more"):
            more = torch.empty(50, dtype=torch.float64)
        with account.on_host():
            host = more.clone()
        assert (account.device.now, account.host.now) == (800, 400)
        assert account.device.at_peak == {"activations": 400, "more": 400}
        account.assign(kept, "other")
        del more
        account.device.begin()
        assert account.device.at_peak == {"activations": 0, "more": 0, "other": 400}
        del kept, host, _
        assert (account.device.now, account.host.now) == (0, 0)
        assert account.device.peak == 400


@pytest.mark.parametrize(
    ("name", "billions"),
    [("llama3-1B", 1.236), ("llama3-3B", 3.213), ("llama3-8B", 8.030), ("qwen2.5-0.5B", 0.494),
     ("qwen2.5-1.5B", 1.544), ("qwen2.5-7B", 7.616), ("qwen2.5-14B", 14.770),
     ("qwen2.5-32B", 32.764), ("qwen3-0.6B", 0.596), ("qwen3-8B", 8.191), ("qwen3-32B", 32.762)],
)  # fmt: skip
def test_known_shapes_have_as_many_parameters_as_published(name: str, billions: float) -> None:
    from transformers import AutoModelForCausalLM

    shape = named_shape(name)
    assert shape is not None
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape.config())
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, abs=1e-3)


def test_names_on_the_hub_find_their_shape_and_no_other() -> None:
    found = {
        "meta-llama/Llama-3.1-8B-Instruct": "llama3-8B", "Qwen/Qwen2.5-3B": "qwen2.5-3B",
        "Qwen/Qwen2.5-32B-Instruct": "qwen2.5-32B", "LLAMA3-8b": "llama3-8B",
    }  # fmt: skip
    for name, want in found.items():
        shape = named_shape(name)
        assert shape is not None
        assert shape.name == want
    assert named_shape("Qwen/Qwen2.5-3Bx") is None
    assert all(list(f) == sorted(f, key=lambda s: s.hidden * s.layers) for f in FAMILIES.values())


def test_double_quantisation_takes_four_and_an_eighth_bits(tmp_path: Path) -> None:
    count = 4096 * 4096
    assert packed_bytes(count, nested=True) * 8 / count == pytest.approx(4.127, abs=0.001)
    assert packed_bytes(count, nested=False) * 8 / count == pytest.approx(4.5, abs=0.001)
    assert json.dumps(packed_bytes(1, nested=True))
