"""Promise: what is configured is what is learned from; every key bears on the step as it says.

The losses as pure functions are checked in test_losses.py. Here the optimizer step itself, with its
noted log-probabilities and micro-batches, is held against the objective written out from the
model's own logits, in float64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, GRPOTrainer, Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

ADVANTAGES = [1.4, -0.3, -1.1, 0.6]
TEXTS = ["4", "seventeen", "it is 4", "2+2=5?"]
ROWS: list[dict[str, Any]] = [{"prompt": f"{i}+{i}="} for i in range(8)]


def rollout(policy: Policy) -> list[Completion]:
    """Completions whose noted log-probabilities differ from today's in both directions."""
    encode = policy.tokenizer
    made = []
    for k, text in enumerate(TEXTS):
        ids = encode(text)["input_ids"]
        item = Completion(0, 0, k, encode("2+2=")["input_ids"], ids, k == 1, text, [])
        item.total, item.advantage = float(k), ADVANTAGES[k]
        now = naive_logps(policy, item, 0.9).detach()
        draw = torch.Generator().manual_seed(k)
        item.old_logps = now + 0.4 * torch.randn(len(ids), generator=draw, dtype=torch.float64)
        item.ref_logps = now + 0.3 * torch.randn(len(ids), generator=draw, dtype=torch.float64)
        made.append(item)
    return made


def naive_logps(policy: Policy, item: Completion, temperature: float) -> torch.Tensor:
    z = policy.base(input_ids=torch.tensor([item.prompt_ids + item.ids])).logits[0] / temperature
    n = len(item.prompt_ids)
    logp = z - z.exp().sum(-1, keepdim=True).log()
    return torch.stack([logp[n - 1 + t, token] for t, token in enumerate(item.ids)])


def naive_loss(policy: Policy, cut: list[list[Completion]], config: GRPOConfig) -> torch.Tensor:
    low = config.epsilon
    high = config.epsilon if config.epsilon_high is None else config.epsilon_high
    kept = [
        [c for c in part if not (config.mask_truncated_completions and c.truncated)] for part in cut
    ]
    total, per_completion, per_part = [], [], []
    for part in kept:
        mine = []
        for c in part:
            assert c.old_logps is not None
            assert c.ref_logps is not None
            logp = naive_logps(policy, c, config.temperature)
            ratio = (logp - c.old_logps).exp()
            free = ratio if config.delta is None else ratio.clamp(max=config.delta)
            gain = torch.minimum(free * c.advantage, ratio.clamp(1 - low, 1 + high) * c.advantage)
            gap = c.ref_logps - logp
            kl = gap.exp() - gap - 1
            if config.use_bias_correction_kl:
                kl = kl * ratio
            loss = -(gain - config.beta * kl)
            mine.append(loss)
            per_completion.append(loss.mean())
        total += mine
        per_part.append(torch.cat(mine).mean())
    everything = torch.cat(total)
    if config.loss_type == "grpo":
        return torch.stack(per_completion).mean()
    if config.loss_type == "dapo":
        return everything.mean()
    if config.loss_type == "dr_grpo":
        return everything.sum() / (len(total) * config.max_completion_length)
    return torch.stack(per_part).mean()


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "bnpo"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"beta": 0.07},
        {"beta": 0.07, "use_bias_correction_kl": True},
        {"epsilon": 0.1, "epsilon_high": 0.35},
        {"delta": 1.3},
        {"mask_truncated_completions": True},
    ],
    ids=lambda c: "+".join(c) or "plain",
)
@pytest.mark.parametrize("cut", [[4], [1, 3], [2, 2]], ids=str)
def test_the_gradient_of_a_step_is_that_of_the_objective(
    tiny_model: Path,
    in_float64: Callable[[Policy], Policy],
    loss_type: str,
    changes: dict[str, Any],
    cut: list[int],
) -> None:
    config = GRPOConfig(
        loss_type=loss_type,  # type: ignore[arg-type]
        temperature=0.9, max_completion_length=20, max_grad_norm=1e9, head_budget_mib=0.02, **changes,
    )  # fmt: skip
    policy = in_float64(
        Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    )
    items = rollout(policy)
    bounds = [0, *itertools.accumulate(cut)]
    parts = [items[a:b] for a, b in itertools.pairwise(bounds)]
    loss = naive_loss(policy, parts, config)
    want = torch.autograd.grad(loss, policy.trainable())
    got: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            got.extend(p.grad.clone() for p in policy.trainable() if p.grad is not None)

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, parts, config)
    assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-9)
    assert len(got) == len(want) > 10
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


