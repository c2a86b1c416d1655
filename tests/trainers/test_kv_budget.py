"""Promise: a budget for keys and values bounds the rollout's cache and changes no completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from rewardkit import ConfigError, Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy
from rewardkit.trainers.rollout import decode as decoding
from rewardkit.trainers.rollout.cache import at_a_time, token_bytes
from rewardkit.trainers.rollout.generate import Request, generate


def test_a_token_of_llama_8b_takes_128_kib() -> None:
    config = AutoConfig.for_model(
        "llama", hidden_size=4096, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8,
    )  # fmt: skip
    assert token_bytes(config, 2) == 131_072
    grpo = GRPOConfig(max_completion_length=20_480 - 512, kv_budget_gib=7.6)
    assert at_a_time(grpo, config, 2, [[1] * 512]) == 3
    assert at_a_time(grpo, config, 2, [[1] * 100]) == 3
    assert at_a_time(grpo.model_copy(update={"kv_budget_gib": 100.0}), config, 2, [[1]]) == 8
    assert at_a_time(grpo.model_copy(update={"kv_budget_gib": None}), config, 2, [[1]]) == 8
    with pytest.raises(ConfigError, match=r"does not hold one completion: .* takes 2.5 GiB"):
        at_a_time(grpo.model_copy(update={"kv_budget_gib": 2.4}), config, 2, [[1] * 512])


@pytest.mark.parametrize("itself", [True, False], ids=["own loop", "by transformers"])
def test_completions_are_the_same_whatever_the_budget(
    tiny_model: Path, itself: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy.load(str(tiny_model))
    if not itself:
        policy.decodes = False
    requests = [Request(k // 4, 0, k % 4, [20 + k // 4] * (3 + k // 4)) for k in range(8)]
    each = token_bytes(policy.base.config, 4) * (4 + 6)
    widest: list[int] = []
    begin = decoding._Batch.begin.__func__  # type: ignore[attr-defined]

    def noted(cls: Any, policy: Policy, prompts: Any) -> Any:
        widest.append(len(prompts))
        return begin(cls, policy, prompts)

    monkeypatch.setattr(decoding._Batch, "begin", classmethod(noted))
    made = []
    for fit in (None, 5, 1):
        budget = None if fit is None else (fit + 0.5) * each / 2**30
        config = GRPOConfig(
            max_completion_length=6, kv_budget_gib=budget, per_device_train_batch_size=16
        )
        widest.clear()
        made.append([(c.ids, c.text) for c in generate(policy, requests, config, step=0)])
        if itself:
            assert max(widest) == (fit or 8)
    assert all(one == made[0] for one in made)


def test_a_budget_below_one_completion_is_refused(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model))
    config = GRPOConfig(max_completion_length=64, kv_budget_gib=1e-6)
    with pytest.raises(ConfigError, match="kv_budget_gib = 1e-06 does not hold one completion"):
        generate(policy, [Request(0, 0, 0, [20, 21])], config, step=0)


@pytest.mark.parametrize("held_out", [False, True])
def test_a_prompt_for_which_it_does_not_suffice_is_found_before_the_run(
    tiny_model: Path, held_out: bool
) -> None:
    """And not when it comes up, hours later."""
    policy = Policy.load(str(tiny_model))
    long = "1+" * 20 + "1="
    count = len(policy.tokenizer(long)["input_ids"])
    each = token_bytes(policy.base.config, 4)
    rows, rubric = [{"prompt": "1+1="}], Rubric(level=lambda completion: 1.0)

    def made(tokens: int) -> GRPOTrainer:
        config = GRPOConfig(max_completion_length=6, kv_budget_gib=each * tokens / 2**30)
        other = [{"prompt": long}]
        data, apart = (rows, other) if held_out else ([*rows, *other], None)
        return GRPOTrainer(policy, rubric, data, config, eval_data=apart, quiet=True)

    made(count + 6)
    with pytest.raises(ConfigError, match=f"a prompt of {count} tokens with max_completion_length"):
        made(count + 5)
