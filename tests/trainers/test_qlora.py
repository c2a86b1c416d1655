"""Promise: adapters learn on weights in four bits, which stay what they were to the last bit.

bitsandbytes quantises on processors too, so this is the real thing, small.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import ConfigError, MissingExtraError, Rubric
from rewardkit.trainers import (
    GRPOConfig,
    GRPOTrainer,
    LoraSettings,
    Policy,
    QuantSettings,
    RunConfig,
    export_model,
)
from rewardkit.trainers.memory.four_bits import four_bit_bytes, quantised_layers
from rewardkit.trainers.optim import check_optimizer

ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]
LORA = LoraSettings(r=4, lora_alpha=8)
QUANT = QuantSettings(load_in_4bit=True)


def config(**changes: Any) -> GRPOConfig:
    values = {
        "num_generations": 2, "per_device_train_batch_size": 4, "max_completion_length": 5,
        "max_steps": 3, "learning_rate": 1e-2, "save_steps": 1, "save_total_limit": None,
        "lr_scheduler_type": "constant",
    }  # fmt: skip
    return GRPOConfig(**{**values, **changes})


def trainer(model: Any, out: Path | None, **options: Any) -> GRPOTrainer:
    rubric = Rubric(length=lambda completion: float(len(set(completion))))
    settings = options.pop("config", config())
    return GRPOTrainer(
        model, rubric, ROWS, settings, lora=LORA, quantization=QUANT, output_dir=out, quiet=True,
        **options,
    )  # fmt: skip


def packed(policy: Policy) -> dict[str, str]:
    found = {}
    for name, p in policy.model.named_parameters():
        if not p.requires_grad:
            raw = p.detach().contiguous().view(torch.uint8).numpy().tobytes()
            found[name] = hashlib.sha256(raw).hexdigest()
    return found


@pytest.fixture
def bnb() -> Any:
    return pytest.importorskip("bitsandbytes")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_learns_saves_and_resumes_on_four_bits(
    tiny_model: Path, tmp_path: Path, bnb: Any, dtype: Any
) -> None:
    run = trainer(tiny_model, tmp_path / "whole", dtype=dtype)
    model = run.policy.model
    layers = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert len(layers) == 2 * 7
    assert all(m.weight.dtype == torch.uint8 and m.weight.quant_state.nested for m in layers)
    assert {p.dtype for p in run.policy.trainable()} == {torch.float32}
    before, learned = packed(run.policy), [p.detach().clone() for p in run.policy.trainable()]
    assert run.train().steps == 3
    assert packed(run.policy) == before
    now = run.policy.trainable()
    assert all(not torch.equal(a, b) for a, b in zip(learned, now, strict=True))
    cut = trainer(tiny_model, tmp_path / "cut", dtype=dtype, config=config(max_steps=1))
    cut.train()
    on = trainer(tiny_model, tmp_path / "cut", dtype=dtype, resume=True)
    assert on.train().steps == 3
    for a, b in zip(on.policy.trainable(), now, strict=True):
        assert torch.equal(a, b)


def test_the_gradient_is_that_of_the_unpacked_weights(tiny_model: Path, bnb: Any) -> None:
    """peft's own way over bitsandbytes' product, and ours, and plain float32 on what they unpack."""
    from rewardkit.trainers.rollout.batch import Completion
    from rewardkit.trainers.tokens import flat_logps

    grads = []
    for lean in (True, False):
        policy = Policy.load(
            str(tiny_model), lora=LORA, config=GRPOConfig(lean_ops=lean), load_in_4bit=True
        )
        policy.model.train()
        torch.manual_seed(3)
        with torch.no_grad():
            for p in policy.trainable():
                p.add_(torch.randn_like(p) * 0.05)
        item = Completion(0, 0, 0, [20, 21, 22], [23, 24, 25, 26], False, "", [])
        flat_logps(policy, [item], GRPOConfig()).logp.sum().backward()
        grads.append(
            torch.cat([p.grad.flatten() for p in policy.trainable() if p.grad is not None])
        )
        assert grads[-1].norm() > 0
    assert float((grads[0] - grads[1]).norm() / grads[1].norm()) < 1e-6


def test_the_arithmetic_of_its_storage_is_exact(tiny_model: Path, bnb: Any) -> None:
    for nested in (True, False):
        policy = Policy.load(
            str(tiny_model), lora=LORA, load_in_4bit=True, use_bnb_nested_quant=nested
        )
        plain = Policy.load(str(tiny_model), lora=LORA)
        told = four_bit_bytes(plain.model, QuantSettings(use_bnb_nested_quant=nested))
        layers = list(quantised_layers(plain.model))
        real = [m for m in policy.model.modules() if isinstance(m, bnb.nn.Linear4bit)]
        assert len(layers) == len(real)
        for ours, theirs in zip(layers, real, strict=True):
            state = theirs.weight.quant_state
            kept = [theirs.weight, state.absmax, state.code]
            if nested:
                kept += [state.offset, state.state2.absmax, state.state2.code]
            assert told[id(ours.weight)] == sum(t.nbytes for t in kept)


def test_its_adapter_is_saved_and_exported_as_any_other(
    tiny_model: Path, tmp_path: Path, bnb: Any
) -> None:
    run = trainer(tiny_model, tmp_path / "run", config=config(max_steps=1))
    run.train()
    export_model(tmp_path / "run", tmp_path / "adapter", adapter=True)
    again = Policy.load(str(tmp_path / "adapter"), load_in_4bit=True)
    pairs = zip(again.trainable(), run.policy.trainable(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    plain = Policy.load(str(tiny_model), lora=LORA)
    plain.save(tmp_path / "plain")
    names = [
        json.loads((tmp_path / d / "adapter_config.json").read_text()) for d in ("adapter", "plain")
    ]
    assert names[0] == names[1]
    export_model(tmp_path / "run", tmp_path / "merged")  # onto the weights as they were
    assert Policy.load(str(tmp_path / "merged")).model.dtype == torch.float32


def test_four_bits_without_adapters_teach_nothing_and_are_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="nothing else to learn: give lora"):
        Policy.load(str(tiny_model), load_in_4bit=True)
    run = {"model": "m", "rubric": "r", "data": {"path": "d"}, "output_dir": "o"}
    with pytest.raises(
        ConfigError, match="use_bnb_nested_quant has no effect without load_in_4bit"
    ):
        RunConfig(**run, use_bnb_nested_quant=False)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="load_in_4bit is for the built-in trainer"):
        RunConfig(**run, load_in_4bit=True, backend="trl")  # type: ignore[arg-type]
    policy = Policy.load(str(tiny_model))
    with pytest.raises(ConfigError, match="a ready Policy has its weights"):
        GRPOTrainer(policy, Rubric(a=lambda completion: 1.0), ROWS, config(), quantization=QUANT)


def test_a_missing_extra_is_named_before_a_model_is_loaded(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rewardkit\[qlora\]'"):
        Policy.load(str(tiny_model), lora=LORA, load_in_4bit=True)
    with pytest.raises(MissingExtraError, match=r"optim='adamw_8bit' needs .*rewardkit\[qlora\]"):
        check_optimizer(GRPOConfig(optim="adamw_8bit"))


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_32bit", "paged_adamw_8bit"])
def test_an_optimizer_that_needs_a_gpu_says_so_early(
    tiny_model: Path, bnb: Any, name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"optim='{name}' works on CUDA GPUs alone"):
        GRPOTrainer("./nowhere", Rubric(a=lambda completion: 1.0), ROWS, config(optim=name))


def test_optimizers_of_torch_are_the_same_to_rounding(tiny_model: Path) -> None:
    ends = []
    for name in ("adamw_torch", "adamw_torch_fused"):
        rubric = Rubric(length=lambda completion: float(len(set(completion))))
        run = GRPOTrainer(
            tiny_model, rubric, ROWS, config(optim=name, weight_decay=0.1), quiet=True
        )
        decays = {
            g["weight_decay"]: {p.ndim for p in g["params"]} for g in run.optimizer.param_groups
        }
        assert decays == {0.1: {2}, 0.0: {1}}
        run.train()
        ends.append(torch.cat([p.detach().flatten() for p in run.policy.trainable()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-3, atol=1e-4)
