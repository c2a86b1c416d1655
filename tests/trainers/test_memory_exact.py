"""Promise: what saves memory changes no loss and no gradient, and nothing that is written.

Offloaded layer inputs, feed-forward blocks in tiles and lean norms and adapters are compared with
the model as ``transformers`` and peft have it, architecture by architecture.
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from rewardkit import ConfigError, RewardKitWarning
from rewardkit.trainers import GRPOConfig, LoraSettings, Policy
from rewardkit.trainers.loading import load_tokenizer, lora_config
from rewardkit.trainers.memory.install import install
from rewardkit.trainers.memory.lean_lora import lean_lora
from rewardkit.trainers.memory.lean_norm import form_of, lean_norm
from rewardkit.trainers.memory.offload import Copies
from rewardkit.trainers.memory.tiled import tiled
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.tokens import flat_logps

KINDS: dict[str, dict[str, Any]] = {
    "llama": {}, "mistral": {}, "qwen2": {}, "qwen3": {"head_dim": 16},
    "gemma": {"head_dim": 16}, "gemma2": {"head_dim": 16}, "gpt2": {}, "phi3": {},
    "gpt_neox": {},
}  # fmt: skip
SIZES = {
    "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64, "pad_token_id": 0,
}  # fmt: skip
TARGETS = ["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def small(kind: str, **changes: Any) -> Any:
    """A random model of an architecture, in training."""
    sizes = {**SIZES, **KINDS[kind], **changes}
    if kind == "gpt2":
        sizes = {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64, **changes}
    config = AutoConfig.for_model(kind, vocab_size=50, bos_token_id=None, eos_token_id=1, **sizes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    return model.train()


def adapted(model: Any, **changes: Any) -> Any:
    from peft import get_peft_model

    torch.manual_seed(1)
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets = tuple(t for t in TARGETS if t in names) or "all-linear"
    given = LoraSettings(r=4, lora_alpha=8, target_modules=targets, **changes)
    model = get_peft_model(model, lora_config(given))
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.1)
    model.enable_input_require_grads()
    return model.train()


def checkpointed(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def outcome(model: Any, bf16: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and the gradient of a sum of them, in one vector."""
    torch.manual_seed(2)
    ids = torch.arange(2 * 19).view(2, 19) % 47 + 2
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=ids, use_cache=False).logits
    pull = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
    model.zero_grad()
    (logits.double() * pull).sum().backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return logits.detach(), torch.cat([g.flatten() for g in grads])


