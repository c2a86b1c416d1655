"""Promise: all that saves memory at the same time is still the same maths.

Packed rows with shared prompts, checkpointed and offloaded layers, tiles that do not divide the
row, lean norms and adapters, weights in four bits, a budget of tokens, and a reference; against
plain padded rows through the model as ``transformers`` and peft have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit.trainers import GRPOConfig, LoraSettings, Policy
from rewardkit.trainers.credit import credit
from rewardkit.trainers.memory.install import install
from rewardkit.trainers.memory.offload import Copies
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

TILE = 7
ALGORITHM: dict[str, Any] = {
    "beta": 0.04, "num_iterations": 2, "max_grad_norm": 1e9, "max_completion_length": 16,
}  # fmt: skip
PLAIN: dict[str, Any] = {"gradient_checkpointing": False, "lean_ops": False}
ALL: dict[str, Any] = {
    "activation_offloading": True, "mlp_tile": TILE, "max_tokens_per_microbatch": 37,
}  # fmt: skip
LORA = LoraSettings(r=4, lora_alpha=8)


def completions(lost: int = 0) -> list[Completion]:
    """Two groups, with so many completions more in each that could not be judged."""
    draw = torch.Generator().manual_seed(3)
    made = []
    for group, (prompt, lengths) in enumerate([(11, [9, 3, 12, 5]), (4, [7, 1, 6, 8])]):
        start = torch.randint(6, 60, (prompt,), generator=draw).tolist()
        for k, length in enumerate(lengths):
            ids = torch.randint(6, 60, (length,), generator=draw).tolist()
            made.append(Completion(group, 0, k, start, ids, False, "", [], total=k % 3 / 2))
        made += [Completion(group, 0, 4 + k, start, [9, 8, 7], False, "", []) for k in range(lost)]
    return made


def moved(policy: Policy, seed: int) -> None:
    """As a step of learning would: a new adapter has no gradient in half of its matrices."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in policy.trainable():
            p.add_(torch.randn(p.shape, generator=draw).to(p) * 0.05)


def learned(
    policy: Policy, items: Sequence[Completion], config: GRPOConfig
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Gradient and metrics of the second step on these."""
    kept: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            grads = [p.grad for p in policy.trainable() if p.grad is not None]
            kept.append(torch.cat([g.flatten() for g in grads]).clone())

    policy.model.train()
    moved(policy, 1)
    credit(policy, items, config, {})
    moved(policy, 2)
    torch.manual_seed(4)
    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, [items], config, {})
    return kept[0], metrics


def plain(model: Path, lora: LoraSettings | None = LORA, **how: Any) -> Any:
    config = GRPOConfig(**ALGORITHM, **PLAIN, bf16=how.pop("bf16", False))
    policy = Policy.load(str(model), lora=lora, config=config, **how)
    policy.packs = False
    return learned(policy, completions(), config)


def with_all(model: Path, lora: LoraSettings | None = LORA, lost: int = 0, **how: Any) -> Any:
    config = GRPOConfig(**ALGORITHM, **ALL, bf16=how.pop("bf16", False))
    policy = Policy.load(str(model), lora=lora, config=config, **how)
    for one in policy.savings:
        one.remove()
    mover = Copies()  # for a processor's own moves nothing
    policy.savings = [install(policy.model, offload=True, mlp_tile=TILE, mover=mover)]
    done, items = policy.savings[0], completions(lost)
    assert (done.layers, done.blocks, done.norms) == (2, 2, 5)
    assert bool(done.adapters) == (lora is not None)
    gradient, metrics = learned(policy, items, config)
    assert policy.packs
    assert mover.moved >= 2 * done.layers  # in two micro-batches
    assert metrics["tokens/padding"] == 0
    assert metrics["tokens/saved_prefix"] > 0
    return gradient, metrics, items


def off(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("kind", ["full", "adapters", "four bits"])
def test_the_gradient_is_that_of_the_plain_model(tiny_model: Path, kind: str) -> None:
    how: dict[str, Any] = {"lora": None if kind == "full" else LORA}
    if kind == "four bits":
        pytest.importorskip("bitsandbytes")
        how["load_in_4bit"] = True
    want, usual = plain(tiny_model, **how)
    got, metrics, _ = with_all(tiny_model, **how)
    assert off(got, want) < 1e-5
    assert metrics["loss"] == pytest.approx(usual["loss"], abs=1e-6)
    assert metrics["kl"] == pytest.approx(usual["kl"], rel=1e-4)
    assert metrics["kl"] > 1e-3


@pytest.mark.parametrize("bits", [False, True], ids=["adapters", "four bits"])
def test_under_bfloat16_the_error_is_that_of_bfloat16(tiny_model: Path, bits: bool) -> None:
    how: dict[str, Any] = {}
    if bits:
        pytest.importorskip("bitsandbytes")
        how["load_in_4bit"] = True
    want, _ = plain(tiny_model, **how)
    rounded, _ = plain(tiny_model, bf16=True, **how)
    got, _, _ = with_all(tiny_model, bf16=True, **how)
    assert 0 < off(got, want) <= 1.5 * off(rounded, want)


def test_what_cannot_be_judged_changes_no_bit_and_is_not_computed(tiny_model: Path) -> None:
    """No other's advantage, gradient or log-probabilities, and no token more goes forward."""
    want, usual, items = with_all(tiny_model)
    for lost in (1, 3):
        got, metrics, more = with_all(tiny_model, lost=lost)
        scored = [c for c in more if c.total is not None]
        assert [c.advantage for c in scored] == [c.advantage for c in items]
        assert all(math.isnan(c.advantage) for c in more if c.total is None)
        assert all(c.old_logps is c.ref_logps is None for c in more if c.total is None)
        assert torch.equal(got, want)
        assert metrics == usual


def test_dropped_out_masks_are_met_again_where_layers_are_offloaded(tiny_model: Path) -> None:
    """Adapters that drop out are peft's own; prompts that are shared share their masks."""
    lora = LoraSettings(r=4, lora_alpha=8, lora_dropout=0.3)
    found = []
    for offload in (False, True):
        config = GRPOConfig(**ALGORITHM, disable_dropout=False, activation_offloading=offload)
        policy = Policy.load(str(tiny_model), lora=lora, config=config)
        if offload:
            policy.savings[0].remove()
            policy.savings = [install(policy.model, offload=True, mover=Copies())]
        torch.manual_seed(5)
        found.append(learned(policy, completions(), config))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    still = plain(tiny_model)[0]
    assert off(found[0][0], still) > 1e-2
