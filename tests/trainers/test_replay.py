"""Promise: a step for which memory does not suffice is done over in smaller parts, to the same
result, and the run keeps to what fits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from shortages import cuda_like, pythons, the_processors

from rewardkit import RewardKitError, Rubric
from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

ROWS = [{"prompt": f"{i}+{i}="} for i in range(8)]
LENGTHS = [9, 3, 12, 5, 7, 4]


def limit(policy: Policy, tokens: int, fail: Callable[[], None] = cuda_like) -> list[int]:
    """Let no layer compute more than so many tokens: at the second layer, amid a real pass."""
    seen: list[int] = []

    def look(_: torch.nn.Module, inputs: Any) -> None:
        count = inputs[0].shape[:2].numel()
        seen.append(count)
        if torch.is_grad_enabled() and count > tokens:
            fail()

    policy.base.model.layers[1].mlp.register_forward_pre_hook(look)
    return seen


def completions() -> list[Completion]:
    draw = torch.Generator().manual_seed(3)
    made = []
    for k, length in enumerate(LENGTHS):
        ids = torch.randint(6, 60, (length,), generator=draw).tolist()
        item = Completion(0, 0, k, [7, 8, 9, 10], ids, False, "", [], total=1.0)
        item.advantage = (-1.0) ** k + 0.1 * k
        made.append(item)
    return made


def step(policy: Policy, config: GRPOConfig, carried: dict[str, float]) -> tuple[torch.Tensor, Any]:
    kept: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            kept.append(
                torch.cat([p.grad.flatten() for p in policy.trainable() if p.grad is not None])
            )

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, [completions()], config, carried)
    return kept[0].clone(), metrics


@pytest.mark.parametrize("fail", [cuda_like, the_processors, pythons])
@pytest.mark.parametrize("loss_type", ["grpo", "bnpo"])
def test_the_step_is_replayed_to_the_same_gradient_and_the_budget_sticks(
    tiny_model: Path,
    in_float64: Callable[[Policy], Policy],
    fail: Callable[[], None],
    loss_type: Any,
) -> None:
    config = GRPOConfig(gradient_checkpointing=False, max_grad_norm=1e9, loss_type=loss_type)
    policy = in_float64(Policy.load(str(tiny_model), config=config))
    want, usual = step(policy, config, {})
    assert usual["tokens/forwarded"] == 4 + 40
    seen, carried = limit(policy, 18, fail), dict[str, float]()
    with pytest.warns(RewardKitWarning) as told:
        got, metrics = step(policy, config, carried)
    texts = [str(w.message) for w in told]
    assert ["out of memory with 44 tokens" in texts[0], "at most 22" in texts[0]] == [True, True]
    assert carried == {"max_tokens_per_microbatch": 9}
    assert len(texts) == 2
    assert float((got - want).norm()) <= 1e-12 * float(want.norm())
    assert metrics["loss"] == pytest.approx(usual["loss"], rel=1e-12)
    assert metrics["entropy"] == pytest.approx(usual["entropy"], rel=1e-9)
    assert metrics["tokens/forwarded"] == sum(seen[-6:]) == 6 * 4 + 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again, _ = step(policy, config, carried)
    assert torch.equal(again, got)


@pytest.mark.parametrize(
    ("budget", "lora"), [(1, None), (17, LoraSettings(r=2)), (30, None), (1000, None)]
)
def test_any_budget_of_tokens_gives_the_same_gradient(
    small_model: Callable[..., Policy],
    in_float64: Callable[[Policy], Policy],
    budget: int,
    lora: LoraSettings | None,
) -> None:
    config = GRPOConfig(max_grad_norm=1e9)
    policy = in_float64(small_model("llama", lora, config))
    policy.model.train()
    want, _ = step(policy, config, {})
    seen = limit(policy, 10**9)
    changed = config.model_copy(update={"max_tokens_per_microbatch": budget})
    got, _ = step(policy, changed, {})
    assert max(seen) <= max(budget, 4 + max(LENGTHS))
    assert float((got - want).norm()) <= 1e-12 * float(want.norm())


def test_a_completion_that_alone_does_not_fit_ends_it_and_changes_nothing(tiny_model: Path) -> None:
    config = GRPOConfig(gradient_checkpointing=False)
    policy = Policy.load(str(tiny_model), config=config)
    limit(policy, 15)
    with pytest.warns(RewardKitWarning), pytest.raises(
        RewardKitError, match=r"single completion of 12 tokens after a prompt of 4 does not fit"
    ):  # fmt: skip
        step(policy, config, {})
    assert all(p.grad is None for p in policy.trainable())


def test_other_errors_are_not_taken_for_it(tiny_model: Path) -> None:
    config = GRPOConfig(gradient_checkpointing=False)
    policy = Policy.load(str(tiny_model), config=config)
    step(policy, config, {})

    def fail() -> None:
        raise RuntimeError("device-side assert triggered")

    limit(policy, 15, fail)
    with pytest.raises(RuntimeError, match="device-side"):
        step(policy, config, {})


def trainer(model: Path, folder: Path, *, resume: bool = False) -> GRPOTrainer:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=8, max_completion_length=8, max_steps=4,
        num_iterations=2, learning_rate=1e-2, gradient_checkpointing=False, save_steps=1,
        save_total_limit=None,
    )  # fmt: skip
    rubric = Rubric(length=lambda completion: float(len(completion)))
    return GRPOTrainer(model, rubric, ROWS, config, output_dir=folder, resume=resume, quiet=True)


def weights(of: GRPOTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in of.policy.trainable()]


def test_a_run_goes_on_with_the_smaller_budget_after_a_resume_too(
    tiny_model: Path, tmp_path: Path
) -> None:
    unbroken = trainer(tiny_model, tmp_path / "unbroken")
    limit(unbroken.policy, 40)
    with pytest.warns(RewardKitWarning, match="out of memory"):
        unbroken.train()
    first = trainer(tiny_model, tmp_path / "killed")
    limit(first.policy, 40)
    with pytest.warns(RewardKitWarning, match="out of memory"):
        first._step()
    del first
    again = trainer(tiny_model, tmp_path / "killed", resume=True)
    assert again.progress.carried["max_tokens_per_microbatch"] < 60
    seen = limit(again.policy, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again.train()
    assert seen
    pairs = zip(weights(unbroken), weights(again), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    rows = [
        json.loads(line)
        for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    ]
    budget = again.progress.carried["max_tokens_per_microbatch"]
    assert {row["max_tokens_per_microbatch"] for row in rows if row["kind"] == "train"} == {budget}
