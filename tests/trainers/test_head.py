"""Promise: log-probabilities, entropies, losses and gradients without the logits, and exact."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from rewardkit.trainers import GRPOConfig, Policy
from rewardkit.trainers.head import Head, head_loss, head_of, token_logps
from rewardkit.trainers.head_plan import Plan
from rewardkit.trainers.head_terms import linear_terms
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.tokens import flat_logps, flat_states

MIB = 2**20


class Surrogate:
    """The clipped ratio, with an entropy bonus if asked for; notes the pieces it is called with."""

    def __init__(self, count: int, *, token_level: bool = True, bonus: float = 0.0) -> None:
        draw = torch.Generator().manual_seed(3)
        self.old = -3 + 0.3 * torch.randn(count, generator=draw, dtype=torch.float64)
        self.advantage = torch.randn(count, generator=draw, dtype=torch.float64)
        self.token_level, self.bonus, self.seen = token_level, bonus, 0
        self.calls: list[int] = []

    @property
    def entropy_gradient(self) -> bool:
        return self.bonus != 0

    def __call__(
        self, logp: torch.Tensor, entropy: torch.Tensor, part: slice = slice(None)
    ) -> torch.Tensor:
        self.calls.append(len(logp))
        a = self.advantage[part].to(logp.dtype)
        ratio = torch.exp(logp - self.old[part].to(logp.dtype))
        loss = -torch.minimum(ratio * a, ratio.clamp(0.8, 1.28) * a)
        return (loss - self.bonus * entropy).sum() / len(self.old)


def naive(
    logits: torch.Tensor, targets: torch.Tensor, objective: Surrogate
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits whole; autograd does the rest."""
    p = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
    logp = torch.log(p.gather(1, targets[:, None]).squeeze(1))
    entropy = -(p * torch.log(p)).sum(-1)
    return objective(logp, entropy), logp, entropy


class Projection(torch.nn.Module):
    """A module whose head peft can find."""

    def __init__(self, head: torch.nn.Linear) -> None:
        super().__init__()
        self.lm_head = head

    def forward(self, x: torch.Tensor) -> Any:
        return self.lm_head(x)


def plain(head: torch.nn.Linear) -> torch.nn.Module:
    return head


def frozen(head: torch.nn.Linear) -> torch.nn.Module:
    return head.requires_grad_(False)


def with_lora(head: torch.nn.Linear) -> torch.nn.Module:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        Projection(head),
        LoraConfig(target_modules=["lm_head"], r=2, lora_alpha=3),
    )
    found = model.base_model.model.lm_head  # type: ignore[union-attr]
    torch.nn.init.normal_(found.lora_B["default"].weight)  # type: ignore[index, union-attr]
    return found.double()  # type: ignore[return-value]


def fully_trained_copy(head: torch.nn.Linear) -> torch.nn.Module:
    from peft import LoraConfig, get_peft_model

    module = Projection(head)
    module.other = torch.nn.Linear(2, 2)
    config = LoraConfig(target_modules=["other"], modules_to_save=["lm_head"], r=1)
    model = get_peft_model(module, config)
    found = model.base_model.model.lm_head  # type: ignore[union-attr]
    torch.nn.init.normal_(found.modules_to_save["default"].weight)  # type: ignore[index, union-attr]
    return found.double()  # type: ignore[return-value]


def only_callable(head: torch.nn.Linear) -> torch.nn.Module:
    """A hook may change what the layer computes, so that it must be called."""
    head.register_forward_hook(lambda module, args, out: out * 1.5)
    return head


