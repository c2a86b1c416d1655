"""Promise: every loss, value and gradient, equals a naive float64 reference.

The reference is written here token by token from the papers and shares no code with the trainer: it
holds the logits whole, loops over completions and tokens, and lets autograd do the rest.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch

from rewardkit.trainers import GRPOConfig
from rewardkit.trainers.config import CorrectionMode, LossType
from rewardkit.trainers.head import Head, head_loss
from rewardkit.trainers.losses import (
    LOSSES,
    Denominators,
    PolicyObjective,
    Ragged,
    Tokens,
    entropy_threshold,
    kl_estimate,
)

Scalar = torch.Tensor
LENGTHS = [3, 1, 7, 4]
ADVANTAGES = [1.3, -0.7, -0.9, 0.4]
VOCABULARY, WIDTH, LONGEST = 13, 6, 16


# What a token adds, from: ratio, advantage, log-probability, sum of the completion's log-ratios.
def ppo(r: Scalar, a: float, logp: Scalar, total: float, c: GRPOConfig) -> Scalar:
    high = c.epsilon if c.epsilon_high is None else c.epsilon_high
    first = r * a if c.delta is None else torch.minimum(r, r.new_tensor(c.delta)) * a
    second = r.clamp(1 - c.epsilon, 1 + high) * a
    return -torch.minimum(first, second)


def weighted(r: Scalar, a: float, logp: Scalar, total: float, c: GRPOConfig) -> Scalar:
    assert c.epsilon_high is not None
    return -min(float(r.detach()), c.epsilon_high) * a * logp


def soft(r: Scalar, a: float, logp: Scalar, total: float, c: GRPOConfig) -> Scalar:
    tau = c.sapo_temperature_pos if a > 0 else c.sapo_temperature_neg
    return -4 / tau / (1 + torch.exp(-tau * (r - 1))) * a


def gamma(r: Scalar, a: float, logp: Scalar, total: float, c: GRPOConfig) -> Scalar:
    k, rate = (c.vespo_k_pos, c.vespo_lambda_pos)
    if a < 0:
        k, rate = (c.vespo_k_neg, c.vespo_lambda_neg)
    w = math.exp(min(max(total, math.log(1e-8)), 20.0))
    return -(w**k) * math.exp(rate * (1 - w)) * a * logp  # type: ignore[no-any-return]


TABLE: dict[str, tuple[Any, str]] = {
    "grpo": (ppo, "mean of means"),
    "bnpo": (ppo, "over tokens"),
    "dr_grpo": (ppo, "over a constant"),
    "dapo": (ppo, "over tokens"),
    "cispo": (weighted, "over tokens"),
    "sapo": (soft, "mean of means"),
    "luspo": (ppo, "mean of sums"),
    "vespo": (gamma, "over tokens"),
    "rloo": (ppo, "mean of means"),
}
"""One row per loss: what a token adds, and what the sum is divided by."""


@dataclass
class Case:
    """Random states, a head, and what the rollout noted; all in float64."""

    hidden: torch.Tensor
    weight: torch.Tensor
    targets: torch.Tensor
    old: torch.Tensor
    ref: torch.Tensor
    sampling: torch.Tensor
    chosen: torch.Tensor

    @classmethod
    def random(cls, seed: int = 0) -> Case:
        torch.manual_seed(seed)
        total = sum(LENGTHS)
        hidden = torch.randn(total, WIDTH, dtype=torch.float64).float().double()
        weight = (0.4 * torch.randn(VOCABULARY, WIDTH, dtype=torch.float64)).float().double()
        targets = torch.randint(VOCABULARY, (total,))
        logp = torch.log_softmax(hidden @ weight.T / 0.8, -1)[torch.arange(total), targets]
        old, ref = (logp + s * torch.randn(total, dtype=torch.float64) for s in (0.2, 0.5))
        sampling = old + 0.1 * torch.randn(total, dtype=torch.float64)
        noted = [x.float().double() for x in (old, ref, sampling)]
        return cls(hidden, weight, targets, *noted, (torch.rand(total) < 0.6).double())  # type: ignore[call-arg]


def naive(
    case: Case,
    config: GRPOConfig,
    *,
    choose: bool = False,
    entropy_coef: float = 0.0,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    hidden, weight = (x.clone().requires_grad_() for x in (case.hidden, case.weight))
    logits = hidden @ weight.T / config.temperature
    per_token, share = TABLE[config.loss_type]
    sums, entropies, at = [], [], 0
    for length, a in zip(LENGTHS, ADVANTAGES, strict=True):
        places = range(at, at + length)
        at += length
        p = [torch.exp(logits[t]) / torch.exp(logits[t]).sum() for t in places]
        logp = [torch.log(p[k][case.targets[t]]) for k, t in enumerate(places)]
        gap = [x - float(case.old[t]) for x, t in zip(logp, places, strict=True)]
        drift = [float(case.old[t] - case.sampling[t]) for t in places]
        total = sum(float(x.detach()) for x in gap)
        whole = sum(gap[1:], gap[0])
        terms = []
        for k, t in enumerate(places):
            ratio = torch.exp(gap[k])
            if config.loss_type == "rloo":
                ratio = torch.exp(whole)
            elif config.importance_sampling_level == "sequence":
                ratio = torch.exp(whole / length)
            corrections = correction_of(drift, config)
            if config.loss_type == "vespo":
                logs = [
                    max(math.log(w), math.log(1e-8)) if w else math.log(1e-8) for w in corrections
                ]
                term = per_token(ratio, a, logp[k], total + sum(logs), config)
            else:
                term = per_token(ratio, a, logp[k], total, config) * corrections[k]
            if choose:
                term = term * float(case.chosen[t])
            threshold = config.off_policy_mask_threshold
            if threshold is not None and a < 0:
                before = [float(case.sampling[t]) for t in places]
                fallen = sum(b - float(x.detach()) for b, x in zip(before, logp, strict=True))
                term = term * float(fallen / length <= threshold)
            if config.beta:
                d = float(case.ref[t]) - logp[k]
                kl = {"k1": -d, "k2": d * d / 2, "k3": torch.exp(d) - d - 1}[config.kl_estimator]
                term = term + config.beta * (kl * ratio if config.use_bias_correction_kl else kl)
            terms.append(term)
            if not choose or case.chosen[t]:
                entropies.append(-(p[k] * torch.log(p[k])).sum())
        sums.append(torch.stack(terms).sum())
    n = len(LENGTHS)
    loss = {
        "mean of means": lambda: sum(s / m for s, m in zip(sums, LENGTHS, strict=True)) / n,
        "mean of sums": lambda: sum(sums) / n,
        "over tokens": lambda: sum(sums) / sum(LENGTHS),
        "over a constant": lambda: sum(sums) / (n * LONGEST),
    }[share]()
    loss = loss - entropy_coef * torch.stack(entropies).mean()
    return loss.detach(), list(torch.autograd.grad(loss, (hidden, weight)))


def correction_of(drift: list[float], config: GRPOConfig) -> list[float]:
    if not config.vllm_importance_sampling_correction:
        return [1.0] * len(drift)
    low = config.vllm_importance_sampling_clip_min
    high = config.vllm_importance_sampling_clip_max
    mode = config.vllm_importance_sampling_mode
    ratios = [math.exp(d) for d in drift]
    if mode.startswith("sequence"):
        ratios = [math.exp(sum(drift))] * len(drift)
    lowest, highest = -math.inf if low is None else low, math.inf if high is None else high
    if mode.endswith("truncate"):
        return [min(max(r, lowest), highest) for r in ratios]
    return [r if lowest <= r <= highest else 0.0 for r in ratios]


def ours(
    case: Case,
    config: GRPOConfig,
    dtype: torch.dtype = torch.float64,
    *,
    choose: bool = False,
    entropy_coef: float = 0.0,
    rows: int = 4,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The same by the trainer's own objective and head, some rows at a time."""
    hidden = case.hidden.detach().clone().to(dtype).requires_grad_()
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False, dtype=dtype)
    with torch.no_grad():
        head.weight.copy_(case.weight)
    ragged = Ragged.of(torch.tensor(LENGTHS))
    noted = [x.to(dtype) for x in (case.old, case.ref, case.sampling, case.chosen)]
    tokens = Tokens(
        ragged,
        ragged.spread(torch.tensor(ADVANTAGES, dtype=dtype)),
        old=noted[0],
        ref=noted[1] if config.beta else None,
        sampling=noted[2],
        chosen=noted[3] if choose else None,
    )
    acted_on = int(case.chosen.sum()) if choose else sum(LENGTHS)
    denominators = Denominators(len(LENGTHS), sum(LENGTHS), LONGEST, 1, acted_on)
    objective = PolicyObjective(
        tokens, config, denominators, beta=config.beta, entropy_coef=entropy_coef
    )
    found = head_loss(
        Head(head, VOCABULARY), hidden, case.targets, objective,
        temperature=config.temperature, budget_mib=rows * VOCABULARY * 8 / 2**20,
    )  # fmt: skip
    found.loss.backward()
    assert hidden.grad is not None
    assert head.weight.grad is not None
    return found.loss.detach(), [hidden.grad, head.weight.grad]


