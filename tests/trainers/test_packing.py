"""Promise: packed rows with shared prompts are the same maths with fewer tokens.

Held against each sequence in a row by itself, through the model's own attention, in float64.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shortages import cuda_like

from rewardkit import Rubric
from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import GRPOConfig, GRPOTrainer, LoraSettings, Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.tokens import flat_logps, flat_states, note_logps

PLAIN = GRPOConfig(gradient_checkpointing=False)
MakeModel = Callable[..., Policy]
Exactly = Callable[[Policy], Policy]


def group(place: int, prompt: int, lengths: Sequence[int]) -> list[Completion]:
    """Completions of a prompt, of tokens drawn at random."""
    draw = torch.Generator().manual_seed(place)

    def ids(count: int) -> list[int]:
        return torch.randint(6, 60, (count,), generator=draw).tolist()

    start = ids(prompt)
    return [
        Completion(place, 0, k, start, ids(n), False, "", [], total=0.0, advantage=k - 0.4)
        for k, n in enumerate(lengths)
    ]


def mixed() -> list[Completion]:
    """Three prompts, their completions not side by side."""
    a, b, c = group(0, 7, [5, 1, 12, 3]), group(1, 20, [4, 9]), group(2, 3, [6])
    return [a[0], b[0], a[1], c[0], a[2], b[1], a[3]]


def alone(policy: Policy, items: Sequence[Completion]) -> torch.Tensor:
    """Log-probabilities by one row for each sequence, nothing of ours but the head's logits."""
    found = []
    for item in items:
        ids = torch.tensor([item.prompt_ids + item.ids])
        states = policy.base.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
        logp = policy.head.logits(states[len(item.prompt_ids) - 1 : -1]).log_softmax(-1)
        found.append(logp.gather(1, torch.tensor(item.ids)[:, None])[:, 0])
    return torch.cat(found)


