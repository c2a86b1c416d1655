"""Promise: what cannot have a gradient is not computed, and nobody can tell but by the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step, with_gradient
from rewardkit.trainers.tokens import note_logps

TEXTS = ["4", "seventeen", "it is 4", "no", "2+2=4, so 4", "?"]
ADVANTAGES = [1.2, 0.0, -0.7, 0.0, 0.0, 0.4]
SKIPPING: list[dict[str, Any]] = [
    {"loss_type": "grpo"},
    {"loss_type": "bnpo"},
    {"loss_type": "dapo", "epsilon_high": 0.28, "top_entropy_quantile": 0.4},
    {"loss_type": "dr_grpo", "beta": 0.1, "kl_placement": "reward"},
    {"loss_type": "cispo", "epsilon_high": 1.1, "off_policy_mask_threshold": 0.05},
    {"loss_type": "luspo", "vllm_importance_sampling_correction": True},
    {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    {"loss_type": "sapo", "mask_truncated_completions": True},
    {"loss_type": "vespo"},
    {"loss_type": "rloo"},
]
COMPUTING: list[dict[str, Any]] = [
    {"beta": 0.1},
    {"entropy_coef": 0.01},
    {"use_adaptive_entropy": True},
    {"beta": 0.1, "kl_placement": "reward", "kl_target": 0.1},
]


def settings(changes: dict[str, Any]) -> GRPOConfig:
    return GRPOConfig(
        gradient_checkpointing=False, max_grad_norm=1e9, max_completion_length=16, weight_decay=0.1,
        steps_per_generation=2, per_device_train_batch_size=2, num_generations=4, **changes,
    )  # fmt: skip


def completions(policy: Policy, config: GRPOConfig) -> list[Completion]:
    made = []
    draw = torch.Generator().manual_seed(0)
    for k, (text, advantage) in enumerate(zip(TEXTS, ADVANTAGES, strict=True)):
        prompt = policy.tokenizer("2+2=" + "1" * (k // 2))["input_ids"]
        ids = policy.tokenizer(text)["input_ids"]
        item = Completion(0, 0, k, prompt, ids, k == 1, text, [], total=0.0, advantage=advantage)
        made.append(item)
    note_logps(policy, made, config, which="old")
    for item in made:
        assert item.old_logps is not None
        near = [item.old_logps + 0.2 * torch.randn(len(item.ids), generator=draw) for _ in "123"]
        item.old_logps, item.ref_logps, item.sampling_logps = near[0], near[1], near[2].tolist()
    return made


def step(
    policy: Policy, parts: list[list[Completion]], config: GRPOConfig
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Gradient of one step, and its metrics."""
    kept: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            kept.append(
                torch.cat([p.grad.flatten() for p in policy.trainable() if p.grad is not None])
            )

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, parts, config)
    return kept[0].clone(), metrics


@pytest.mark.parametrize("changes", SKIPPING, ids=lambda c: "+".join(map(str, c.values())))
def test_the_gradient_is_that_of_all_rows(
    tiny_model: Path,
    in_float64: Callable[[Policy], Policy],
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = settings(changes)
    assert not config.flat_rows_teach
    policy = in_float64(Policy.load(str(tiny_model), config=config))
    items = completions(policy, config)
    parts = [items[:2], items[2:4], items[4:]]
    got, metrics = step(policy, parts, config)
    monkeypatch.setattr("rewardkit.trainers.step.with_gradient", lambda items, config: list(items))
    want, all_metrics = step(policy, parts, config)
    assert float((got - want).norm()) <= 1e-12 * float(want.norm())
    assert metrics["loss"] == pytest.approx(all_metrics["loss"], rel=1e-12)
    truncated = config.mask_truncated_completions
    flat = [c for c in items if not c.advantage and not (truncated and c.truncated)]
    assert metrics["tokens/saved_skip"] == sum(len(c.prompt_ids + c.ids) for c in flat)
    assert metrics["tokens/forwarded"] < all_metrics["tokens/forwarded"]


@pytest.mark.parametrize("changes", COMPUTING, ids=lambda c: "+".join(c))
def test_where_they_have_a_gradient_or_move_a_coefficient_all_rows_are_computed(
    tiny_model: Path, changes: dict[str, Any]
) -> None:
    config = settings(changes)
    policy = Policy.load(str(tiny_model), config=config)
    items = completions(policy, config)
    assert with_gradient(items, config) == items
    assert step(policy, [items], config)[1]["tokens/saved_skip"] == 0


def test_a_step_without_any_gradient_still_is_the_optimizers_step(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row is computed for its zeros: momentum and decay act as they would have."""
    config = settings({"loss_type": "grpo"})
    found = {}
    for skips in (True, False):
        policy = Policy.load(str(tiny_model), config=config)
        items = completions(policy, config)
        optimizer = torch.optim.AdamW(policy.trainable(), lr=1e-2, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
        monkeypatch.undo()
        optimizer_step(policy, optimizer, schedule, [items], config)
        for item in items:
            item.advantage = 0.0
        if not skips:
            name = "rewardkit.trainers.step.with_gradient"
            monkeypatch.setattr(name, lambda items, config: list(items))
        metrics = optimizer_step(policy, optimizer, schedule, [items], config)
        assert metrics["grad_norm"] == 0.0
        found[skips] = [p.detach().clone() for p in policy.trainable()], metrics
    shortest = min(len(c.prompt_ids + c.ids) for c in items)
    assert found[True][1]["tokens/forwarded"] == shortest < found[False][1]["tokens/forwarded"]
    assert all(torch.equal(a, b) for a, b in zip(found[True][0], found[False][0], strict=True))


def test_in_a_run_their_log_probabilities_are_not_noted_either(tiny_model: Path) -> None:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=8, max_steps=2,
        num_iterations=2, learning_rate=1e-3, gradient_checkpointing=False,
        shuffle_dataset=False,
    )  # fmt: skip

    def first_prompt_only(prompt: str, completion: str) -> float:
        return float(len(completion)) if prompt == "0+0=" else 1.0

    rows = [{"prompt": f"{i}+{i}="} for i in range(6)]
    run = GRPOTrainer(tiny_model, Rubric(first_prompt_only), rows, config, quiet=True)
    run.train()
    assert run.progress.rollouts is not None
    items = run.progress.rollouts.items
    assert any(c.advantage for c in items)
    assert any(not c.advantage for c in items)
    assert all((c.old_logps is not None) == bool(c.advantage) for c in items)
