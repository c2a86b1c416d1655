"""Promise: the trainer's maths equals a naive float64 reference, values and gradients."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch

from rewardkit.trainers import GRPOConfig, Policy
from rewardkit.trainers.head import Head, token_logps
from rewardkit.trainers.losses import Denominators, aggregate, clipped_surrogate, k3
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.step import flat_logps, note_logps, optimizer_step

LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo")


def naive(
    logits: list[torch.Tensor],
    targets: list[list[int]],
    old: list[list[float]],
    ref: list[list[float]],
    advantage: list[float],
    config: GRPOConfig,
) -> torch.Tensor:
    """The objective written token by token from arXiv 2402.03300, with nothing shared with ours."""
    low, high = config.clip
    sums: list[torch.Tensor] = []
    lengths: list[int] = []
    for z, tokens, o, r, a in zip(logits, targets, old, ref, advantage, strict=True):
        terms = []
        for t, token in enumerate(tokens):
            p = torch.exp(z[t] / config.temperature)
            logp = torch.log(p[token] / p.sum())
            ratio = torch.exp(logp - o[t])
            surrogate = torch.minimum(
                (ratio if config.delta is None else torch.clamp(ratio, max=config.delta)) * a,
                torch.clamp(ratio, 1 - low, 1 + high) * a,
            )
            kl = torch.exp(r[t] - logp) - (r[t] - logp) - 1
            if config.use_bias_correction_kl:
                kl = kl * ratio
            terms.append(-(surrogate - config.beta * kl))
        sums.append(torch.stack(terms).sum())
        lengths.append(len(tokens))
    if config.loss_type == "grpo":
        return torch.stack([s / n for s, n in zip(sums, lengths, strict=True)]).mean()
    if config.loss_type == "dr_grpo":
        return torch.stack(sums).sum() / (len(sums) * config.max_completion_length)
    return torch.stack(sums).sum() / sum(lengths)


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("beta", [0.0, 0.04])
@pytest.mark.parametrize("delta", [None, 1.5])
@pytest.mark.parametrize("corrected", [False, True])
def test_loss_and_gradient_equal_a_naive_float64_reference(
    loss_type: str, beta: float, delta: float | None, corrected: bool
) -> None:
    config = GRPOConfig(
        loss_type=loss_type,  # type: ignore[arg-type]
        beta=beta,
        delta=delta,
        use_bias_correction_kl=corrected,
        temperature=0.8,
        epsilon_high=0.28,
        max_completion_length=16,
    )
    torch.manual_seed(0)
    lengths, vocabulary, width = [3, 1, 7], 11, 6
    total = sum(lengths)
    hidden = torch.randn(total, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(vocabulary, (total,))
    old, ref = torch.randn(2, total, dtype=torch.float64) * 0.5 - 2.0
    advantage = [1.3, -0.7, -0.6]

    cuts = list(itertools.accumulate(lengths))[:-1]
    logits = list((hidden @ weight.T).tensor_split(cuts))
    split = [list(x.tensor_split(cuts)) for x in (targets, old, ref)]
    expected = naive(
        logits,
        [x.tolist() for x in split[0]],
        [x.tolist() for x in split[1]],
        [x.tolist() for x in split[2]],
        advantage,
        config,
    )
    expected_grads = torch.autograd.grad(expected, (hidden, weight))

    head = Head(lambda h: h @ weight.T, vocabulary)
    logp, _ = token_logps(head, hidden, targets, temperature=0.8, budget_mib=3 * 11 * 12 / 2**20)
    rows = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    a = torch.tensor(advantage, dtype=torch.float64)[rows]
    per_token, ratio = clipped_surrogate(logp, old, a, config.clip, delta)
    kl = k3(logp, ref) * (ratio if corrected else 1)
    loss = aggregate(
        per_token + beta * kl, rows, torch.tensor(lengths), config.loss_type,
        Denominators(3, total, config.max_completion_length),
    )  # fmt: skip
    grads = torch.autograd.grad(loss, (hidden, weight))

    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    for got, want in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def completions(policy: Policy, texts: list[str]) -> list[Completion]:
    encode = policy.tokenizer
    made = []
    for k, text in enumerate(texts):
        item = Completion(
            0, 0, k, encode("2+2=")["input_ids"], encode(text)["input_ids"], False, text, []
        )
        item.total, item.advantage = float(k), [1.1, -0.4, 0.3, -1.0][k]
        made.append(item)
    return made


def gradients(tiny_model: Path, config: GRPOConfig, cuts: list[int]) -> list[torch.Tensor]:
    """Gradients of one optimizer step whose four completions are cut into micro-batches."""
    policy = Policy.load(str(tiny_model), config=config)
    batch = completions(policy, ["4", "seventeen", "it is 4", "?"])
    note_logps(policy, batch, config, which="old")
    if config.beta:
        with torch.no_grad():
            for item in batch:
                assert item.old_logps is not None
                item.ref_logps = item.old_logps - 0.3
    bounds = [0, *cuts, 4]
    micro = [batch[a:b] for a, b in itertools.pairwise(bounds)]
    kept: list[torch.Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            kept.extend(p.grad.detach().clone() for p in policy.trainable() if p.grad is not None)

    optimizer = Keep(policy.trainable(), lr=0.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    optimizer_step(policy, optimizer, schedule, micro, config)
    return kept


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
@pytest.mark.parametrize("cuts", [[1], [1, 2, 3], [3]])
def test_the_gradient_does_not_depend_on_the_cut_into_micro_batches(
    tiny_model: Path, loss_type: str, cuts: list[int]
) -> None:
    config = GRPOConfig(
        loss_type=loss_type,  # type: ignore[arg-type]
        beta=0.04,
        max_grad_norm=1e9,
        gradient_checkpointing=False,
    )
    whole, parts = gradients(tiny_model, config, []), gradients(tiny_model, config, cuts)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_log_probabilities_are_the_models_own(tiny_model: Path) -> None:
    """Ours, ragged, chunked and right-padded, against the model's plain logits row by row."""
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
        torch.testing.assert_close(flat.logp[flat.rows == k].double(), want, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            flat.entropy[flat.rows == k].double(), entropy, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(("scale", "softcap"), [(0.5, None), (1.0, 3.0), (2.0, 1.5)])
def test_scaled_and_capped_heads_are_exact(scale: float, softcap: float | None) -> None:
    torch.manual_seed(1)
    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, dtype=torch.float64)
    targets = torch.randint(9, (5,))
    head = Head(lambda h: h @ weight.T, 9, scale, softcap)
    logp, _ = token_logps(head, hidden, targets, budget_mib=1e-4)
    z = hidden @ weight.T * scale
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    want = torch.log_softmax(z, -1).gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(logp, want)
    got_grad = torch.autograd.grad(logp.sum(), hidden, retain_graph=True)[0]
    torch.testing.assert_close(got_grad, torch.autograd.grad(want.sum(), hidden)[0])


