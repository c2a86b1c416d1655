"""Promise: the losses that TRL has are TRL's, on the same tensors and by TRL's own code.

A real ``trl.GRPOTrainer`` computes its loss from log-probabilities that are handed to it, in
float64 and padded as it wants them; ours takes the same numbers flat. Nothing of it is rewritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rewardkit import Rubric
from rewardkit.trainers import GRPOConfig, Policy, make_trainer
from rewardkit.trainers.losses import (
    Denominators,
    PolicyObjective,
    Ragged,
    Tokens,
    entropy_threshold,
    importance_correction,
)
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import optimizer_step

pytest.importorskip("trl")

LENGTHS = [5, 1, 8, 3]
WIDTH, LONGEST = max(LENGTHS), 12
MASK = torch.tensor([[float(t < n) for t in range(WIDTH)] for n in LENGTHS], dtype=torch.float64)
FLAT = MASK.bool()
ADVANTAGES = torch.tensor([1.2, -0.8, -0.9, 0.5], dtype=torch.float64)
THEIRS = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")


@pytest.fixture(scope="module")
def trl_trainer(tiny_model: Path) -> Any:
    config = GRPOConfig(
        num_generations=4, per_device_train_batch_size=4, max_completion_length=LONGEST,
        max_steps=1, beta=0.1, temperature=0.9, gradient_checkpointing=False,
    )  # fmt: skip
    rubric = Rubric(length=lambda completion: float(len(completion)))
    made = make_trainer(
        tiny_model, rubric, [{"prompt": "1+1="}] * 4, config, backend="trl", quiet=True
    )
    inner = made.inner  # type: ignore[attr-defined]
    inner.current_gradient_accumulation_steps = 1
    inner.model.train()
    return inner


def configure(inner: Any, config: GRPOConfig) -> None:
    """What TRL's constructor would have taken from its own configuration of these keys."""
    for key in ("loss_type", "beta", "importance_sampling_level", "top_entropy_quantile",
                "off_policy_mask_threshold", "entropy_coef", "max_completion_length"):  # fmt: skip
        setattr(inner, key, getattr(config, key))
    inner.epsilon_low, inner.epsilon_high = config.clip
    inner._entropy_bonus_enabled = config.entropy_coef != 0
    inner.use_vllm = config.vllm_importance_sampling_correction
    inner.vllm_importance_sampling_correction = config.vllm_importance_sampling_correction
    for key in ("delta", "use_bias_correction_kl", "sapo_temperature_pos", "sapo_temperature_neg",
                "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg"):  # fmt: skip
        setattr(inner.args, key, getattr(config, key))