def check(case: Case, config: GRPOConfig, **options: Any) -> None:
    want, wanted = naive(case, config, **options)
    # A weight of vespo is the exponential of what a whole completion's log-probabilities sum to,
    # with a factor: in float32 the naive computation too is off by 2e-6, on some processors.
    single = 4e-6 if config.loss_type == "vespo" else 1e-6
    for dtype, close in ((torch.float64, 1e-10), (torch.float32, single)):
        got, grads = ours(case, config, dtype, **options)
        assert float((got.double() - want).abs()) <= close * max(1.0, float(want.abs()))
        for a, b in zip(grads, wanted, strict=True):
            assert float((a.double() - b).norm()) <= close * float(b.norm())


KLS: list[dict[str, Any]] = [
    {},
    {"kl_estimator": "k1", "use_bias_correction_kl": True},
    {"kl_estimator": "k2"},
    {"kl_estimator": "k2", "use_bias_correction_kl": True},
    {"kl_estimator": "k3"},
    {"kl_estimator": "k3", "use_bias_correction_kl": True},
]


def configuration(loss_type: str, **changes: Any) -> GRPOConfig:
    if loss_type == "cispo":
        changes = {"epsilon_high": 1.2, **changes}
    return GRPOConfig(
        **{
            "loss_type": loss_type, "temperature": 0.8, "epsilon_high": 0.28,
            "max_completion_length": LONGEST, **changes,
        }
    )  # fmt: skip


