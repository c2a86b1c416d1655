"""Promise: a warm-up is cut, packed, shared out and done over as GRPO's steps are, and learns the
same however that is done."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_runs import in_processes
from shortages import cuda_like

from rewardkit import RewardKitError
from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import GRPOConfig, LoraSettings, Policy, WarmupConfig, parallel, warm_up

LESSONS = [
    {"prompt": "2+2=", "completion": "4"},
    {"prompt": "2+2=", "completion": "2 and 2 are 4"},
    {"prompt": "3+4=", "completion": "7"},
    {"prompt": "12+30=", "completion": "42, for 10+30=40"},
]
SETTINGS: dict[str, Any] = {
    "max_steps": 3, "per_device_train_batch_size": 7, "learning_rate": 1e-2, "warmup_steps": 1,
    "seed": 5,
}  # fmt: skip
MakeModel = Callable[..., Policy]
Exactly = Callable[[Policy], Policy]


def weights(policy: Policy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.trainable()])


def plainly(policy: Policy, config: WarmupConfig) -> tuple[list[float], torch.Tensor]:
    """The same warm-up by one row for each example, all of a step at once, and nothing of ours."""
    tokenizer, draw = policy.tokenizer, random.Random(config.seed)
    optimizer = torch.optim.AdamW(
        policy.trainable(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    rates = [0.0, 1.0, 0.5]  # linear, after one step of warm-up
    losses = []
    policy.model.train()
    for rate in rates:
        batch = [draw.choice(LESSONS) for _ in range(config.per_device_train_batch_size)]
        found = []
        for lesson in batch:
            prompt = tokenizer(lesson["prompt"], add_special_tokens=False)["input_ids"]
            told = tokenizer(lesson["completion"], add_special_tokens=False)["input_ids"]
            told = [*told, tokenizer.eos_token_id]
            ids = torch.tensor([prompt + told])
            states = policy.base.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
            logits = policy.head.project(states[len(prompt) - 1 : -1])
            found.append(logits.log_softmax(-1).gather(1, torch.tensor(told)[:, None]))
        loss = -torch.cat(found).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.trainable(), config.max_grad_norm)
        optimizer.param_groups[0]["lr"] = rate * config.learning_rate
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, weights(policy)


def no_more_than(policy: Policy, tokens: int) -> list[int]:
    """Let no layer compute more than so many tokens: at the second layer, amid a real pass."""
    seen: list[int] = []

    def look(_: torch.nn.Module, inputs: Any) -> None:
        count = inputs[0].shape[:2].numel()
        if torch.is_grad_enabled():
            seen.append(count)
            if count > tokens:
                cuda_like()

    policy.base.model.layers[1].mlp.register_forward_pre_hook(look)
    return seen


@pytest.mark.parametrize("budget", [None, 1, 30, 45, 1000])
@pytest.mark.parametrize(
    ("kind", "changes", "lora"),
    [
        ("llama", {}, None),
        ("llama", {}, LoraSettings(r=2)),
        pytest.param("mistral", {"sliding_window": 4}, None, id="padded"),
    ],
)
def test_any_budget_learns_the_same_as_all_at_once(
    small_model: MakeModel,
    in_float64: Exactly,
    kind: str,
    changes: dict[str, Any],
    lora: LoraSettings | None,
    budget: int | None,
) -> None:
    policy = in_float64(small_model(kind, lora, **changes))
    twin, config = copy.deepcopy(policy), WarmupConfig(**SETTINGS)
    before = weights(policy)
    want, new = plainly(twin, config)
    seen = no_more_than(policy, 10**9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if changes else "error", RewardKitWarning)
        got = warm_up(policy, LESSONS, config.model_copy(update={
            "max_tokens_per_microbatch": budget
        }))  # fmt: skip
    in_float32 = kind == "mistral"  # whose norms stay in it
    assert got == pytest.approx(want, rel=1e-6 if in_float32 else 1e-12)
    assert float((weights(policy) - new).abs().max()) <= (1e-6 if in_float32 else 1e-12)
    assert float((new - before).abs().max()) > 1e-3
    if budget is not None and budget < 1000:
        assert max(seen) <= max(budget, 23)
        assert len(seen) > 3


def test_examples_are_packed_and_prompts_computed_once(small_model: MakeModel) -> None:
    policy = small_model("llama")
    seen = no_more_than(policy, 10**9)
    warm_up(policy, LESSONS[:2], WarmupConfig(max_steps=1, per_device_train_batch_size=8))
    draw = random.Random(42)
    taken = [draw.choice([2, 14]) for _ in range(8)]  # tokens, the end among them
    assert seen == [4 + sum(taken)]


def test_where_memory_does_not_suffice_it_is_done_over_to_the_same_weights(
    small_model: MakeModel, in_float64: Exactly
) -> None:
    policy = in_float64(small_model("llama"))
    twin, config = copy.deepcopy(policy), WarmupConfig(**SETTINGS)
    want, new = plainly(twin, config)
    seen = no_more_than(policy, 30)
    with pytest.warns(RewardKitWarning) as told:
        got = warm_up(policy, LESSONS, config)
    texts = [str(w.message) for w in told if "out of memory" in str(w.message)]
    assert len(texts) == len(told)
    assert "max_tokens_per_microbatch=" in texts[-1]
    failures = [k for k, count in enumerate(seen) if count > 30]
    assert len(failures) == len(texts), "what was found holds for the rest of the warm-up"
    assert got == pytest.approx(want, rel=1e-9)
    assert float((weights(policy) - new).abs().max()) <= 1e-12


def test_an_example_that_alone_does_not_fit_ends_it_and_changes_nothing(
    small_model: MakeModel,
) -> None:
    policy = small_model("llama")
    before = weights(policy)
    no_more_than(policy, 10)
    with pytest.warns(RewardKitWarning), pytest.raises(
        RewardKitError, match=r"does not fit .* shorten the example"
    ):  # fmt: skip
        warm_up(policy, LESSONS, WarmupConfig(**SETTINGS))
    assert torch.equal(weights(policy), before)
    assert all(p.grad is None for p in policy.trainable())


def test_a_loss_that_is_no_number_ends_it_and_changes_nothing(small_model: MakeModel) -> None:
    policy = small_model("llama")
    policy.trainable()[-1].register_hook(lambda g: g * float("nan"))
    before = weights(policy)
    with pytest.raises(RewardKitError, match="not finite; this step changed no weight"):
        warm_up(policy, LESSONS, WarmupConfig(**SETTINGS))
    assert torch.equal(weights(policy), before)


def test_it_computes_in_bfloat16_if_asked(small_model: MakeModel) -> None:
    policy = small_model("llama")
    kinds: set[torch.dtype] = set()
    layer = policy.base.model.layers[0].mlp.down_proj
    layer.register_forward_hook(lambda _m, _i, out: kinds.add(out.dtype))
    warm_up(policy, LESSONS, WarmupConfig(**SETTINGS, bf16=True))
    assert torch.bfloat16 in kinds
    assert {p.dtype for p in policy.trainable()} == {torch.float32}


@pytest.mark.parametrize("count", [2, 9])
def test_several_processes_share_the_work_and_come_to_the_same(
    tiny_model: Path, count: int
) -> None:
    """Also where some have nothing to do, and one has too little memory."""

    def learn() -> tuple[list[float], torch.Tensor, int]:
        policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
        policy.model.double()
        seen = no_more_than(policy, 25 if parallel.rank() == 1 else 10**9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RewardKitWarning)
            losses = warm_up(policy, LESSONS, WarmupConfig(**SETTINGS))
        return losses, weights(policy), len(seen)

    ended = in_processes(count, learn)
    assert [e.error for e in ended] == [""] * count
    one = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    one.model.double()
    want = warm_up(one, LESSONS, WarmupConfig(**SETTINGS))
    for e in ended:
        losses, found, _ = e.value
        assert losses == pytest.approx(want, rel=1e-5)
        assert torch.equal(found, ended[0].value[1])
        assert float((found - weights(one)).abs().max()) <= 2e-6
    assert sum(e.value[2] > 0 for e in ended) == min(count, 7)