def test_the_head_never_holds_the_logits_whole() -> None:
    """Every tensor the head makes, forward and backward, stays within its budget of rows."""
    from torch.utils._python_dispatch import TorchDispatchMode

    rows, vocabulary, width = 512, 1000, 8
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else (out,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return out

    hidden = torch.randn(rows, width, requires_grad=True)
    weight = torch.randn(vocabulary, width, requires_grad=True)
    head = Head(lambda h: h @ weight.T, vocabulary)
    budget = 12 * vocabulary * 16 / 2**20  # sixteen rows
    with Largest():  # type: ignore[no-untyped-call]
        logp, _ = token_logps(head, hidden, torch.zeros(rows, dtype=torch.long), budget_mib=budget)
        logp.sum().backward()
    assert largest <= 16 * vocabulary < rows * vocabulary


def test_k3_is_never_negative_and_zero_where_the_policies_agree() -> None:
    logp = torch.linspace(-5, 0, 50, dtype=torch.float64)
    assert (k3(logp[:, None], logp[None]) >= 0).all()
    assert (k3(logp, logp) == 0).all()


def test_a_positive_advantage_makes_a_completion_likelier_and_a_negative_one_less(
    tiny_model: Path,
) -> None:
    policy = Policy.load(str(tiny_model), config=GRPOConfig(gradient_checkpointing=False))
    batch = completions(policy, ["4", "17"])
    batch[0].advantage, batch[1].advantage = 1.0, -1.0
    config = GRPOConfig()
    before = [float(flat_logps(policy, [c], config).logp.detach().sum()) for c in batch]
    optimizer = torch.optim.SGD(policy.trainable(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    optimizer_step(policy, optimizer, schedule, [batch], config)
    after = [float(flat_logps(policy, [c], config).logp.detach().sum()) for c in batch]
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_loss_that_is_not_finite_stops_before_it_changes_a_weight(tiny_model: Path) -> None:
    from rewardkit import RewardKitError

    policy = Policy.load(str(tiny_model))
    batch = completions(policy, ["4", "17"])
    batch[0].advantage = math.inf
    before = [p.detach().clone() for p in policy.trainable()]
    optimizer = torch.optim.SGD(policy.trainable(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    with pytest.raises(RewardKitError, match="not finite"):
        optimizer_step(policy, optimizer, schedule, [batch], GRPOConfig())
    assert all(torch.equal(a, b) for a, b in zip(before, policy.trainable(), strict=True))