def gradient(policy: Policy, loss: torch.Tensor) -> torch.Tensor:
    found = torch.autograd.grad(loss, policy.trainable(), materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


def shaken(policy: Policy) -> Policy:
    """As if it had been trained: a new adapter has no gradient in half of its matrices."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in policy.trainable():
            p.add_(torch.randn_like(p) * 0.05)
    policy.model.train()
    return policy


@pytest.mark.parametrize("share", [True, False], ids=["shared", "packed"])
@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "kept"])
@pytest.mark.parametrize("lora", [None, LoraSettings(r=2)], ids=["full", "lora"])
def test_log_probabilities_and_gradients_are_those_of_plain_rows(
    small_model: MakeModel,
    in_float64: Exactly,
    lora: LoraSettings | None,
    checkpointing: bool,
    share: bool,
) -> None:
    config = GRPOConfig(gradient_checkpointing=checkpointing, prefix_sharing=share)
    policy = shaken(in_float64(small_model("llama", lora, config)))
    items = mixed()
    weight = torch.randn(sum(len(c.ids) for c in items), dtype=torch.float64)
    got, want = flat_logps(policy, items, config).logp, alone(policy, items)
    assert policy.packs
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    ours = gradient(policy, (got * weight).sum())
    theirs = gradient(policy, (want * weight).sum())
    assert float((ours - theirs).norm()) <= 1e-10 * float(theirs.norm())


def test_the_reference_goes_the_same_way(small_model: MakeModel, in_float64: Exactly) -> None:
    for lora in (None, LoraSettings(r=2)):
        config = GRPOConfig(gradient_checkpointing=False, beta=0.1)
        policy = in_float64(small_model("llama", lora, config))
        items = mixed()
        if lora is None:
            assert policy.keeps_reference
            with policy.as_reference():
                in_float64_reference = policy.bodies()[1].double()
            assert in_float64_reference is not policy.base
        want = alone(policy, items).detach()
        shaken(policy)
        with policy.as_reference():
            note_logps(policy, items, config, which="ref")
        noted = torch.cat([c.ref_logps for c in items if c.ref_logps is not None])
        torch.testing.assert_close(noted, want, rtol=1e-5, atol=1e-5)
        assert float((alone(policy, items).detach() - want).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("groups", "forwarded"),
    [
        ([(7, [5, 1, 12, 3])], 7 + 21),
        ([(64, [16] * 8)], 64 + 8 * 16),
        ([(64, [16] * 8), (10, [3]), (5, [2, 2])], 64 + 128 + 13 + 9),
    ],
)
def test_a_prompt_is_computed_once_and_nothing_is_padded(
    small_model: MakeModel, groups: list[tuple[int, list[int]]], forwarded: int
) -> None:
    policy = small_model("llama")
    items = [c for i, (prompt, lengths) in enumerate(groups) for c in group(i, prompt, lengths)]
    seen: list[torch.Size] = []
    policy.packs = None
    flat_states(policy, items)
    policy.base.model.layers[0].mlp.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    states = flat_states(policy, items)
    assert [shape[:2].numel() for shape in seen] == [states.forwarded] == [forwarded]
    apart = sum(len(c.prompt_ids + c.ids) for c in items)
    assert flat_states(policy, items, share=False).forwarded == apart


@settings(max_examples=15)
@given(data=st.data())
def test_no_sequence_sees_another(small_model: MakeModel, data: st.DataObject) -> None:
    """To the last bit: whatever one completion holds, the others' log-probabilities stay."""
    policy = _one_model(small_model)
    items = mixed()
    before = flat_logps(policy, items, PLAIN, entropy=False)
    which = data.draw(st.integers(0, len(items) - 1))
    place = data.draw(st.integers(0, len(items[which].ids) - 1))
    items[which].ids[place] = data.draw(st.integers(6, 60))
    after = flat_logps(policy, items, PLAIN, entropy=False)
    others = before.rows != which
    assert torch.equal(after.logp[others], before.logp[others])
    own = torch.arange(int((~others).sum())) < place
    assert torch.equal(after.logp[~others][own], before.logp[~others][own])


_KEPT: list[Policy] = []


def _one_model(small_model: MakeModel) -> Policy:
    if not _KEPT:
        _KEPT.append(small_model("llama"))
    return _KEPT[0]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {}),
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 2}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 16}),
        ("granite", {"logits_scaling": 3.0, "attention_multiplier": 0.3}),
        ("cohere", {"logit_scale": 0.25}),
        ("mistral", {"sliding_window": None}),
        ("gpt_neox", {"num_key_value_heads": 2}),
        ("phi3", {}),
        ("olmo2", {}),
        ("gemma", {"head_dim": 16}),
        ("mixtral", {"num_local_experts": 2}),
    ],
)
def test_architectures_that_are_packed(
    small_model: MakeModel, kind: str, changes: dict[str, Any]
) -> None:
    config = GRPOConfig(gradient_checkpointing=True)
    policy = shaken(small_model(kind, config=config, **changes))
    items = mixed()
    got, want = flat_logps(policy, items, config).logp, alone(policy, items)
    assert policy.packs
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    ours, theirs = gradient(policy, got.sum()), gradient(policy, want.sum())
    assert float((ours - theirs).norm()) <= 1e-4 * float(theirs.norm())


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("gemma2", {"head_dim": 16, "attn_logit_softcapping": 50.0}, "attention is 'eager'"),
        ("mistral", {"sliding_window": 16}, "reaches 16 tokens, and a sequence has 29"),
        ("bloom", {"n_layer": 2, "n_head": 2}, "attention"),
        ("mamba", {"state_size": 4, "num_hidden_layers": 2}, ""),
    ],
)
def test_those_that_are_not_say_so_once_and_learn_the_same(
    small_model: MakeModel, kind: str, changes: dict[str, Any], reason: str
) -> None:
    policy = shaken(small_model(kind, **changes))
    items = mixed()
    with pytest.warns(RewardKitWarning, match=reason) as told:
        states = flat_states(policy, items)
    assert len(told) == 1
    assert "padded rows" in str(told[0].message)
    assert states.forwarded == len(items) * 29
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = flat_logps(policy, items, PLAIN).logp
    torch.testing.assert_close(got, alone(policy, items), rtol=1e-4, atol=1e-4)


def test_a_model_that_mixes_what_is_packed_is_found_out(small_model: MakeModel) -> None:
    """Here by a layer that looks at the token before, across the border of sequences."""
    policy = small_model("llama")
    layer = policy.base.model.layers[0].mlp
    plain = layer.forward
    layer.forward = lambda x: plain(x + torch.roll(x, 1, dims=1))
    with pytest.warns(RewardKitWarning, match=r"packed, log-probabilities differ by \d"):
        flat_states(policy, mixed())
    assert policy.packs is False