def test_every_loss_has_its_row() -> None:
    assert set(TABLE) == set(LOSSES) == set(get_args(LossType))


# Without those that are refused: nothing to bound by delta, and a ratio of its own.
COMBINED = [
    (loss_type, level, delta)
    for loss_type in TABLE
    for level in ("token", "sequence")
    for delta in (None, 1.1)
    if (delta is None or TABLE[loss_type][0] is ppo) and (loss_type, level) != ("rloo", "sequence")
]


@pytest.mark.parametrize(("loss_type", "level", "delta"), COMBINED)
@pytest.mark.parametrize("kl", KLS, ids=lambda k: "+".join(map(str, k.values())) or "no-kl")
def test_loss_and_gradient_equal_a_naive_float64_reference(
    loss_type: str, level: str, kl: dict[str, Any], delta: float | None
) -> None:
    changes = {"beta": 0.07, **kl} if kl else {}
    config = configuration(loss_type, importance_sampling_level=level, delta=delta, **changes)
    for seed in range(2):
        check(Case.random(seed), config)


CORRECTED = [
    (loss_type, mode)
    for loss_type in TABLE
    for mode in get_args(CorrectionMode)
    if loss_type != "vespo" or mode.startswith("token")  # refused: it multiplies those of tokens
]


@pytest.mark.parametrize(("loss_type", "mode"), CORRECTED)
@pytest.mark.parametrize(("low", "high"), [(None, 1.2), (0.8, None), (0.9, 1.3)])
def test_the_correction_for_another_engine_is_exact(
    loss_type: str, mode: str, low: float | None, high: float | None
) -> None:
    config = configuration(
        loss_type, vllm_importance_sampling_correction=True, vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_min=low, vllm_importance_sampling_clip_max=high, beta=0.05,
    )  # fmt: skip
    check(Case.random(), config)


