"""Completions by ``transformers``' own ``generate``, on the weights that are being trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, LogitsProcessorList

from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.model import Policy
from rewardkit.trainers.rollout.batch import Completion
from rewardkit.trainers.rollout.sampler import KeyedSampler, row_keys

__all__ = ["Request", "generate"]


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
) -> list[Completion]:
    """One completion per request, in order.

    The noise of each is keyed by (seed, step, group, sample, position); ``greedy`` takes the most
    probable tokens instead.
    """
    size = config.rollout_batch_size or config.generation_batch_size
    training = policy.model.training
    policy.model.eval()  # checkpointing in training mode would turn the KV cache off
    try:
        made: list[Completion] = []
        for start in range(0, len(requests), size):
            made += _some(policy, requests[start : start + size], config, step, greedy)
        return made
    finally:
        policy.model.train(training)


def _some(
    policy: Policy, requests: Sequence[Request], config: GRPOConfig, step: int, greedy: bool
) -> list[Completion]:
    pad = policy.tokenizer.pad_token_id
    width = max(len(r.prompt_ids) for r in requests)
    ids = torch.full((len(requests), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, request in enumerate(requests):
        ids[i, width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
        mask[i, width - len(request.prompt_ids) :] = 1
    keys = row_keys(
        config.seed, step, [r.group for r in requests], [r.sample_index for r in requests]
    )
    sampler = KeyedSampler(
        None if greedy else keys, width, config.temperature, config.top_k, config.top_p
    )
    settings = GenerationConfig(
        max_new_tokens=config.max_completion_length,
        do_sample=False,
        pad_token_id=pad,
        eos_token_id=list(policy.eos_ids),
        use_cache=True,
    )
    with policy.autocast(config.bf16), _bare_generation(policy, settings):
        out = policy.base.generate(
            input_ids=ids.to(policy.device),
            attention_mask=mask.to(policy.device),
            generation_config=settings,
            logits_processor=LogitsProcessorList([sampler]),
        )
    tokens = out[:, width:].cpu()
    logps = torch.stack(sampler.logps, dim=1).cpu()
    return [_cut(policy, r, tokens[i], logps[i]) for i, r in enumerate(requests)]


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


def _cut(policy: Policy, request: Request, tokens: torch.Tensor, logps: torch.Tensor) -> Completion:
    """A row of the output without what follows its end token."""
    ids: list[int] = tokens.tolist()
    ends = set(policy.eos_ids)
    end = next((i for i, token in enumerate(ids) if token in ends), None)
    ids = ids if end is None else ids[: end + 1]
    body = ids if end is None else ids[:end]
    return Completion(
        group=request.group,
        row=request.row,
        sample_index=request.sample_index,
        prompt_ids=request.prompt_ids,
        ids=ids,
        truncated=end is None,
        text=policy.tokenizer.decode(body, skip_special_tokens=True),
        sampling_logps=logps[: len(ids)].tolist(),
    )