def off(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_saving_leaves_the_gradient_of_every_architecture(kind: str, lora: bool) -> None:
    model = small(kind)
    model = checkpointed(adapted(model) if lora else model)
    logits, want = outcome(model)
    mover = Copies()
    done = install(model, offload=True, mlp_tile=7, mover=mover)
    assert (done.layers, done.blocks) == (3, 3)
    assert not done.unknown
    got = outcome(model)
    assert mover.moved == 3
    assert off(got[0], logits) < 1e-6
    assert off(got[1], want) < 1e-6
    done.remove()
    again = outcome(model)
    assert torch.equal(again[0], logits)
    assert torch.equal(again[1], want)


@pytest.mark.parametrize("kind", ["llama", "gemma", "gpt2"])
def test_in_float64_offloading_and_tiles_are_exact_to_fourteen_digits(kind: str) -> None:
    for model in (small(kind).double(), adapted(small(kind).double())):
        _, want = outcome(checkpointed(model))
        install(model, offload=True, mlp_tile=5, lean=False, mover=Copies())
        assert off(outcome(model)[1], want) < 1e-14


def test_offloading_alone_changes_no_bit() -> None:
    model = checkpointed(adapted(small("llama")))
    want = outcome(model)
    install(model, offload=True, lean=False, mover=Copies())
    for a, b in zip(outcome(model), want, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma", "gpt2"])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=str)
def test_under_bfloat16_the_error_is_that_of_bfloat16(kind: str, weights: torch.dtype) -> None:
    """Against float32, it is no larger than the plain model's own."""
    exact = checkpointed(adapted(small(kind).to(weights).float()))
    rounded = copy.deepcopy(exact)
    for module in rounded.modules():
        for p in module.parameters(recurse=False):
            p.data = p.data if p.requires_grad else p.data.to(weights)
    _, want = outcome(exact)
    logits, plain = outcome(rounded, bf16=weights == torch.float32)
    install(rounded, offload=True, mlp_tile=7, mover=Copies())
    got = outcome(rounded, bf16=weights == torch.float32)
    assert got[0].dtype == logits.dtype
    assert off(got[1], want) <= 1.5 * off(plain, want) + 1e-6
    assert off(got[0], logits) < 0.02


def test_dropout_draws_the_same_masks_in_the_backward_pass() -> None:
    """GPT-2 drops out inside of its block: a tile must meet in backward what it met in forward."""
    block = torch.nn.Sequential(
        torch.nn.Linear(8, 32), torch.nn.Dropout(0.5), torch.nn.Linear(32, 8)
    )
    x = torch.randn(23, 8, requires_grad=True)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    y = tiled(block, x, 4, list(block.parameters()))
    after = torch.get_rng_state()
    torch.manual_seed(99)
    y.sum().backward()
    got = [x.grad.clone(), *[p.grad.clone() for p in block.parameters()]]  # type: ignore[union-attr]
    torch.set_rng_state(before)
    x.grad = None
    block.zero_grad()
    want = torch.cat([block(x[i : i + 4]) for i in range(0, 23, 4)])
    assert torch.equal(torch.get_rng_state(), after)
    assert torch.equal(y, want)
    want.sum().backward()
    for a, b in zip(got, [x.grad, *[p.grad for p in block.parameters()]], strict=True):
        torch.testing.assert_close(a, b)
    model = checkpointed(small("gpt2", resid_pdrop=0.3, attn_pdrop=0.3))
    done = install(model, offload=True, lean=False, mover=Copies())
    offloaded = outcome(model)
    done.remove()
    assert torch.equal(offloaded[1], outcome(model)[1])


def test_backward_leaves_the_generators_where_they_were() -> None:
    block = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    y = tiled(block, torch.randn(9, 4, requires_grad=True), 2, list(block.parameters()))
    state = torch.get_rng_state()
    y.sum().backward()
    assert torch.equal(torch.get_rng_state(), state)


@given(rows=st.integers(1, 40), tile=st.integers(1, 45), learned=st.booleans(), pull=st.booleans())
@settings(max_examples=40)
def test_any_tile_gives_the_same(rows: int, tile: int, learned: bool, pull: bool) -> None:
    draw = torch.Generator().manual_seed(rows)
    block = torch.nn.Sequential(
        torch.nn.Linear(3, 7), torch.nn.SiLU(), torch.nn.Linear(7, 3)
    ).double()
    block.requires_grad_(learned)
    x = torch.randn(
        1, rows, 3, generator=draw, dtype=torch.float64, requires_grad=pull or not learned
    )
    g = torch.randn(1, rows, 3, generator=draw, dtype=torch.float64)
    leaves = [t for t in (x, *block.parameters()) if t.requires_grad]
    found = tiled(block, x, tile, [p for p in block.parameters() if p.requires_grad])
    got = torch.autograd.grad(found, leaves, g)
    for a, b in zip(got, torch.autograd.grad(block(x), leaves, g), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["llama", "late", "gemma"])
@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_lean_norm_is_the_derivative_of_its_definition(
    form: Any, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rewardkit.trainers.memory import lean_norm as module

    monkeypatch.setattr(module, "_rows", lambda x: chunk)
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(3, 11, 16, generator=draw, requires_grad=True)
    w = torch.randn(16, generator=draw, requires_grad=True)
    g = torch.randn(3, 11, 16, generator=draw)
    got = torch.autograd.grad(lean_norm(x, w, 1e-3, form), [x, w], g)
    wide, heavy = x.double(), w.double() + (1.0 if form == "gemma" else 0.0)
    y = heavy * wide / (wide.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    for a, b in zip(got, torch.autograd.grad(y, [x, w], g.double()), strict=True):
        assert off(a, b) < 1e-6


@pytest.mark.parametrize(
    ("x_type", "adapter", "autocast"),
    [
        (torch.float64, torch.float64, False),
        (torch.float32, torch.float32, False),
        (torch.bfloat16, torch.float32, False),
        (torch.float32, torch.float32, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [False, True])
def test_a_lean_adapter_is_the_derivative_of_its_definition(
    x_type: torch.dtype, adapter: torch.dtype, autocast: bool, bias: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from rewardkit.trainers.memory import lean_lora as module

    monkeypatch.setattr(module, "_CHUNK", 256)
    draw = torch.Generator().manual_seed(0)

    def make(*shape: int, kind: torch.dtype) -> torch.Tensor:
        drawn: torch.Tensor = torch.randn(*shape, generator=draw) / shape[-1] ** 0.5
        return drawn.to(kind)

    x = make(2, 13, 24, kind=x_type).requires_grad_()
    w, shift = make(20, 24, kind=x_type), make(20, kind=x_type) if bias else None
    a, b = (make(*s, kind=adapter).requires_grad_() for s in ((4, 24), (20, 4)))
    g = make(2, 13, 20, kind=torch.float64)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = lean_lora(x, lambda: w, shift, a, b, 2.0)
        assert torch.equal(lean_lora(x.detach(), lambda: w, shift, a.detach(), b.detach(), 2.0), y)
    assert y.dtype == (torch.bfloat16 if autocast else x_type)
    got = torch.autograd.grad(y, [x, a, b], g.to(y.dtype))
    wide, low, high = (t.double() for t in (x, a, b))
    exact = wide @ w.double().T + 2.0 * (wide @ low.T) @ high.T
    exact = exact if shift is None else exact + shift.double()
    allowed = 1e-13 if x_type == torch.float64 else 1e-6
    allowed = 0.02 if autocast or x_type == torch.bfloat16 else allowed
    assert off(y, exact) < allowed
    for one, other in zip(got, torch.autograd.grad(exact, [x, a, b], g), strict=True):
        assert off(one, other) < allowed


@pytest.fixture
def plain(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


def test_only_the_instance_is_changed_and_a_copy_of_it_finds_its_own_weights(plain: Any) -> None:
    other = copy.deepcopy(plain)
    classes = {type(m): type(m).forward for m in plain.modules()}
    model = adapted(plain)
    install(model, mlp_tile=3)
    assert all(cls.forward is forward for cls, forward in classes.items())
    assert not any("forward" in m.__dict__ for m in other.modules())
    twin = copy.deepcopy(model)
    before = outcome(twin)[0]
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert torch.equal(outcome(twin)[0], before)
    assert outcome(twin)[1].norm() > 0


def test_adapters_that_are_more_than_two_matrices_are_left_to_peft(plain: Any) -> None:
    from peft import LoraConfig, get_peft_model

    def same(model: Any) -> None:
        model.train()
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad:
                    p.add_(torch.randn_like(p) * 0.1)
        want = outcome(model)
        install(model)
        got = outcome(model)
        assert off(got[0], want[0]) < 1e-6
        assert off(got[1], want[1]) < 2e-6

    options: dict[str, Any] = {
        "r": 2, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM",
    }  # fmt: skip
    changes: dict[str, Any]
    for changes in (
        {"use_dora": True}, {"lora_bias": True}, {"lora_dropout": 0.5}, {"use_rslora": True},
        {"modules_to_save": ["lm_head"]}, {"target_modules": ["q_proj"], "bias": "lora_only"},
    ):  # fmt: skip
        same(get_peft_model(copy.deepcopy(plain), LoraConfig(**{**options, **changes})))
    model: Any = get_peft_model(copy.deepcopy(plain), LoraConfig(**options))
    model.add_adapter("second", LoraConfig(**options))
    model.base_model.set_adapter(["default", "second"])
    same(model)


def test_switched_off_adapters_are_off(plain: Any) -> None:
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        want = plain.eval()(input_ids=ids).logits
    model = adapted(plain).eval()
    install(model, lean=True)
    with torch.no_grad(), model.disable_adapter():
        torch.testing.assert_close(model(input_ids=ids).logits, want)


def test_what_is_not_recognised_is_said_once_and_left_as_it_is() -> None:
    class OddRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.eps = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.weight * x / x.abs().amax(-1, keepdim=True)

    model = small("llama")
    model.model.norm = OddRMSNorm()
    assert form_of(model.model.norm) is None
    for layer in model.model.layers:
        layer.mlp.router = torch.nn.Linear(2, 2)
    with pytest.warns(
        RewardKitWarning,
        match="LlamaForCausalLM has no feed-forward block .* mlp_tile has no effect",
    ) as told:
        done = install(model, mlp_tile=4)
    assert len(told) == 1
    assert (done.unknown, done.blocks) == ({"OddRMSNorm"}, 0)
    with pytest.raises(ConfigError, match="LlamaForCausalLM has none: set gradient_checkpointing"):
        install(model, offload=True)


def test_offloading_without_checkpointing_is_refused() -> None:
    with pytest.raises(ConfigError, match="it needs gradient_checkpointing"):
        GRPOConfig(activation_offloading=True, gradient_checkpointing=False)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)], ids=["full", "lora"])
def test_what_is_saved_is_the_same_to_the_byte(tiny_model: Path, tmp_path: Path, lora: Any) -> None:
    for name, on in (("with", True), ("without", False)):
        config = GRPOConfig(activation_offloading=on, mlp_tile=4 if on else None, lean_ops=on)
        policy = Policy.load(str(tiny_model), lora=lora, config=config)
        assert bool(policy.savings[0].blocks) == on
        policy.save(tmp_path / name)
    for file in sorted((tmp_path / "with").iterdir()):
        assert file.read_bytes() == (tmp_path / "without" / file.name).read_bytes(), file.name


def test_tiles_bound_passes_without_gradient_too(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    item = Completion(
        0, 0, 0, tokenizer("2+2=")["input_ids"], tokenizer("it is 4")["input_ids"], False, "", []
    )
    found = []
    for tile in (None, 3):
        seen: list[int] = []
        policy = Policy.load(str(tiny_model), config=GRPOConfig(mlp_tile=tile))
        policy.base.model.layers[0].mlp.up_proj.register_forward_hook(
            lambda _m, args, _o, seen=seen: seen.append(args[0].shape[-2])
        )
        with torch.no_grad():
            found.append(flat_logps(policy, [item], GRPOConfig()).logp)
    assert max(seen) <= 3
    torch.testing.assert_close(found[0], found[1])