@pytest.mark.parametrize("loss_type", TABLE)
@pytest.mark.parametrize("threshold", [0.02, 0.3])
@pytest.mark.parametrize("choose", [False, True])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.3])
def test_masks_and_entropy_bonus_are_exact(
    loss_type: str, threshold: float, choose: bool, entropy_coef: float
) -> None:
    for mask in (threshold, None):
        config = configuration(loss_type, off_policy_mask_threshold=mask, beta=0.05)
        check(Case.random(), config, choose=choose, entropy_coef=entropy_coef)


@pytest.mark.parametrize("loss_type", TABLE)
def test_the_policy_that_sampled_has_a_ratio_of_one_and_the_gradient_of_the_policy_loss(
    loss_type: str,
) -> None:
    """Nothing noted means that the policy has not moved since; the value then says little."""
    case = Case.random()
    logits = case.hidden @ case.weight.T / 0.8
    now = torch.log_softmax(logits, -1)[torch.arange(len(logits)), case.targets]
    noted = Case(case.hidden, case.weight, case.targets, now, case.ref, now, case.chosen)
    config = configuration(loss_type)
    _, wanted = naive(noted, config)
    hidden = case.hidden.clone().requires_grad_()
    ragged = Ragged.of(torch.tensor(LENGTHS))
    tokens = Tokens(ragged, ragged.spread(torch.tensor(ADVANTAGES, dtype=torch.float64)))
    objective = PolicyObjective(tokens, config, Denominators(4, sum(LENGTHS), LONGEST))
    logp = torch.log_softmax(hidden @ case.weight.T / 0.8, -1)[
        torch.arange(len(logits)), case.targets
    ]
    got = torch.autograd.grad(objective(logp, logp.detach()), hidden)[0]
    torch.testing.assert_close(got, wanted[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss_type", TABLE)
@pytest.mark.parametrize("gap", [-2000.0, -90.0, 90.0, 2000.0])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_however_far_the_policies_are_apart_loss_and_gradient_are_numbers(
    loss_type: str, gap: float, level: str
) -> None:
    """``exp`` overflows from 88 on in float32, and 0 times infinity is NaN."""
    if loss_type == "rloo":
        level = "token"
    config = configuration(
        loss_type, importance_sampling_level=level, beta=0.1, use_bias_correction_kl=True
    )
    ragged = Ragged.of(torch.tensor([3, 2]))
    for advantage in (1.0, -1.0):
        logp = torch.full((5,), -1.0, requires_grad=True)
        noted = logp.detach() - gap
        tokens = Tokens(ragged, torch.full((5,), advantage), old=noted, ref=logp.detach() + 1.0)
        objective = PolicyObjective(tokens, config, Denominators(2, 5, 8), beta=0.1)
        loss = objective(logp, logp.detach())
        gradient = torch.autograd.grad(loss, logp)[0]
        assert loss.isfinite()
        assert gradient.isfinite().all()
        far = Tokens(ragged, torch.full((5,), advantage), ref=logp.detach() + gap)
        plain = configuration(loss_type, beta=0.1)
        distant = PolicyObjective(far, plain, Denominators(2, 5, 8), beta=0.1)
        assert torch.autograd.grad(distant(logp, logp.detach()), logp)[0].isfinite().all()


def test_an_engine_that_could_not_score_a_token_leaves_it_as_it_is() -> None:
    config = configuration(
        "grpo", vllm_importance_sampling_correction=True, off_policy_mask_threshold=0.1
    )
    ragged = Ragged.of(torch.tensor([3]))
    old = torch.tensor([-1.0, -2.0, -3.0])
    unknown = torch.tensor([-1.0, math.nan, -3.0])
    tokens = Tokens(ragged, torch.full((3,), -1.0), old=old, sampling=unknown)
    objective = PolicyObjective(tokens, config, Denominators(1, 3, 8))
    assert objective.correction is not None
    assert objective.correction.tolist() == [1.0, 1.0, 1.0]
    logp = old.clone().requires_grad_()
    assert torch.autograd.grad(objective(logp, logp.detach()), logp)[0].abs().min() > 0


def test_k3_is_never_negative_and_zero_where_the_policies_agree() -> None:
    logp = torch.linspace(-5, 0, 50, dtype=torch.float64)
    assert (kl_estimate(logp[:, None], logp[None], "k3") >= 0).all()
    for estimator in ("k1", "k2", "k3"):
        assert (kl_estimate(logp, logp, estimator) == 0).all()


def test_near_the_reference_k3_is_the_gap_and_not_its_rounding() -> None:
    """In float32, where ``exp(d) - d - 1`` would be a multiple of 6e-8 whatever the gap."""
    gap = torch.logspace(-6, -1, 60) * torch.tensor([1.0, -1.0]).repeat(30)
    found = kl_estimate(torch.zeros(60), gap, "k3").double()
    exact = gap.double().expm1() - gap.double()
    assert ((found - exact).abs() <= 2e-7 * gap.abs()).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_estimates_of_the_kl_have_its_mean_and_corrected_ones_its_gradient(estimator: str) -> None:
    """Against the sum over a whole vocabulary: k1 and k3 are unbiased in value, and under the ratio
    in gradient; k2 is right in gradient as it stands."""
    torch.manual_seed(0)
    z = torch.randn(9, dtype=torch.float64, requires_grad=True)
    ref = (z.detach() + 0.1 * torch.randn(9, dtype=torch.float64)).log_softmax(-1)
    logp = z.log_softmax(-1)
    p = logp.detach().exp()
    exact = (logp.exp() * (logp - ref)).sum()
    wanted = torch.autograd.grad(exact, z, retain_graph=True)[0]
    per_token = kl_estimate(logp, ref, estimator)
    if estimator != "k2":
        torch.testing.assert_close((p * per_token).sum(), exact)
        per_token = per_token * (logp - logp.detach()).exp()
    got = torch.autograd.grad((p * per_token).sum(), z)[0]
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("top", [0.0, 0.2, 0.37, 1.0])
def test_the_entropy_threshold_is_torchs_quantile_without_its_limit(top: float) -> None:
    entropies = torch.rand(1001, generator=torch.Generator().manual_seed(1))
    found = entropy_threshold(entropies, top)
    assert found == pytest.approx(float(torch.quantile(entropies, 1 - top)), rel=1e-6)
    kept = int((entropies >= found).sum())
    assert abs(kept - top * 1001) <= 1.5
    many = torch.arange(2.0**24 + 2)  # more than torch.quantile takes
    assert entropy_threshold(many, 0.5) == pytest.approx(2.0**23, rel=1e-6)


def test_the_table_is_complete_in_what_it_tries() -> None:
    """The checks above must be able to fail: another loss, level, KL or delta is another gradient."""
    case = Case.random()
    seen: list[torch.Tensor] = []
    for loss_type, level in itertools.product(("grpo", "dapo", "dr_grpo"), ("token", "sequence")):
        for changes in ({}, {"delta": 0.8}, {"beta": 0.1}, {"beta": 0.1, "kl_estimator": "k2"}):
            config = configuration(loss_type, importance_sampling_level=level, **changes)
            seen.append(ours(case, config)[1][0])
    for a, b in itertools.combinations(seen, 2):
        assert float((a - b).norm()) > 1e-6 * float(a.norm())