def case(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    logp = -2 + 0.7 * torch.randn(4, WIDTH, dtype=torch.float64)
    found = {name: logp + s * torch.randn_like(logp) for name, s in (("old", 0.3), ("ref", 0.5))}
    sampling = found["old"] + 0.1 * torch.randn_like(logp)
    return {"logp": logp, "entropy": torch.rand_like(logp), "sampling": sampling, **found}


def their_loss(
    inner: Any,
    config: GRPOConfig,
    tensors: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[torch.Tensor, ...]:
    logp, entropy = (tensors[k].clone().requires_grad_() for k in ("logp", "entropy"))
    configure(inner, config)
    monkeypatch.setattr(
        inner, "_get_per_token_logps_and_entropies", lambda *_, **__: (logp, entropy, None)
    )
    inputs = {
        "prompt_ids": torch.ones(4, 2, dtype=torch.long), "prompt_mask": torch.ones(4, 2),
        "completion_ids": torch.ones(4, WIDTH, dtype=torch.long), "completion_mask": MASK,
        "advantages": ADVANTAGES, "old_per_token_logps": tensors["old"],
        "ref_per_token_logps": tensors["ref"], "num_items_in_batch": MASK.sum(),
    }  # fmt: skip
    if config.off_policy_mask_threshold is not None:
        inputs["sampling_per_token_logps"] = tensors["sampling"]
    if config.vllm_importance_sampling_correction:
        inputs["importance_sampling_ratio"] = their_correction(config, tensors)
    loss = inner._compute_loss(inner.model, inputs)
    return loss.detach(), *torch.autograd.grad(loss, (logp, entropy), materialize_grads=True)


def their_correction(config: GRPOConfig, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    """Ours, laid out as TRL makes it inside of a generation: a row's ratio, or each token's."""
    flat = correction(config, tensors)
    padded = torch.ones_like(MASK)
    padded[FLAT] = flat
    return padded[:, :1] if config.vllm_importance_sampling_mode.startswith("sequence") else padded


def correction(config: GRPOConfig, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return importance_correction(
        tensors["old"][FLAT], tensors["sampling"][FLAT], Ragged.of(torch.tensor(LENGTHS)),
        config.vllm_importance_sampling_mode, config.vllm_importance_sampling_clip_min,
        config.vllm_importance_sampling_clip_max,
    )  # fmt: skip


def our_loss(config: GRPOConfig, tensors: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    logp, entropy = (tensors[k][FLAT].clone().requires_grad_() for k in ("logp", "entropy"))
    ragged, chosen = Ragged.of(torch.tensor(LENGTHS)), None
    if config.top_entropy_quantile < 1:
        chosen = (
            entropy >= entropy_threshold(entropy.detach(), config.top_entropy_quantile)
        ).double()
    tokens = Tokens(
        ragged, ragged.spread(ADVANTAGES), tensors["old"][FLAT],
        tensors["ref"][FLAT] if config.beta else None, tensors["sampling"][FLAT], chosen,
    )  # fmt: skip
    acted_on = sum(LENGTHS) if chosen is None else int(chosen.sum())
    denominators = Denominators(4, sum(LENGTHS), LONGEST, 1, acted_on)
    objective = PolicyObjective(
        tokens, config, denominators, beta=config.beta, entropy_coef=config.entropy_coef
    )
    loss = objective(logp, entropy)
    return loss.detach(), *torch.autograd.grad(loss, (logp, entropy), materialize_grads=True)


def configuration(loss_type: str, **changes: Any) -> GRPOConfig:
    bound = {"epsilon_high": 1.1} if loss_type == "cispo" else {"epsilon_high": 0.28}
    return GRPOConfig(
        loss_type=loss_type,  # type: ignore[arg-type]
        max_completion_length=LONGEST,
        **{**bound, **changes},
    )


def check(inner: Any, config: GRPOConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    # TRL holds the constants of sapo and vespo in float32, whatever its tensors are.
    close = 1e-7 if config.loss_type in ("sapo", "vespo") else 1e-10
    for seed in range(2):
        tensors = case(seed)
        theirs = their_loss(inner, config, tensors, monkeypatch)
        ours = our_loss(config, tensors)
        torch.testing.assert_close(ours[0], theirs[0], rtol=close, atol=close)
        for got, want in zip(ours[1:], theirs[1:], strict=True):
            torch.testing.assert_close(got, want[FLAT], rtol=close, atol=close)
            assert not want[~FLAT].any()


CHANGES: list[dict[str, Any]] = [
    {},
    {"beta": 0.07},
    {"beta": 0.07, "use_bias_correction_kl": True},
    {"entropy_coef": 0.2},
    {"off_policy_mask_threshold": 0.02},
    {"top_entropy_quantile": 0.4},
    {"top_entropy_quantile": 0.4, "entropy_coef": 0.2, "beta": 0.05},
]


@pytest.mark.parametrize("loss_type", THEIRS)
@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("changes", CHANGES, ids=lambda c: "+".join(c) or "plain")
def test_loss_and_gradient_are_those_of_trl(
    trl_trainer: Any,
    monkeypatch: pytest.MonkeyPatch,
    loss_type: str,
    level: str,
    changes: dict[str, Any],
) -> None:
    deltas = (None,) if loss_type in ("cispo", "sapo", "vespo") else (None, 1.2)
    for delta in deltas:
        config = configuration(loss_type, importance_sampling_level=level, delta=delta, **changes)
        check(trl_trainer, config, monkeypatch)


@pytest.mark.parametrize("loss_type", THEIRS)
@pytest.mark.parametrize(
    "mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
)
def test_the_correction_enters_the_loss_where_trl_has_it(
    trl_trainer: Any, monkeypatch: pytest.MonkeyPatch, loss_type: str, mode: str
) -> None:
    if loss_type == "vespo" and mode.startswith("sequence"):
        return  # refused by both
    config = configuration(
        loss_type, beta=0.05, vllm_importance_sampling_correction=True,
        vllm_importance_sampling_mode=mode, vllm_importance_sampling_clip_max=1.15,
    )  # fmt: skip
    check(trl_trainer, config, monkeypatch)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "cispo"])
def test_from_the_same_weights_and_tokens_the_gradient_is_that_of_trl(
    trl_trainer: Any, tiny_model: Path, loss_type: str
) -> None:
    """End to end in float32: TRL's padded batch and its own head, our flat tokens and ours."""
    config = configuration(loss_type, beta=0.04, max_grad_norm=1e9, temperature=0.9)
    configure(trl_trainer, config)
    policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False, beta=0.1))
    encode = policy.tokenizer
    prompt = encode("12+3=")["input_ids"]
    draw = torch.Generator().manual_seed(0)
    items = []
    for k, length in enumerate(LENGTHS):
        ids = torch.randint(20, 60, (length,), generator=draw).tolist()
        item = Completion(0, 0, k, prompt, ids, False, "", [])
        item.total, item.advantage = 0.0, float(ADVANTAGES[k])
        item.old_logps = -4.4 + 0.2 * torch.randn(length, generator=draw)
        item.ref_logps = -4.4 + 0.2 * torch.randn(length, generator=draw)
        items.append(item)

    def padded(values: list[Any], fill: float, dtype: torch.dtype) -> torch.Tensor:
        out = torch.full((4, WIDTH), fill, dtype=dtype)
        for row, value in zip(out, values, strict=True):
            row[: len(value)] = torch.as_tensor(value, dtype=dtype)
        return out

    model = trl_trainer.model
    with torch.no_grad():
        for mine, theirs in zip(policy.base.parameters(), model.parameters(), strict=True):
            theirs.copy_(mine)
    model.zero_grad()
    inputs = {
        "prompt_ids": torch.tensor([prompt] * 4), "prompt_mask": torch.ones(4, len(prompt), dtype=torch.long),
        "completion_ids": padded([c.ids for c in items], 0, torch.long),
        "completion_mask": MASK.long(), "advantages": ADVANTAGES.float(),
        "old_per_token_logps": padded([c.old_logps for c in items], 0.0, torch.float32),
        "ref_per_token_logps": padded([c.ref_logps for c in items], 0.0, torch.float32),
        "num_items_in_batch": MASK.sum(),
    }  # fmt: skip
    loss = trl_trainer._compute_loss(model, inputs)
    loss.backward()
    wanted = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    got: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            got.extend(p.grad.clone() for p in policy.trainable() if p.grad is not None)

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    metrics = optimizer_step(policy, optimizer, schedule, [items], config)
    assert metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert len(got) == len(wanted) > 10
    for a, b in zip(got, wanted, strict=True):
        assert float((a - b).norm()) <= 1e-5 * float(b.norm()) + 1e-9


def test_the_loss_of_rloo_is_that_of_trls_rloo_trainer(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl
    from datasets import Dataset

    from rewardkit.trainers.loading import load_model, load_tokenizer

    inner = trl.RLOOTrainer(
        model=load_model(str(tiny_model), "float32"),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),  # type: ignore[arg-type]
        args=trl.RLOOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=4, num_generations=4,
            max_completion_length=LONGEST, report_to="none", use_cpu=True, bf16=False,
            epsilon=0.2, epsilon_high=0.28,
        ),
        train_dataset=Dataset.from_list([{"prompt": "1+1="}] * 4),
        processing_class=load_tokenizer(str(tiny_model)),
    )  # fmt: skip
    for seed in range(4):
        tensors = case(seed)
        tensors["old"] = tensors["logp"] + 0.1 * (tensors["old"] - tensors["logp"])
        logp = tensors["logp"].clone().requires_grad_()
        monkeypatch.setattr(
            inner,
            "_get_per_token_logps_and_entropies",
            lambda *_, x=logp, e=tensors["entropy"], **__: (x, e, None),
        )
        inputs = {
            "prompt_ids": torch.ones(4, 2, dtype=torch.long), "prompt_mask": torch.ones(4, 2),
            "completion_ids": torch.ones(4, WIDTH, dtype=torch.long), "completion_mask": MASK,
            "advantages": ADVANTAGES, "old_logps": (tensors["old"] * MASK).sum(1),
        }  # fmt: skip
        loss = inner._compute_loss(inner.model, inputs)  # type: ignore[no-untyped-call]
        wanted = torch.autograd.grad(loss, logp)[0]
        ours = our_loss(configuration("rloo"), tensors)
        torch.testing.assert_close(ours[0], loss.detach(), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours[1], wanted[FLAT], rtol=1e-10, atol=1e-10)