def trainer(tiny_model: Path, **changes: Any) -> GRPOTrainer:
    config = GRPOConfig(
        **{
            "num_generations": 4,
            "per_device_train_batch_size": 8,
            "max_completion_length": 8,
            "max_steps": 4,
            "learning_rate": 1e-2,
            "gradient_checkpointing": False,
            **changes,
        }
    )
    rubric = Rubric(length=lambda completion: float(len(completion)))
    rows = changes.pop("rows", ROWS)
    return GRPOTrainer(tiny_model, rubric, rows, config, quiet=True)


def test_the_distance_to_the_reference_starts_at_nothing_and_grows(tiny_model: Path) -> None:
    history = trainer(tiny_model, beta=1e-6).train().history
    kl = [row["kl"] for row in history]
    assert kl[0] == pytest.approx(0.0, abs=1e-9)
    assert kl[-1] > 1e-4


def test_the_reference_of_a_warmed_up_policy_is_the_warmed_up_one(tiny_model: Path) -> None:
    from rewardkit.trainers import WarmupConfig, warm_up

    config = GRPOConfig(
        num_generations=2, per_device_train_batch_size=4, max_completion_length=6, max_steps=1,
        beta=0.1, gradient_checkpointing=False,
    )  # fmt: skip
    policy = Policy.load(str(tiny_model), config=config)
    settings = WarmupConfig(max_steps=20, per_device_train_batch_size=4, learning_rate=1e-2)
    warm_up(policy, [{"prompt": "2+2=", "completion": "4"}], settings)
    run = GRPOTrainer(
        policy, Rubric(n=lambda completion: float(len(completion))), ROWS, config, quiet=True
    )
    assert run.train().history[0]["kl"] == pytest.approx(0.0, abs=1e-9)


def test_old_log_probabilities_are_noted_where_the_policy_moves_between_steps(
    tiny_model: Path,
) -> None:
    run = trainer(tiny_model, steps_per_generation=2, num_iterations=2)
    run._step()
    assert run.progress.rollouts is not None
    assert all(c.old_logps is not None for c in run.progress.rollouts if c.advantage)
    before = [c.old_logps.clone() for c in run.progress.rollouts if c.old_logps is not None]
    run._step()
    after = [c.old_logps for c in run.progress.rollouts if c.old_logps is not None]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    alone = trainer(tiny_model)
    alone._step()
    assert alone.progress.rollouts is not None
    assert all(c.old_logps is None for c in alone.progress.rollouts)


def test_the_learning_rate_follows_its_schedule(tiny_model: Path) -> None:
    history = trainer(tiny_model, warmup_steps=2).train().history
    assert [row["learning_rate"] for row in history] == pytest.approx([0.0, 5e-3, 1e-2, 5e-3])


def test_the_optimizer_is_configured_as_asked_and_norms_do_not_decay(tiny_model: Path) -> None:
    run = trainer(tiny_model, weight_decay=0.3, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6)
    decays = {
        p.ndim > 1: g["weight_decay"] for g in run.optimizer.param_groups for p in g["params"]
    }
    assert decays == {True: 0.3, False: 0.0}
    for group in run.optimizer.param_groups:
        assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-6)