def with_a_window(policy: Policy, reach: int) -> Policy:
    """Let it see so many tokens back, by a mask that its body makes and no configuration tells of;
    a mask of four dimensions it takes as it is, as ``transformers`` has it."""

    def look(_: torch.nn.Module, inputs: Any, given: dict[str, Any]) -> Any:
        mask = given.get("attention_mask")
        if mask is None or mask.ndim == 2:
            rows, length = given["input_ids"].shape
            back = torch.arange(length)[:, None] - torch.arange(length)
            seen = ((back >= 0) & (back < reach)).expand(rows, 1, -1, -1)
            given = {**given, "attention_mask": seen}
        return inputs, given

    policy.base.model.register_forward_pre_hook(look, with_kwargs=True)
    return policy


def test_a_fault_that_only_long_sequences_show_is_found_when_they_come_up(
    small_model: MakeModel,
) -> None:
    policy = with_a_window(small_model("llama"), 20)
    short, long = group(0, 6, [5, 2, 4]), group(1, 15, [12, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        assert flat_states(policy, short).forwarded == 6 + 11
    with pytest.warns(RewardKitWarning, match=r"differ by .* at most 16 tokens are packed") as told:
        assert flat_states(policy, long).forwarded == 2 * 27
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        assert flat_states(policy, short).forwarded == 6 + 11
        for items in (short, long):
            torch.testing.assert_close(
                flat_logps(policy, items, PLAIN).logp, alone(policy, items), rtol=1e-4, atol=1e-4
            )


def test_what_is_found_does_not_depend_on_what_came_before(small_model: MakeModel) -> None:
    """A run that resumes may meet the long rows first."""
    found = []
    batches = [group(0, 6, [5, 2, 4]), group(1, 15, [12, 3])]
    for order in ((0, 1), (1, 0)):
        policy = with_a_window(small_model("llama"), 20)
        with pytest.warns(RewardKitWarning, match="at most 16 tokens"):
            forwarded = {k: flat_states(policy, batches[k]).forwarded for k in order}
        found.append((forwarded, policy.packs, policy.window))
    assert found[0] == found[1]


def test_it_is_tried_anew_only_where_a_sequence_is_longer_than_any_tried(
    small_model: MakeModel,
) -> None:
    policy = small_model("llama")
    tried = short_of_memory(policy, 10**9)
    counts = []
    for prompt in (5, 5, 9, 20, 26, 9, 60):  # 7, 7, 11, 22, 28, 11 and 62 tokens
        flat_states(policy, group(0, prompt, [2, 1]))
        counts.append(len(tried))
        tried.clear()
    assert counts == [4, 0, 4, 4, 0, 0, 4]
    assert policy.packs_to == 64


def test_a_window_that_only_the_attention_is_told_of_is_found(small_model: MakeModel) -> None:
    policy = small_model("llama")
    for layer in policy.base.model.layers:
        plain = layer.self_attn.forward
        layer.self_attn.forward = partial(plain, sliding_window=16)
    with pytest.warns(RewardKitWarning, match=r"reaches 16 tokens.* at most 16 tokens are packed"):
        flat_states(policy, mixed())
    assert (policy.packs, policy.window) == (True, 16)


def test_what_a_model_adds_to_its_attention_is_never_left_out(small_model: MakeModel) -> None:
    """A bias on keys that is nothing at the beginning, so that no trial shows it; learned it would
    never be."""
    policy = small_model("doge")
    items = mixed()
    want = alone(policy, items)
    with pytest.warns(RewardKitWarning, match="its attention has a mask of its own"):
        got = flat_logps(policy, items, PLAIN).logp
    assert policy.packs is False
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def short_of_memory(policy: Policy, tokens: int) -> list[int]:
    """Let no trial compute more than so many tokens; what was tried is noted."""
    seen: list[int] = []

    def look(_: torch.nn.Module, inputs: Any) -> None:
        count = inputs[0].shape[:2].numel()
        if not torch.is_grad_enabled():
            seen.append(count)
            if count > tokens:
                cuda_like()

    policy.base.model.layers[1].mlp.register_forward_pre_hook(look)
    return seen


def test_a_trial_for_which_memory_does_not_suffice_is_made_on_fewer_tokens(
    small_model: MakeModel,
) -> None:
    """Taken for an answer, the run would go on in padded rows, which take more."""
    policy = small_model("llama")
    seen = short_of_memory(policy, 40)
    with pytest.warns(
        RewardKitWarning, match=r"rows of 32 tokens was tried on 16, as .* \(CUDA out of memory"
    ) as told:
        states = flat_states(policy, mixed())
    assert len(told) == 1
    assert max(seen) > 40
    assert policy.packs
    assert states.forwarded < 7 * 29
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        flat_states(policy, mixed())


def test_without_memory_for_any_trial_nothing_is_said_of_the_model(
    small_model: MakeModel,
) -> None:
    policy = small_model("llama")
    short_of_memory(policy, 0)
    items = mixed()
    with pytest.warns(RewardKitWarning, match=r"padded, as packed rows cannot be tried") as told:
        assert flat_states(policy, items).forwarded == 7 * 29
    assert len(told) == 1
    policy.base.model.layers[1].mlp._forward_pre_hooks.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewardKitWarning)
        assert flat_states(policy, items).forwarded < 7 * 29
    assert policy.packs


def test_an_attention_that_the_user_chose_is_left_to_him(small_model: MakeModel) -> None:
    policy = small_model("llama")
    policy.base.set_attn_implementation("eager")
    with pytest.warns(RewardKitWarning, match="'eager'"):
        flat_states(policy, mixed())
    assert policy.base.config._attn_implementation == "eager"


def test_with_dropout_in_the_attention_it_still_packs(small_model: MakeModel) -> None:
    config = GRPOConfig(gradient_checkpointing=False, disable_dropout=False)
    policy = small_model("llama", config=config, attention_dropout=0.3)
    policy.model.train()
    items = mixed()
    twice = [flat_logps(policy, items, config).logp for _ in range(2)]
    assert policy.packs
    assert not torch.equal(*twice)
    policy.model.eval()
    torch.testing.assert_close(
        flat_logps(policy, items, config).logp, alone(policy, items), rtol=1e-4, atol=1e-4
    )


def test_all_else_the_model_does_is_as_before_and_its_files_do_not_name_it(
    small_model: MakeModel, tmp_path: Path
) -> None:
    policy = small_model("llama").model.eval(), small_model("llama")
    model, packed = policy
    flat_states(packed, mixed())
    packed.model.eval()
    ids = torch.tensor([[9, 9, 17, 30, 31], [40, 8, 12, 6, 7]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    with torch.no_grad():
        a, b = (m(input_ids=ids, attention_mask=mask).logits for m in (model, packed.base))
        assert torch.equal(a, b)
        options: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "attention_mask": mask}
        assert torch.equal(model.generate(ids, **options), packed.base.generate(ids, **options))
    packed.save(tmp_path)
    assert "rewardkit" not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


def test_a_bf16_run_packs_and_its_gradient_is_as_near_as_that_of_plain_rows(
    small_model: MakeModel,
) -> None:
    config = GRPOConfig(gradient_checkpointing=True, bf16=True)
    policy = shaken(small_model("llama", config=config))
    items = mixed()
    exact = gradient(policy, alone(policy, items).sum())
    with policy.autocast(True):
        rounded = gradient(policy, alone(policy, items).sum())
    ours = gradient(policy, flat_logps(policy, items, config).logp.sum())
    assert policy.packs
    assert float((ours - exact).norm()) <= 2 * float((rounded - exact).norm())


def test_a_run_logs_what_it_forwarded(tiny_model: Path) -> None:
    rows = [{"prompt": f"{i}+{i}="} for i in range(8)]
    rubric = Rubric(length=lambda completion: float(len(completion) % 5))
    lines = {}
    for share in (True, False):
        config = GRPOConfig(
            num_generations=4, per_device_train_batch_size=8, max_completion_length=8,
            max_steps=2, learning_rate=1e-3, gradient_checkpointing=False, prefix_sharing=share,
        )  # fmt: skip
        run = GRPOTrainer(tiny_model, rubric, rows, config, quiet=True)
        lines[share] = run.train().history
    shared, apart = lines[True][0], lines[False][0]
    saved = shared["tokens/saved_prefix"]
    assert saved > 0 == apart["tokens/saved_prefix"]
    assert shared["tokens/padding"] == 0
    assert shared["tokens/forwarded"] + saved == apart["tokens/forwarded"]
    skipped = shared["tokens/saved_skip"]
    assert shared["num_tokens"] == shared["tokens/forwarded"] + saved + skipped
    assert shared["loss"] == pytest.approx(apart["loss"], rel=1e-5, abs=1e-7)
    assert shared["grad_norm"] == pytest.approx(apart["grad_norm"], rel=1e-5)
