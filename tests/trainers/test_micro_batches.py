"""Promise: how a step is cut into micro-batches, and in which order, does not change its gradient.

Denominators, thresholds and coefficients are those of the whole step, whatever is in a part of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardkit.trainers import GRPOConfig, Policy
from rewardkit.trainers.credit import assign_advantages
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step
from rewardkit.trainers.tokens import note_logps

TEXTS = ["4", "seventeen", "it is 4", "?", "2+2=4, so 4", "no"]
TOTALS = [1.0, 0.0, 0.5, None, 0.25, 1.0]
OBJECTIVES: list[dict[str, Any]] = [
    {"loss_type": "grpo", "beta": 0.04},
    {"loss_type": "dapo", "epsilon_high": 0.28, "entropy_coef": 0.05},
    {"loss_type": "dr_grpo", "top_entropy_quantile": 0.3, "beta": 0.04, "kl_estimator": "k2"},
    {"loss_type": "cispo", "epsilon_high": 1.1, "top_entropy_quantile": 0.5, "entropy_coef": 0.1},
    {"loss_type": "grpo", "importance_sampling_level": "sequence", "beta": 0.04},
    {"loss_type": "vespo", "off_policy_mask_threshold": 0.05},
    {"loss_type": "luspo", "vllm_importance_sampling_correction": True},
    {"loss_type": "rloo", "mask_truncated_completions": True},
    {"loss_type": "sapo", "delta": None},
]


@cache
def prepared(folder: str, place: int) -> tuple[Policy, list[Completion], GRPOConfig]:
    config = GRPOConfig(
        gradient_checkpointing=False, max_grad_norm=1e9, max_completion_length=16,
        steps_per_generation=2, **OBJECTIVES[place],
    )  # fmt: skip
    policy = Policy.load(folder, config=config)
    items = []
    draw = torch.Generator().manual_seed(place)
    for k, text in enumerate(TEXTS):
        ids = policy.tokenizer(text)["input_ids"]
        prompt = policy.tokenizer("2+2=" + "1" * k)["input_ids"]
        item = Completion(0, 0, k, prompt, ids, k == 1, text, [])
        item.total = TOTALS[k]
        items.append(item)
    note_logps(policy, items, config, which="old")
    for item in items:
        assert item.old_logps is not None
        near = [item.old_logps + 0.2 * torch.randn(len(item.ids), generator=draw) for _ in "123"]
        item.old_logps, item.ref_logps = near[0], near[1]
        item.sampling_logps = near[2].tolist()
    assign_advantages(items, config)
    return policy, items, config


def gradient(
    policy: Policy, micro_batches: Sequence[Sequence[Completion]], config: GRPOConfig
) -> torch.Tensor:
    """Of one step, all parameters in one vector."""
    kept: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            grads = [p.grad for p in policy.trainable() if p.grad is not None]
            kept.append(torch.cat([g.flatten() for g in grads]).clone())

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    optimizer_step(policy, optimizer, schedule, micro_batches, config)
    return kept[0]


@cache
def whole(folder: str, place: int) -> torch.Tensor:
    policy, items, config = prepared(folder, place)
    return gradient(policy, [items], config)


@settings(max_examples=25)
@given(data=st.data())
@pytest.mark.parametrize("place", range(len(OBJECTIVES)), ids=lambda k: OBJECTIVES[k]["loss_type"])
def test_the_gradient_does_not_depend_on_cut_and_order(
    tiny_model: Path, place: int, data: st.DataObject
) -> None:
    policy, items, config = prepared(str(tiny_model), place)
    order = data.draw(st.permutations(items))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(items) - 1))))
    parts = [list(order[a:b]) for a, b in itertools.pairwise([0, *cuts, len(items)])]
    budget = data.draw(st.none() | st.integers(1, 60))
    changes = {"max_tokens_per_microbatch": budget, "prefix_sharing": data.draw(st.booleans())}
    want = whole(str(tiny_model), place)
    got = gradient(policy, parts, config.model_copy(update=changes))
    assert float((got - want).norm()) <= 1e-6 * float(want.norm())


def test_bnpo_alone_depends_on_the_cut_as_its_definition_says(tiny_model: Path) -> None:
    policy, items, _ = prepared(str(tiny_model), 0)
    config = GRPOConfig(
        loss_type="bnpo", gradient_checkpointing=False, max_grad_norm=1e9, steps_per_generation=2
    )
    together = gradient(policy, [items], config)
    apart = gradient(policy, [items[:1], items[1:]], config)
    assert float((together - apart).norm()) > 1e-3 * float(together.norm())
    # As the mean over micro-batches of the mean over their tokens.
    parts = [gradient(policy, [part], config) for part in (items[:1], items[1:])]
    torch.testing.assert_close(apart, (parts[0] + parts[1]) / 2, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_judged_leaves_every_objective_as_it_is(tiny_model: Path) -> None:
    """To the last bit where it is alone in its micro-batch, which then is not there."""
    for place in range(len(OBJECTIVES)):
        policy, items, config = prepared(str(tiny_model), place)
        scored = [c for c in items if c.total is not None]
        lost = [c for c in items if c.total is None]
        assert lost
        with_lost = gradient(policy, [scored[:2], lost, scored[2:]], config)
        assert torch.equal(with_lost, gradient(policy, [scored[:2], scored[2:]], config))