KINDS = [plain, frozen, with_lora, fully_trained_copy, only_callable]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("scale", "softcap"), [(1.0, None), (0.5, None), (1.0, 3.0), (2.0, 1.5)])
@pytest.mark.parametrize("token_level", [True, False])
@pytest.mark.parametrize("bonus", [0.0, 0.2])
def test_loss_and_gradient_equal_those_of_whole_logits(
    kind: Callable[[torch.nn.Linear], torch.nn.Module],
    bias: bool,
    scale: float,
    softcap: float | None,
    token_level: bool,
    bonus: float,
) -> None:
    torch.manual_seed(0)
    project = kind(torch.nn.Linear(6, 23, bias=bias, dtype=torch.float64))
    hidden = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(23, (40,))
    learned = [hidden, *(p for p in project.parameters() if p.requires_grad)]
    z = project(hidden) * scale
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    loss, logp, entropy = naive(z / 0.8, targets, Surrogate(40, bonus=bonus))
    wanted = torch.autograd.grad(loss, learned)
    # Budgets for all rows, for some, and for a part of the vocabulary at a time.
    for budget in (1.0, 3e-3, 1e-4):
        objective = Surrogate(40, token_level=token_level, bonus=bonus)
        head = Head(project, 23, scale, softcap)
        got = head_loss(head, hidden, targets, objective, temperature=0.8, budget_mib=budget)
        grads = torch.autograd.grad(got.loss, learned)
        torch.testing.assert_close(got.loss, loss, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(got.logp, logp, rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(got.entropy, entropy, rtol=1e-11, atol=1e-12)
        for a, b in zip(grads, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)
        assert (len(objective.calls) == 1) or token_level


def test_adapters_that_are_switched_off_do_not_count() -> None:
    torch.manual_seed(0)
    project: Any = with_lora(torch.nn.Linear(6, 23, dtype=torch.float64))
    hidden = torch.randn(4, 6, dtype=torch.float64)
    on = Head(project, 23).logits(hidden)
    project.enable_adapters(False)
    off = Head(project, 23).logits(hidden)
    torch.testing.assert_close(off, project.base_layer(hidden))
    assert not torch.allclose(on, off)


def test_a_projection_of_another_kind_is_called_and_not_taken_apart() -> None:
    class Quantised(torch.nn.Linear):  # as bitsandbytes' layers inherit from Linear
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).round()

    hidden = torch.randn(4, 6)
    assert linear_terms(Quantised(6, 9), hidden) is None
    assert linear_terms(lambda x: x, hidden) is None
    assert linear_terms(torch.nn.Linear(6, 9), hidden) is not None
    layer = Quantised(6, 9)
    logp, _ = token_logps(Head(layer, 9), hidden, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(logp, layer(hidden).log_softmax(-1)[:, 0])


@given(
    rows=st.integers(1, 30),
    vocabulary=st.integers(1, 40),
    kib=st.integers(1, 40),
    capped=st.booleans(),
    seed=st.integers(0, 5),
)
def test_any_cut_gives_the_same(
    rows: int, vocabulary: int, kib: int, capped: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    project = torch.nn.Linear(5, vocabulary, dtype=torch.float64)
    hidden = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(vocabulary, (rows,))
    head = Head(project, vocabulary, softcap=2.0 if capped else None)
    learned = [hidden, *project.parameters()]
    found = []
    for budget in (64.0, kib / 1024):
        loss = head_loss(head, hidden, targets, Surrogate(rows, bonus=0.1), budget_mib=budget).loss
        found.append([loss, *torch.autograd.grad(loss, learned)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_float32_is_within_a_millionth_of_float64() -> None:
    torch.manual_seed(0)
    hidden, weight = torch.randn(600, 64) * 0.5, torch.randn(3000, 64) * 0.1
    targets = torch.randint(3000, (600,))
    found: dict[torch.dtype, list[torch.Tensor]] = {}
    for dtype in (torch.float64, torch.float32):
        project = torch.nn.Linear(64, 3000, bias=False, dtype=dtype)
        with torch.no_grad():
            project.weight.copy_(weight)
        x = hidden.to(dtype).requires_grad_()
        objective = Surrogate(600)
        objective.old -= 6
        result = head_loss(Head(project, 3000), x, targets, objective, budget_mib=1.0)
        grads = torch.autograd.grad(result.loss, (x, project.weight))
        found[dtype] = [*grads, result.logp, result.entropy]
    for a, b in zip(found[torch.float32], found[torch.float64], strict=True):
        assert float((a.double() - b).norm()) <= 1e-6 * float(b.norm())


def test_tokens_that_the_model_is_almost_sure_of_keep_their_digits() -> None:
    """From 16.6 nats on, one minus the probability is rounded away if it is not summed apart."""
    gaps = torch.tensor([5.0, 12.0, 17.0, 25.0, 40.0])
    # One state per row picks one column of the head: logits are (gap, 0, 0, 0), made exactly.
    project = torch.nn.Linear(5, 4, bias=False)
    with torch.no_grad():
        project.weight.zero_()
        project.weight[0] = gaps
    hidden = torch.eye(5, requires_grad=True)
    logp, entropy = token_logps(Head(project, 4), hidden, torch.zeros(5, dtype=torch.long))
    rest = 3 * torch.exp(-gaps.double())
    torch.testing.assert_close(logp.detach().double(), -torch.log1p(rest), rtol=1e-6, atol=0)
    wanted = torch.log1p(rest) + rest / (1 + rest) * gaps.double()
    torch.testing.assert_close(entropy.detach().double(), wanted, rtol=1e-5, atol=0)
    logp.sum().backward()
    assert hidden.grad is not None
    slope = gaps.double() * rest / (1 + rest)
    torch.testing.assert_close(hidden.grad.diagonal().double(), slope, rtol=1e-6, atol=0)


def test_bfloat16_weights_lose_no_more_than_bfloat16_itself() -> None:
    torch.manual_seed(0)
    project = torch.nn.Linear(64, 500, bias=False, dtype=torch.bfloat16)
    hidden = torch.randn(100, 64).bfloat16().requires_grad_()
    targets = torch.randint(500, (100,))

    def gradient(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        loss, _, _ = naive((x @ weight.T).to(max_type(x)), targets, Surrogate(100))
        return torch.autograd.grad(loss, x)[0].double()

    def max_type(x: torch.Tensor) -> torch.dtype:
        return torch.promote_types(x.dtype, torch.float32)

    exact = gradient(hidden.detach().double().requires_grad_(), project.weight.detach().double())
    usual = gradient(hidden, project.weight)
    for budget in (64.0, 0.05):
        loss = head_loss(
            Head(project, 500), hidden, targets, Surrogate(100), budget_mib=budget
        ).loss
        grads = torch.autograd.grad(loss, (hidden, project.weight))
        assert {g.dtype for g in grads} == {torch.bfloat16}
        error = float((grads[0].double() - exact).norm())
        assert error <= float((usual - exact).norm())


class Peak(TorchDispatchMode):
    """The most bytes of tensors alive at a time, of those made within."""

    def __init__(self, *before: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.before = {t.untyped_storage()._cdata for t in before}
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.live and key not in self.before:
                    self.live[key] = storage.nbytes()
                    weakref.finalize(storage, self.live.pop, key, None)
                    self.peak = max(self.peak, sum(self.live.values()))
        return out


def peak_mib(
    rows: int, vocabulary: int, width: int, budget: float, *, train: bool, token_level: bool = True
) -> float:
    """Of head and loss, forward and backward, beyond inputs, weights and their gradients."""
    hidden = torch.randn(rows, width, requires_grad=True)
    project = torch.nn.Linear(width, vocabulary, bias=False).requires_grad_(train)
    targets = torch.randint(vocabulary, (rows,))
    objective = Surrogate(rows, token_level=token_level)
    with Peak(hidden, project.weight, targets, objective.old, objective.advantage) as found:
        loss = head_loss(
            Head(project, vocabulary), hidden, targets, objective, budget_mib=budget
        ).loss
        loss.backward()
    gradients = [p.grad for p in (hidden, project.weight) if p.grad is not None]
    assert len(gradients) == 1 + train
    return (found.peak - sum(g.nbytes for g in gradients)) / MIB  # type: ignore[no-any-return]


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("token_level", [True, False])
def test_peak_memory_depends_neither_on_tokens_nor_on_vocabulary(
    train: bool, token_level: bool
) -> None:
    options: dict[str, Any] = {"train": train, "token_level": token_level}
    small = peak_mib(1024, 2000, 16, 2.0, **options)
    assert small <= 2.0
    several_numbers_per_token = 128 * 8192 / MIB
    assert peak_mib(8192, 2000, 16, 2.0, **options) <= 1.1 * small + several_numbers_per_token
    assert peak_mib(1024, 8000, 16, 2.0, **options) <= 1.1 * small
    assert 3 * small < 1024 * 2000 * 4 / MIB  # one copy of the logits


@pytest.mark.slow
def test_peak_memory_at_the_size_of_a_real_model() -> None:
    base = peak_mib(8192, 32000, 128, 64.0, train=False)
    assert base <= 64
    assert peak_mib(65536, 32000, 128, 64.0, train=False) <= 1.1 * base
    assert peak_mib(8192, 128000, 128, 64.0, train=False) <= 1.1 * base


def test_a_vocabulary_too_large_for_the_budget_is_cut_as_well() -> None:
    project = torch.nn.Linear(8, 4000)
    terms = linear_terms(project, torch.randn(300, 8))
    assert terms is not None
    whole, cut = (Plan.of(terms, False, budget) for budget in (64 * MIB, MIB // 4))
    assert (whole.rows, whole.columns) == (300, 4000)
    assert cut.columns < 4000
    assert cut.rows >= 8


def completions(policy: Policy, texts: list[str]) -> list[Completion]:
    encode = policy.tokenizer
    prompt = encode("2+2=")["input_ids"]
    return [
        Completion(0, 0, k, prompt, encode(text)["input_ids"], False, text, [])
        for k, text in enumerate(texts)
    ]


def test_only_states_that_predict_a_completion_token_reach_the_head(tiny_model: Path) -> None:
    policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    batch = completions(policy, ["4", "seventeen", "it is 4"])
    states = flat_states(policy, batch)
    assert len(states.hidden) == len(states.targets) == sum(len(c.ids) for c in batch)
    assert states.targets.tolist() == [token for c in batch for token in c.ids]
    whole = policy.hidden(
        torch.tensor([batch[0].prompt_ids + batch[0].ids]), torch.ones(1, 5, dtype=torch.long)
    )
    torch.testing.assert_close(states.hidden[0], whole[0, len(batch[0].prompt_ids) - 1])


def test_log_probabilities_are_the_models_own(tiny_model: Path) -> None:
    """Ours, ragged, in tiles and right-padded, against the model's plain logits row by row."""
    policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    batch = completions(policy, ["4", "seventeen", "it is 4", "?"])
    config = GRPOConfig(temperature=0.7, head_budget_mib=0.01)
    flat = flat_logps(policy, batch, config)
    for k, item in enumerate(batch):
        ids = torch.tensor([item.prompt_ids + item.ids])
        with torch.no_grad():
            logp = torch.log_softmax(policy.model(input_ids=ids).logits[0].double() / 0.7, -1)
        n = len(item.prompt_ids)
        want = torch.stack([logp[n - 1 + t, token] for t, token in enumerate(item.ids)])
        entropy = torch.stack(
            [-(logp[n - 1 + t].exp() * logp[n - 1 + t]).sum() for t in range(len(item.ids))]
        )
        mine = flat.rows == k
        torch.testing.assert_close(flat.logp[mine].double(), want, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(flat.entropy[mine].double(), entropy, rtol=1e-4, atol=1e-4)


def test_no_tokens_are_no_loss_and_no_error() -> None:
    hidden = torch.zeros(0, 4, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.long)
    logp, entropy = token_logps(Head(torch.nn.Linear(4, 9), 9), hidden, nothing)
    assert len(logp) == len(entropy) == 0
    logp.sum().backward()


def test_without_gradients_the_loss_is_the_same_and_nothing_is_kept() -> None:
    torch.manual_seed(0)
    project, hidden = torch.nn.Linear(6, 9), torch.randn(12, 6, requires_grad=True)
    targets = torch.randint(9, (12,))
    with_grad = head_loss(Head(project, 9), hidden, targets, Surrogate(12))
    with torch.no_grad():
        without = head_loss(Head(project, 9), hidden, targets, Surrogate(12))
    assert not without.loss.requires_grad
    torch.testing.assert_close(without.loss, with_grad.loss.detach())


def test_a_loss_in_one_pass_gives_its_gradient_once() -> None:
    hidden = torch.randn(3, 6, requires_grad=True)
    targets = torch.zeros(3, dtype=torch.long)
    loss = head_loss(Head(torch.nn.Linear(6, 9), 9), hidden, targets, Surrogate(3)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="earlier backward"):
        loss.backward()


def test_a_factor_on_the_loss_is_one_on_the_gradient() -> None:
    torch.manual_seed(0)
    project, hidden = torch.nn.Linear(6, 9), torch.randn(12, 6, requires_grad=True)
    targets = torch.randint(9, (12,))
    found = []
    for factor, token_level in itertools.product((1.0, -2.5), (True, False)):
        objective = Surrogate(12, token_level=token_level)
        loss = head_loss(Head(project, 9), hidden, targets, objective).loss * factor
        found.append(torch.autograd.grad(loss, (hidden, project.weight)))
    for one, two, more, again in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
        torch.testing.assert_close(one * -2.5, more)
        torch.testing.assert_close(more, again)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gemma2", {"head_dim": 16, "final_logit_softcapping": 2.0}),
        ("nanochat", {"final_logit_softcapping": 2.0}),
        ("granite", {"logits_scaling": 3.0}),
        ("hyperclovax", {"logits_scaling": 3.0}),
        ("cohere", {"logit_scale": 0.25}),
        (
            "falcon_h1",
            {
                "lm_head_multiplier": 3.0, "mamba_d_ssm": 32, "mamba_n_heads": 2,
                "mamba_d_head": 16, "mamba_d_state": 8, "mamba_chunk_size": 8,
            },
        ),
    ],
)  # fmt: skip
def test_what_architectures_do_to_their_logits_is_known(kind: str, changes: dict[str, Any]) -> None:
    """With an output embedding large enough that a factor or a cap left out would show."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 40,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**sizes, **changes})
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.arange(3, 12)[None]
    with torch.no_grad():
        model.get_output_embeddings().weight.normal_()
        own = model(input_ids=ids).logits[0]
        head = head_of(model)
        ours = head.logits(model.base_model(input_ids=ids).last_hidden_state[0])
    torch.testing.assert_close(ours, own, rtol=1e-5, atol=1e-5)
    assert head.scale != 1 or head.softcap is not None
