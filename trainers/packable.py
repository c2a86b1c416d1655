"""Whether a model takes packed rows: tried once, on the first batch, against its plain rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from rewardkit.errors import RewardKitWarning
from rewardkit.trainers import parallel
from rewardkit.trainers.attention import UnpackableError, install
from rewardkit.trainers.head import token_logps
from rewardkit.trainers.model import Policy
from rewardkit.trainers.packing import Packed
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["can_pack"]

_LONGEST = 1024
"""Tokens of a sequence on which it is tried: the trial must not need more memory than a step."""


def can_pack(policy: Policy, items: Sequence[Completion]) -> bool:
    """Whether these can be packed; warns once, with the reason, where they cannot.

    The first call tries it: a prompt with two continuations and a sequence beside them, packed,
    must have the log-probabilities that each has in a row by itself.
    """
    if policy.packs is None:
        policy.window = _window(policy.base)
        reason = _reason_against(policy, max(items, key=lambda c: len(c.prompt_ids + c.ids)))
        policy.packs = reason is None
        if reason is not None and parallel.rank() == 0:  # all processes have the same model
            _warn(policy, reason)
    longest = max(len(c.prompt_ids) + len(c.ids) for c in items)
    if not policy.packs or policy.window is None or longest <= policy.window:
        return policy.packs
    # Decided for each batch by itself: a run that resumes must come to the same.
    if not policy.told_of_window:
        _warn(policy, f"its attention reaches {policy.window} tokens, and a sequence has {longest}")
        policy.told_of_window = True
    return False


def _warn(policy: Policy, reason: str) -> None:
    warnings.warn(
        f"{type(policy.base).__name__} is trained on padded rows, not on packed ones with shared "
        f"prompts, which takes more time and memory: {reason}",
        RewardKitWarning,
        stacklevel=3,
    )


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


def _reason_against(policy: Policy, item: Completion) -> str | None:
    for model in policy.bodies():
        reason = install(model)
        if reason is not None:
            return reason
    trial = _trial((item.prompt_ids + item.ids)[: min(_LONGEST, policy.window or _LONGEST)])
    training = policy.model.training
    policy.model.eval()
    try:
        return _disagreement(policy, trial)
    except torch.OutOfMemoryError:  # says nothing of the model, and padded rows would take more
        raise
    except (UnpackableError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        return str(error).partition("\n")[0] or type(error).__name__
    finally:
        policy.model.train(training)


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


def _trial(ids: list[int]) -> list[Completion]:
    """A prompt with two continuations, and another sequence, of the tokens of one."""
    half = max(1, len(ids) // 2)
    sequences = [
        (ids[:half], ids[half:] or ids),
        (ids[:half], ids[::-1][: max(1, len(ids) - half)]),
        (ids[::-1][:half], ids[half:] or ids),
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
