"""Promise: any causal model, full weights or adapters, and a reference that is really the start."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rewardkit import ConfigError
from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import GRPOConfig, LoraSettings, Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.tokens import flat_logps

PLAIN = GRPOConfig(beta=0.1, gradient_checkpointing=False)
LORA = LoraSettings(r=4, lora_alpha=8)


def batch(policy: Policy) -> list[Completion]:
    encode = policy.tokenizer
    return [
        Completion(
            0, 0, 0, encode("2+2=")["input_ids"], encode("it is 4")["input_ids"], False, "", []
        )
    ]


def logps(policy: Policy) -> torch.Tensor:
    with torch.no_grad():
        return flat_logps(policy, batch(policy), PLAIN).logp


def shake(policy: Policy) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for p in policy.trainable():
            p.add_(torch.randn_like(p) * 0.05)


@pytest.mark.parametrize("lora", [None, LORA])
def test_the_reference_is_the_policy_at_the_start(tiny_model: Path, lora: Any) -> None:
    policy = Policy.load(str(tiny_model), lora=lora, config=PLAIN)
    start = logps(policy)
    shake(policy)
    moved = logps(policy)
    assert (moved - start).abs().max() > 1e-3
    with policy.as_reference():
        assert torch.equal(logps(policy), start)
    assert torch.equal(logps(policy), moved)


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_refreshed_reference_is_the_policy_of_that_moment(tiny_model: Path, lora: Any) -> None:
    policy = Policy.load(str(tiny_model), lora=lora, config=PLAIN)
    shake(policy)
    refreshed = logps(policy)
    policy.refresh_reference()
    state = policy.reference_state()
    shake(policy)
    with policy.as_reference():
        assert torch.equal(logps(policy), refreshed)
    again = Policy.load(str(tiny_model), lora=lora, config=PLAIN)
    again.load_reference_state(state)
    with again.as_reference():
        torch.testing.assert_close(logps(again), refreshed)


def test_the_reference_is_put_back_even_when_its_use_fails(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model), lora=LORA, config=PLAIN)
    policy.refresh_reference()
    shake(policy)
    moved = logps(policy)
    with pytest.raises(RuntimeError, match="inside"), policy.as_reference():
        raise RuntimeError("inside")
    assert torch.equal(logps(policy), moved)


def test_with_adapters_the_base_weights_are_never_touched(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model), lora=LORA, config=PLAIN)
    frozen = {n: p.clone() for n, p in policy.model.named_parameters() if not p.requires_grad}
    for _ in range(3):
        shake(policy)
        policy.refresh_reference()
        with policy.as_reference():
            logps(policy)
    for name, p in policy.model.named_parameters():
        assert name not in frozen or torch.equal(p, frozen[name])
    assert all("lora" in n for n, p in policy.model.named_parameters() if p.requires_grad)


def test_adapters_save_in_pefts_format_and_full_models_as_transformers_does(
    tiny_model: Path, tmp_path: Path
) -> None:
    Policy.load(str(tiny_model), lora=LORA).save(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_config.json").exists()
    policy = Policy.load(str(tiny_model))
    shake(policy)
    policy.save(tmp_path / "full")
    assert torch.equal(logps(Policy.load(str(tmp_path / "full"))), logps(policy))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 2}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 16}),
        (
            "gemma2",
            {"head_dim": 16, "final_logit_softcapping": 5.0, "attn_logit_softcapping": 50.0},
        ),
        ("granite", {"logits_scaling": 3.0}),
        ("cohere", {"logit_scale": 0.25}),
        ("mistral", {}),
        ("gpt_neox", {}),
    ],
)
def test_real_architectures_give_their_own_log_probabilities(
    tiny_model: Path, tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    """Each is made small, saved and loaded; the head is checked against the model's own logits."""
    from rewardkit.trainers.loading import load_tokenizer

    tokenizer = load_tokenizer(str(tiny_model))
    sizes = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
    }  # fmt: skip
    config = AutoConfig.for_model(
        kind, **{**({} if kind == "gpt2" else sizes), **changes}, vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = Policy.load(str(tmp_path), config=GRPOConfig(gradient_checkpointing=False))
    item = batch(policy)[0]
    with torch.no_grad():
        z = policy.model(input_ids=torch.tensor([item.prompt_ids + item.ids])).logits[0].float()
    n = len(item.prompt_ids)
    want = torch.log_softmax(z, -1)[n - 1 : -1].gather(1, torch.tensor(item.ids)[:, None])[:, 0]
    with pytest.warns(RewardKitWarning, match="eager") if kind == "gemma2" else nullcontext():
        got = logps(policy)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_a_head_that_is_not_understood_is_refused_rather_than_trained_wrong(
    tiny_model: Path,
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    plain = type(model).forward

    class Odd(type(model)):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = plain(self, *args, **kwargs)
            out.logits = out.logits * torch.linspace(0.1, 3, out.logits.shape[-1])
            return out

    from rewardkit.trainers.loading import load_tokenizer

    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8.0)
    model.__class__ = Odd
    with pytest.raises(ConfigError, match="transforms its logits"):
        Policy(model, load_tokenizer(str(tiny_model)))


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_model_folder_that_is_not_there_is_said_before_any_hub_is_asked(source: str) -> None:
    with pytest.raises(ConfigError, match="there is no model in the folder"):
        Policy.load(source)


def test_an_adapter_is_trained_on_with_its_past_as_the_reference(
    tiny_model: Path, tmp_path: Path
) -> None:
    first = Policy.load(str(tiny_model), lora=LORA, config=PLAIN)
    base = logps(first)
    shake(first)
    first.save(tmp_path / "adapter")
    again = Policy.load(str(tmp_path / "adapter"), config=PLAIN)
    assert torch.equal(logps(again), logps(first))
    assert len(again.trainable()) == len(first.trainable()) > 0
    shake(again)
    with again.as_reference():
        assert torch.equal(logps(again), logps(first))
    off = Policy.load(
        str(tmp_path / "adapter"), config=PLAIN.model_copy(update={"reference": "base"})
    )
    with off.as_reference():
        assert torch.equal(logps(off), base)


def test_settings_that_an_adapter_does_not_have_and_a_lost_base_are_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    Policy.load(str(tiny_model), lora=LORA, config=PLAIN).save(tmp_path / "adapter")
    Policy.load(str(tmp_path / "adapter"), lora=LORA, config=PLAIN)
    with pytest.raises(ConfigError, match="settings of its own .*lora_alpha: 8, not 16"):
        Policy.load(str(tmp_path / "adapter"), lora=LoraSettings(r=4, lora_alpha=16))
    facts = tmp_path / "adapter" / "adapter_config.json"
    facts.write_text(facts.read_text().replace(str(tiny_model), "/gone/away"))
    with pytest.raises(ConfigError, match="stands on the model '/gone/away', which is not there"):
        Policy.load(str(tmp_path / "adapter"))


def test_checkpointing_and_dropout_change_no_gradient(tiny_model: Path) -> None:
    grads = []
    for on in (False, True):
        policy = Policy.load(
            str(tiny_model), lora=LORA, config=GRPOConfig(gradient_checkpointing=on)
        )
        policy.model.train()
        shake(policy)
        flat_logps(policy, batch(policy), PLAIN).logp.sum().backward()
        grads.append([p.grad.clone() for p in policy.trainable() if p.grad is not None])
    assert len(grads[0]) > 0
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)