def test_advantages_are_scaled_as_asked(tiny_model: Path) -> None:
    found = {}
    for scale in ("group", "batch", "none"):
        run = trainer(tiny_model, scale_rewards=scale, per_device_train_batch_size=16)
        run._step()
        assert run.progress.rollouts is not None
        items = run.progress.rollouts.items
        totals = torch.tensor([c.total for c in items], dtype=torch.float64).view(-1, 4)
        centred = totals - totals.mean(1, keepdim=True)
        divide = {
            "group": totals.std(1, keepdim=True) + 1e-4,
            "batch": totals.std() + 1e-4,
            "none": torch.tensor(1.0),
        }[scale]
        found[scale] = torch.tensor([c.advantage for c in items], dtype=torch.float64)
        torch.testing.assert_close(found[scale].view(-1, 4), centred / divide)
    assert not torch.equal(found["group"], found["batch"])


def test_chats_are_rendered_by_the_models_own_template(tiny_model: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": "2+2"}]}] * 4
    run = GRPOTrainer(
        tiny_model, Rubric(n=lambda completion: 0.0), rows,
        GRPOConfig(num_generations=2, per_device_train_batch_size=2, max_completion_length=4, max_steps=1),
        quiet=True,
    )  # fmt: skip
    run._step()
    assert run.progress.rollouts is not None
    item = run.progress.rollouts.items[0]
    assert run.policy.tokenizer.decode(item.prompt_ids) == "<|user|>2+2<|end|><|assistant|>"
    assert item.sample is not None
    assert item.sample.completion == [{"role": "assistant", "content": item.text}]


def test_activation_checkpointing_happens_where_it_is_asked_for(tiny_model: Path) -> None:
    """Counted, not trusted: a checkpointed layer runs forward once more in the backward pass."""
    calls = {}
    for on in (False, True):
        run = trainer(tiny_model, gradient_checkpointing=on, max_steps=1)
        count = 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += torch.is_grad_enabled()

        run.policy.base.model.layers[0].mlp.register_forward_pre_hook(counted)
        run._step()
        calls[on] = count
    assert calls[True] == 2 * calls[False] > 0


def test_dropout_is_off_unless_it_is_asked_for(tiny_model: Path) -> None:
    """Also the rate that attention applies as a function, which no Dropout module shows."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.attention_dropout = 0.5
    folder = tiny_model.parent / "with-dropout"
    model.save_pretrained(folder)
    from rewardkit.trainers.loading import load_tokenizer

    load_tokenizer(str(tiny_model)).save_pretrained(folder)
    for off in (True, False):
        policy = Policy.load(
            str(folder), config=GRPOConfig(disable_dropout=off, gradient_checkpointing=False)
        )
        policy.model.train()
        ids = torch.tensor([[5, 9, 12, 20, 31]])
        with torch.no_grad():
            twice = [policy.hidden(ids, torch.ones_like(ids)) for _ in range(2)]
        assert torch.equal(*twice) == off


def test_bf16_computes_in_bfloat16_and_keeps_the_weights_in_float32(tiny_model: Path) -> None:
    run = trainer(tiny_model, bf16=True, max_steps=1)
    seen = set()

    def note(module: Any, inputs: Any, out: torch.Tensor) -> None:
        if torch.is_grad_enabled():  # what is written and tried is not in autocast
            seen.add(out.dtype)

    run.policy.base.model.layers[0].mlp.register_forward_hook(note)
    run.train()
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in run.policy.trainable()} == {torch.float32}


def test_evaluation_is_cut_into_batches_no_larger_than_a_generation(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tiny_model, max_steps=1)
    run.eval_rows = [*ROWS, *ROWS, *ROWS]
    sizes = []
    plain = run.policy.advance

    def counted(input_ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        sizes.append(len(input_ids))
        return plain(input_ids, *rest)

    monkeypatch.setattr(run.policy, "advance", counted)
    run.train()
    assert max(sizes) == run.config.generation_batch_size == 8
