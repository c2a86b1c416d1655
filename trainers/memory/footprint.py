"""What the two phases of a run take, found by running both on fake tensors.

The training phase is the real step of the real model: the policy's body, its head, loss, backward
pass, clipping and optimizer, on the largest of its micro-batches. The rollout phase is the real
decoder at the longest it can get. What a model's weights take is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from rewardkit.errors import ConfigError
from rewardkit.trainers.config import GRPOConfig, LoraSettings, QuantSettings
from rewardkit.trainers.loading import lora_config, prepare_layers
from rewardkit.trainers.memory.account import Account, Book
from rewardkit.trainers.memory.four_bits import four_bit_bytes, pretend_four_bits
from rewardkit.trainers.memory.fullest import fullest, tokens_of
from rewardkit.trainers.memory.install import install
from rewardkit.trainers.memory.offload import Copies, Mover, Stay
from rewardkit.trainers.memory.simulate import fake_model, simulated
from rewardkit.trainers.model import Policy
from rewardkit.trainers.optim import eight_bit_bytes, make_optimizer
from rewardkit.trainers.rollout.cache import at_a_time
from rewardkit.trainers.rollout.decode import grown_batch
from rewardkit.trainers.rollout.sampler import KeyedSampler, row_keys
from rewardkit.trainers.step import optimizer_step

__all__ = ["CONTEXT_BYTES", "Case", "Footprint", "footprints"]

CONTEXT_BYTES = 2**29
"""What CUDA and its libraries hold of a GPU before a tensor is there: half a GiB, as a constant."""


@dataclass(frozen=True)
class Case:
    """A run, as far as its memory depends on it.

    Attributes:
        model: configuration of ``transformers``.
        dtype: of the weights that are not quantised.
        grpo: of the run.
        lora: settings of adapters; ``None``: all weights are learned.
        quant: how weights are quantised.
        prompt: tokens of the longest prompt.
        cuda: on a GPU, or on a CPU, where host and device are one.
    """

    model: Any
    dtype: torch.dtype
    grpo: GRPOConfig
    lora: LoraSettings | None = None
    quant: QuantSettings = field(default_factory=QuantSettings)
    prompt: int = 512
    cuda: bool = True


@dataclass(frozen=True)
class Footprint:
    """Bytes that a phase takes at its peak, by cause.

    Attributes:
        device: on the device.
        host: in the host's memory, beside what the process itself has.
        tokens: that are gone through, or written, at a time.
    """

    device: dict[str, int]
    host: dict[str, int]
    tokens: int = 0

    @property
    def total(self) -> int:
        """On the device."""
        return sum(self.device.values())


def footprints(case: Case) -> dict[str, Footprint]:
    """The phases ``train`` and ``rollout``; takes some seconds, and next to no memory.

    Raises:
        ConfigError: if ``kv_budget_gib`` does not hold one completion, or ``transformers`` has no
            model of this configuration.
    """
    with simulated():
        model = _model(case)
        policy = Policy(model, _Tokenizer())
        model.train()
        standing = _standing(case, policy)
        account = Account([*model.parameters(), *model.buffers()])
        mover = Copies(_on_host(account)) if case.cuda else Stay()
        _prepare(case, policy, account, mover)
        with account:
            optimizer, states = _optimizer(case, policy, account)
            train = _train(case, policy, optimizer, account)
            rollout = _rollout(case, policy, account)
    host = standing.pop("host", 0)
    fixed = {**standing, "optimizer": states}
    fixed = {k: v for k, v in fixed.items() if k != "optimizer" or v}
    return {
        "train": _phase(fixed, train, host),
        "rollout": _phase(fixed, rollout, host),
    }


class _Found(NamedTuple):
    device: dict[str, int]
    host: int
    tokens: int


def _phase(fixed: dict[str, int], found: _Found, host: int) -> Footprint:
    device = dict(fixed)
    for cause, count in found.device.items():
        if count:
            device[cause] = device.get(cause, 0) + count
    sides = {"activations": found.host, "optimizer": host}
    return Footprint(device, {k: v for k, v in sides.items() if v}, found.tokens)


class _Tokenizer:
    pad_token_id = 0
    eos_token_id = 1


def _model(case: Case) -> Any:
    lora = None if case.lora is None else lora_config(case.lora)
    try:
        model = fake_model(case.model, case.dtype, lora)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"transformers cannot make this model: {error}") from error
    if lora is not None:
        model.enable_input_require_grads()
    return model


def _prepare(case: Case, policy: Policy, account: Account, mover: Mover) -> None:
    prepare_layers(policy.model, case.grpo)
    if case.quant.load_in_4bit:
        pretend_four_bits(policy.model, case.dtype, account)
    install(
        policy.model,
        offload=case.grpo.activation_offloading,
        mlp_tile=case.grpo.mlp_tile,
        lean=case.grpo.lean_ops,
        mover=mover,
    )

    def ended(_module: Any, _inputs: Any, out: Any) -> None:
        account.cause = "head"
        if out.last_hidden_state.requires_grad:
            out.last_hidden_state.register_hook(begun)

    def begun(*_: Any) -> None:
        account.cause = "activations"

    policy.base.base_model.register_forward_pre_hook(begun)
    policy.base.base_model.register_forward_hook(ended)
    for p in policy.trainable():
        p.register_post_accumulate_grad_hook(
            lambda p: account.assign(p.grad, "gradients") if p.grad is not None else None
        )


def _on_host(account: Account) -> Callable[[torch.Tensor], torch.Tensor]:
    def copy(tensor: torch.Tensor) -> torch.Tensor:
        with account.on_host():
            return tensor.clone()

    return copy


def _standing(case: Case, policy: Policy) -> dict[str, int]:
    """What is there in both phases."""
    learned = {id(p) for p in policy.trainable()}
    weights = adapters = 0
    packed = four_bit_bytes(policy.model, case.quant) if case.quant.load_in_4bit else {}
    for p in policy.model.parameters():
        own = packed.get(id(p), p.nbytes)
        if policy.has_adapter and id(p) in learned:
            adapters += own
        else:
            weights += own
    found = {"weights": weights + sum(b.nbytes for b in policy.model.buffers())}
    if adapters:
        found["adapters"] = adapters
    if case.grpo.beta and not policy.has_adapter:
        found["reference"] = weights
    elif case.grpo.beta and case.grpo.ref_refresh_every:
        found["reference"] = adapters
    if case.cuda:
        found["CUDA context"] = CONTEXT_BYTES
    return found


def _optimizer(case: Case, policy: Policy, account: Account) -> tuple[Any, int]:
    """The optimizer with its states, and their bytes where they are not in the account."""
    eight = eight_bit_bytes(policy.model, case.grpo)
    if eight is not None:
        return torch.optim.SGD(policy.trainable(), lr=0.0), eight
    optimizer = make_optimizer(policy.model, case.grpo)
    for group in optimizer.param_groups:
        # On a GPU it goes through all parameters at once, with temporaries as large as them.
        group["foreach"] = case.cuda and not group["fused"]
    with account.caused_by("optimizer"):
        for p in policy.trainable():
            p.grad = torch.empty_like(p)
            account.assign(p.grad, "gradients")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return optimizer, 0


def _train(case: Case, policy: Policy, optimizer: Any, account: Account) -> _Found:
    # Packed rows are tried here, and not within the account: the trial takes what memory there is.
    batch, alone = fullest(policy, case.grpo, case.prompt)
    tokens = tokens_of(policy, batch, case.grpo)
    _begin(account)
    # This one micro-batch and nothing else, however many completions are in it.
    whole = {"per_device_train_batch_size": len(batch), "max_tokens_per_microbatch": None}
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    if not alone:  # from the second on there are gradients already
        _with_gradients(policy, account)
    with _step_in_its_own_name(optimizer, account):
        optimizer_step(policy, optimizer, schedule, [batch], case.grpo.model_copy(update=whole))
    return _Found(account.device.at_peak, account.host.peak, tokens)


def _with_gradients(policy: Policy, account: Account) -> None:
    with account.caused_by("gradients"):
        for p in policy.trainable():
            p.grad = torch.zeros_like(p)


@contextmanager
def _step_in_its_own_name(optimizer: Any, account: Account) -> Iterator[None]:
    def before(*_: Any) -> None:
        account.cause = "optimizer"

    hook = optimizer.register_step_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()
        account.cause = "activations"


@torch.no_grad()
def _rollout(case: Case, policy: Policy, account: Account) -> _Found:
    config = case.grpo
    prompts = [[2] * case.prompt]
    rows = at_a_time(config, case.model, case.dtype.itemsize, prompts)
    rows = min(rows, config.generation_batch_size)
    longest = case.prompt + config.max_completion_length
    asked = [[2 + k // config.num_generations] + [2] * (case.prompt - 1) for k in range(rows)]
    policy.model.eval()
    _begin(account)
    try:
        with policy.autocast(config.bf16):
            batch = grown_batch(policy, asked, config.max_completion_length - 1, account.caused_by)
            keys = row_keys(0, 0, [0] * rows, list(range(rows)))
            sampler = KeyedSampler(keys, temperature=config.temperature, top_k=config.top_k,
                                   top_p=config.top_p)  # fmt: skip
            with account.caused_by("head"):
                logits = policy.head.logits(batch.last)
                chosen, _ = sampler.choose(logits, 0, np.arange(rows))
            del logits
            with account.caused_by("activations"):
                batch.advance(chosen)
    finally:
        policy.model.train()
    return _Found(account.device.at_peak, account.host.peak, rows * longest)


def _begin(account: Account) -> None:
    for book in (account.device, account.host):
        assert isinstance(book, Book)
        book.begin()
