"""Promise: rollouts come from the very weights that are trained, with the probabilities that the loss
computes, and each as soon as it has ended."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rewardkit import RewardKitWarning
from rewardkit.trainers import GRPOConfig, LoraSettings, Policy
from rewardkit.trainers.loading import load_tokenizer
from rewardkit.trainers.prompts import encode_prompt
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.decode import can_decode
from rewardkit.trainers.rollout.generate import Request, generate
from rewardkit.trainers.tokens import flat_logps

PLAIN = GRPOConfig(gradient_checkpointing=False, max_completion_length=24, temperature=0.8, seed=3)
LORA = LoraSettings(r=2, lora_alpha=4)
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "llama": SIZES,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "qwen3": {**SIZES, "head_dim": 16},
    "gemma2": {**SIZES, "head_dim": 16, "sliding_window": 8, "final_logit_softcapping": 5.0},
    "gpt_neox": SIZES,
    "mistral": {**SIZES, "sliding_window": 8},
}
CACHELESS: dict[str, dict[str, Any]] = {
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}


def policy(tiny_model: Path, folder: Path, kind: str, lora: LoraSettings | None = None) -> Policy:
    tokenizer = load_tokenizer(str(tiny_model))
    known = AutoConfig.for_model(
        kind, **{**KINDS, **CACHELESS}[kind], vocab_size=len(tokenizer), bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(known)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    model.save_pretrained(folder / kind)
    tokenizer.save_pretrained(folder / kind)
    made = Policy.load(str(folder / kind), lora=lora, config=PLAIN)
    with torch.no_grad():
        for p in made.trainable():
            p.add_(torch.randn_like(p) * 0.02)
    return made


def requests(of: Policy, groups: int = 4, size: int = 4) -> list[Request]:
    """Groups whose prompts differ in length, so that padding has a part in it."""
    prompts = [encode_prompt(of.tokenizer, "1+1=" + "0" * (3 * g)) for g in range(groups)]
    return [Request(g, g, k, prompts[g]) for g in range(groups) for k in range(size)]


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "adapters"])
@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_of_a_rollout_are_those_the_loss_computes_to_1e_6(
    tiny_model: Path, tmp_path: Path, kind: str, lora: LoraSettings | None
) -> None:
    of = policy(tiny_model, tmp_path, kind, lora)
    assert can_decode(of)
    made = generate(of, requests(of), PLAIN, step=0)
    assert len({len(c.ids) for c in made}) > 1
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on padded rows", RewardKitWarning)
        computed = flat_logps(of, made, PLAIN).logp
    sampled = torch.tensor([logp for c in made for logp in c.sampling_logps])
    off = (computed - sampled).abs() / computed.abs().clamp(min=1)
    assert float(off.max()) <= 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_completions_are_those_of_transformers_own_generate(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    of = policy(tiny_model, tmp_path, kind)
    ours = generate(of, requests(of), PLAIN, step=0)
    of.decodes = False
    theirs = generate(of, requests(of), PLAIN, step=0)
    assert [c.ids for c in ours] == [c.ids for c in theirs]
    assert [c.text for c in ours] == [c.text for c in theirs]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.sampling_logps, b.sampling_logps, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", CACHELESS)
def test_models_without_a_past_by_position_are_written_by_transformers(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    of = policy(tiny_model, tmp_path, kind)
    assert not can_decode(of)
    made = generate(of, requests(of, groups=1), PLAIN, step=0)
    assert len(made) == 4


def test_a_model_whose_cache_says_something_else_is_written_by_transformers_and_told_of(
    tiny_model: Path, tmp_path: Path
) -> None:
    of = policy(tiny_model, tmp_path, "llama")
    plain = of.advance

    def forgetful(ids: torch.Tensor, mask: torch.Tensor, at: torch.Tensor, past: Any) -> Any:
        return plain(ids, mask, at * 0, past)

    of.advance = forgetful  # type: ignore[assignment, method-assign]
    with pytest.warns(RewardKitWarning, match="other probabilities with a cache than without"):
        assert not can_decode(of)
    assert len(generate(of, requests(of), PLAIN, step=0)) == 16


def test_a_prompt_is_computed_once_for_its_group_and_what_has_ended_is_computed_no_more(
    tiny_model: Path, tmp_path: Path
) -> None:
    of = policy(tiny_model, tmp_path, "llama")
    can_decode(of)
    rows: list[tuple[int, int]] = []
    plain = of.advance

    def counted(ids: torch.Tensor, *rest: Any) -> torch.Tensor:
        rows.append(tuple(ids.shape))  # type: ignore[arg-type]
        return plain(ids, *rest)

    of.advance = counted  # type: ignore[assignment, method-assign]
    whole = PLAIN.model_copy(update={"rollout_batch_size": 24, "max_completion_length": 100})
    made = generate(of, requests(of, groups=3, size=8), whole, step=0)
    assert rows[0] == (3, max(len(c.prompt_ids) for c in made))
    alive = [sum(len(c.ids) > n for c in made) for n in range(1, len(rows))]
    assert min(alive) < 18, "too few ended for this to show anything"
    for (computed, one), needed in zip(rows[1:], alive, strict=True):
        assert one == 1
        assert needed <= computed <= max(needed / (7 / 8), 1) + 1


def test_a_group_is_told_of_when_its_last_completion_has_ended(
    tiny_model: Path, tmp_path: Path
) -> None:
    of = policy(tiny_model, tmp_path, "llama")
    told: list[list[Completion]] = []
    wanted = requests(of)
    made = generate(of, wanted, PLAIN, step=0, on_group=told.append)
    assert sorted(group[0].group for group in told) == [0, 1, 2, 3]
    for group in told:
        assert [(c.group, c.sample_index) for c in group] == [(group[0].group, k) for k in range(4)]
    longest = {g: max(len(c.ids) for c in made if c.group == g) for g in range(4)}
    in_order = [longest[group[0].group] for group in told]
    assert in_order == sorted(in_order)
    cut: list[int] = []
    small = PLAIN.model_copy(update={"rollout_batch_size": 3})  # groups are spread over batches
    generate(of, wanted, small, step=0, on_group=lambda group: cut.append(len(group)))
    assert cut == [4, 4, 4, 4]


def test_nothing_of_the_checkpoints_own_generation_settings_gets_into_a_rollout(
    tiny_model: Path, tmp_path: Path
) -> None:
    of = policy(tiny_model, tmp_path, "llama")
    plain = [c.ids for c in generate(of, requests(of), PLAIN, step=0)]
    own = of.base.generation_config
    own.repetition_penalty, own.num_beams, own.max_time = 5.0, 3, 0.0
    for decodes in (True, False):
        of.decodes = decodes
        assert [c.ids for c in generate(of, requests(of), PLAIN, step=0)] == plain
