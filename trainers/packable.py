"""Whether a model takes packed rows: tried against its plain rows, at the lengths that come up."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import parallel
from rewardkit.trainers.attention import UnpackableError, install
from rewardkit.trainers.head import token_logps
from rewardkit.trainers.memory.shortage import free, out_of_memory
from rewardkit.trainers.model import Policy
from rewardkit.trainers.packing import Packed
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["can_pack"]

_LEAST = 8
"""Tokens of the shortest sequence on which it is tried, if the model takes so many."""
_BESIDE = 64
"""Tokens at most of what stands beside the long sequence in a trial, so that the trial takes no
more memory than a step on such a sequence."""
_FAULTS = (UnpackableError, TypeError, ValueError, RuntimeError, AttributeError, MemoryError)
"""What a trial fails with."""


def can_pack(policy: Policy, items: Sequence[Completion]) -> bool:
    """Whether these can be packed; warns once, with the reason, where they cannot.

    It is tried, by a prompt with two continuations and a sequence beside them, which packed must
    have the log-probabilities that each has in a row by itself: the first time, and again, with
    twice the length, where a sequence is longer than any that was tried. For what bounds the reach
    of attention shows in longer ones alone, and configurations call it by many names.

    For given items the answer is always the same: a run that resumes must come to the same bits.
    """
    longest = max(len(c.prompt_ids) + len(c.ids) for c in items)
    if policy.packs is None:
        policy.window = _window(policy.base)
        refused = (install(model) for model in policy.bodies())
        reason = next((one for one in refused if one is not None), None)
        policy.packs = reason is None
        if reason is not None and parallel.rank() == 0:  # all processes have the same model
            _warn_of_padding(policy, reason)
    reached = longest if policy.window is None else min(longest, policy.window)
    if policy.packs and reached > policy.packs_to and not _try(policy, items, reached):
        return False
    if not policy.packs or policy.window is None or longest <= policy.window:
        return policy.packs
    _warn_of_padding(
        policy, f"its attention reaches {policy.window} tokens, and a sequence has {longest}"
    )
    return False


def _try(policy: Policy, items: Sequence[Completion], reached: int) -> bool:
    """Find out whether it packs up to so many tokens or more, or else up to where it does; whether
    there was memory for any trial at all."""
    ids = max((c.prompt_ids + c.ids for c in items), key=len)
    limits = [most for most in (policy.window, policy.context_length) if most is not None]
    size = max(reached, min([max(_LEAST, 1 << (reached - 1).bit_length()), *limits]))
    found: str | None = None
    while size > policy.packs_to and (size >= _LEAST or found is None):
        try:
            reason = _reason_against(policy, ids, size)
        except _NoMemoryError as error:  # says nothing of the model: tried again with later rows
            _warn(policy, f"these rows are padded, as packed rows cannot be tried: {error}")
            return False
        if reason is None:
            policy.packs_to = size
        else:
            found = found or reason
            size = 1 << (size - 1).bit_length() - 1  # the next lower power of two
    if found is not None:
        policy.packs, policy.window = policy.packs_to > 0, policy.packs_to
        short = f". Those with sequences of at most {policy.packs_to} tokens are packed"
        if policy.packs or parallel.rank() == 0:
            _warn_of_padding(policy, found + (short if policy.packs else ""))
    return True


def _warn_of_padding(policy: Policy, reason: str) -> None:
    """Once, whatever the reason."""
    if not policy.told_of_padding:
        policy.told_of_padding = True
        _warn(
            policy,
            "it is trained on padded rows, not on packed ones with shared prompts, which takes "
            f"more time and memory: {reason}",
        )


def _warn(policy: Policy, text: str) -> None:
    warnings.warn(f"{type(policy.base).__name__}: {text}", RewardKitWarning, stacklevel=5)


def _window(model: Any) -> int | None:
    """Tokens up to which every layer sees all that came before, and positions mean the same in
    every batch; ``None``: always."""
    text = model.config.get_text_config()
    names = ("sliding_window", "attention_chunk_size")
    found = [w for name in names if isinstance(w := getattr(text, name, None), int)]
    rope = getattr(text, "rope_parameters", None) or {}
    for settings in (rope, *(v for v in rope.values() if isinstance(v, dict))):
        if settings.get("rope_type") in ("dynamic", "longrope"):
            own = settings.get("original_max_position_embeddings")
            found.append(int(own or text.max_position_embeddings))
    return min(found, default=None)


class _NoMemoryError(Exception):
    """Not even the shortest trial fits."""


def _reason_against(policy: Policy, ids: list[int], size: int) -> str | None:
    """Why sequences of ``size`` tokens cannot be packed; where memory does not suffice for that,
    why shorter ones cannot. Raises ``_NoMemoryError``."""
    training = policy.model.training
    policy.model.eval()
    tokens, why = size, ""
    try:
        while True:
            try:
                found = _disagreement(policy, _trial(ids, tokens))
                break
            except _FAULTS as error:
                found = str(error).partition("\n")[0] or type(error).__name__
                if not out_of_memory(error):
                    break
                why = why or found
            free()  # the error and its frames are gone now
            if tokens <= _LEAST:
                raise _NoMemoryError(f"out of memory with {tokens} tokens ({why})")
            tokens = max(_LEAST, tokens // 2)
    finally:
        policy.model.train(training)
    if why:
        _warn(
            policy,
            f"whether it takes packed rows of {size} tokens was tried on {tokens}, as memory did "
            f"not suffice for more ({why})",
        )
    return found


def _disagreement(policy: Policy, trial: Sequence[Completion]) -> str | None:
    """In the precision of the weights, where a leak cannot hide in rounding, and in that in which
    the model computes, which may have other kernels."""
    kind = policy.device.type
    exact = policy.base.dtype in (torch.float32, torch.float64)
    with torch.autocast(kind, enabled=False):
        off = _difference(policy, trial)
    found = [(float(off.max()), 1e-3) if exact else (float(off.mean()), 0.05)]
    if torch.is_autocast_enabled(kind):
        found.append((float(_difference(policy, trial).mean()), 0.05))
    for far, allowed in found:
        if not far <= allowed:
            return f"packed, log-probabilities differ by {far:.3g} from those of plain rows"
    return None


def _trial(ids: list[int], tokens: int) -> list[Completion]:
    """A prompt with two continuations, the first so long that both come to ``tokens``, and another
    sequence; of some tokens, over and over."""
    ids = (ids * -(-tokens // len(ids)))[:tokens]
    half = max(1, tokens // 2)
    short = min(half, _BESIDE)
    sequences = [
        (ids[:half], ids[half:] or ids),
        (ids[:half], ids[::-1][:short]),
        (ids[::-1][:short], ids[half:][:short] or ids[:short]),
    ]
    return [Completion(0, 0, k, p, c, False, "", []) for k, (p, c) in enumerate(sequences)]


@torch.no_grad()
def _difference(policy: Policy, items: Sequence[Completion]) -> torch.Tensor:
    """Between log-probabilities of packed and of plain rows, of every token."""

    def logps(states: torch.Tensor, part: Sequence[Completion]) -> torch.Tensor:
        targets = torch.tensor([i for c in part for i in c.ids], device=policy.device)
        return token_logps(policy.head, states, targets, entropy=False)[0]

    row = Packed.of(items, policy.device, share=True)
    packed = logps(policy.packed(row)[row.predicts], items)
    plain = []
    for item in items:
        ids = torch.tensor([item.prompt_ids + item.ids], device=policy.device)
        states = policy.hidden(ids, torch.ones_like(ids))[0]
        plain.append(logps(states[len(item.prompt_ids) - 1 : -1], [item]))
    return (packed - torch.cat(plain)).abs()
