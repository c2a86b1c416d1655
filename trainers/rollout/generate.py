"""Completions on the weights that are being trained, told of as they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, LogitsProcessorList

from rewardkit.errors import RewardKitError
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.cache import at_a_time
from rewardkit.trainers.rollout.decode import Ended, can_decode, decode
from rewardkit.trainers.rollout.sampler import KeyedSampler, row_keys

__all__ = ["OnGroup", "Request", "generate"]

OnGroup = Callable[[list[Completion]], None]


@dataclass(frozen=True, slots=True)
class Request:
    """One completion asked for: see :class:`Completion` for the attributes."""

    group: int
    row: int
    sample_index: int
    prompt_ids: list[int]


@torch.no_grad()
def generate(
    policy: Policy,
    requests: Sequence[Request],
    config: GRPOConfig,
    *,
    step: int,
    greedy: bool = False,
    on_group: OnGroup | None = None,
) -> list[Completion]:
    """One completion per request, in order.

    The noise of each is keyed by (seed, step, group, sample, position); ``greedy`` takes the most
    probable tokens instead.

    Args:
        policy: writes; its mode is put back afterwards.
        requests: what to write.
        config: length, temperature, top-k, top-p and how many to write at a time.
        step: part of the key.
        greedy: take the most probable tokens.
        on_group: called with each group's completions, in order, when its last one has ended and
            while others are still being written.

    Raises:
        RewardKitError: if the model's log-probabilities are NaN.
        ConfigError: if ``kv_budget_gib`` does not hold one completion.
    """
    size = at_a_time(
        config, policy.base.config, policy.base.dtype.itemsize, [r.prompt_ids for r in requests]
    )
    collector = _Collector(policy, requests, on_group)
    training = policy.model.training
    policy.model.eval()  # checkpointing in training mode would turn the KV cache off
    try:
        for start in range(0, len(requests), size):
            _some(policy, collector, range(start, min(start + size, len(requests))), config, step,
                  greedy)  # fmt: skip
    finally:
        policy.model.train(training)
    return collector.made()


class _Collector:
    """Turns ended rows into completions, and tells when a group is whole."""

    def __init__(
        self, policy: Policy, requests: Sequence[Request], on_group: OnGroup | None
    ) -> None:
        self.requests, self._policy, self._on_group = requests, policy, on_group
        self._ends = frozenset(policy.eos_ids)
        self._made: list[Completion | None] = [None] * len(requests)
        self._missing = Counter(request.group for request in requests)

    def add(self, index: int, ids: list[int], logps: list[float]) -> None:
        """A request has been answered."""
        if any(value != value for value in logps):
            raise RewardKitError(
                "the model's log-probabilities are NaN while it writes: its weights hold NaN or "
                "overflow. Begin again from an earlier checkpoint with a lower learning_rate, or "
                "look for NaN in the model"
            )
        request = self.requests[index]
        ended = bool(ids) and ids[-1] in self._ends
        body = ids[:-1] if ended else ids
        self._made[index] = Completion(
            group=request.group,
            row=request.row,
            sample_index=request.sample_index,
            prompt_ids=request.prompt_ids,
            ids=ids,
            truncated=not ended,
            text=self._policy.tokenizer.decode(body, skip_special_tokens=True),
            sampling_logps=logps,
        )
        self._missing[request.group] -= 1
        if self._on_group is not None and not self._missing[request.group]:
            self._on_group([c for c in self._made if c is not None and c.group == request.group])

    def made(self) -> list[Completion]:
        """All completions, in the order of the requests."""
        return [c for c in self._made if c is not None]


def _some(
    policy: Policy,
    collector: _Collector,
    which: range,
    config: GRPOConfig,
    step: int,
    greedy: bool,
) -> None:
    """Write those of the requests that one batch holds."""
    requests = [collector.requests[i] for i in which]
    keys = row_keys(
        config.seed, step, [r.group for r in requests], [r.sample_index for r in requests]
    )
    sampler = KeyedSampler(
        None if greedy else keys,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
    )

    def on_end(row: int, ids: list[int], logps: list[float]) -> None:
        collector.add(which[row], ids, logps)

    prompts = [r.prompt_ids for r in requests]
    write = decode if can_decode(policy) else _by_transformers
    with policy.autocast(config.bf16):
        write(policy, prompts, sampler, config.max_completion_length, on_end)


def _by_transformers(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    sampler: KeyedSampler,
    max_tokens: int,
    on_end: Ended,
) -> None:
    """:func:`decode` by ``transformers``' own ``generate``, which knows every kind of cache."""
    pad = policy.tokenizer.pad_token_id
    width = sampler.prompt_length = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    settings = GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=list(policy.eos_ids),
        use_cache=True,
    )
    with _bare_generation(policy, settings):
        out = policy.base.generate(
            input_ids=ids.to(policy.device),
            attention_mask=mask.to(policy.device),
            generation_config=settings,
            logits_processor=LogitsProcessorList([sampler]),
        )
    logps = torch.stack([logp for _, logp in sampler.chosen], dim=1).tolist()
    ends = frozenset(policy.eos_ids)
    for row, tokens in enumerate(out[:, width:].tolist()):
        end = next((i + 1 for i, token in enumerate(tokens) if token in ends), len(tokens))
        on_end(row, tokens[:end], logps[row][:end])


@contextmanager
def _bare_generation(policy: Policy, settings: GenerationConfig) -> Iterator[None]:
    """Without the checkpoint's own generation settings: ``generate`` takes from them whatever ours
    leave open (a penalty, forced or suppressed tokens, beams, a time limit), and then completions
    would come from another distribution than the loss assumes."""
    own = policy.base.generation_config
    policy.base.generation_config = settings
    try:
        yield
    finally:
        policy.base.generation_config = own
