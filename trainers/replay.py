"""Work on completions in micro-batches that fit into memory, done over in smaller ones if not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, MutableMapping, Sequence

from rewardkit.errors import RewardKitError, RewardKitWarning
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.memory.shortage import free, out_of_memory
from rewardkit.trainers.model import Policy
from rewardkit.trainers.packable import can_pack
from rewardkit.trainers.plan import Room, Rows
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["BUDGET", "agree_budget", "in_parts", "room_of"]

BUDGET = "max_tokens_per_microbatch"
"""What a run carries its token budget as, once memory has not sufficed."""


def in_parts(
    policy: Policy,
    items: Sequence[Completion],
    config: GRPOConfig,
    carried: MutableMapping[str, float],
    work: Callable[[list[Completion]], None],
    *,
    undo: Callable[[], None] = lambda: None,
) -> None:
    """Do the work on one micro-batch after another.

    Where the memory does not suffice, what was done is undone and all is done again with half the
    tokens at a time, which is noted in ``carried`` and holds for the rest of the run.

    Args:
        policy: whose memory it takes.
        items: all completions of the work.
        config: how many, or how many tokens, at a time.
        carried: what the run carries from step to step.
        work: on a micro-batch; the sum over micro-batches must not depend on the cut.
        undo: takes back all that ``work`` did.

    Raises:
        RewardKitError: if one completion alone does not fit.
    """
    while items:
        room = room_of(policy, items, config, carried)
        failed = _first_that_fails(room.cut(items), work)
        if failed is None:
            return
        undo()
        free()
        part, why = failed
        carried[BUDGET] = _smaller(room, part, why)


def agree_budget(carried: MutableMapping[str, float], found: Sequence[float | None]) -> None:
    """Carry the smallest of the budgets that the processes came to, if one of them has one."""
    known = [budget for budget in found if budget is not None]
    if known:
        carried[BUDGET] = min(known)


def room_of(
    policy: Policy,
    items: Sequence[Completion],
    config: GRPOConfig,
    carried: MutableMapping[str, float],
) -> Room:
    """What a micro-batch of these may hold now."""
    rows: Rows = "padded"
    with policy.autocast(config.bf16):
        if can_pack(policy, items):
            rows = "shared" if config.prefix_sharing else "packed"
    budgets = [config.max_tokens_per_microbatch, carried.get(BUDGET)]
    tokens = min((int(b) for b in budgets if b is not None), default=None)
    return Room(rows, config.per_device_train_batch_size, tokens)


def _first_that_fails(
    parts: Sequence[list[Completion]], work: Callable[[list[Completion]], None]
) -> tuple[list[Completion], str] | None:
    """The part for which there was not enough memory. The error ends here, and with it its frames,
    which hold on to tensors."""
    for part in parts:
        try:
            work(part)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return part, str(error).partition("\n")[0] or type(error).__name__
    return None


def _smaller(room: Room, part: Sequence[Completion], why: str) -> int:
    """Half the budget, said aloud."""
    tokens = room.forwarded(part)
    if len(part) == 1:
        raise RewardKitError(
            f"out of memory: a single completion of {len(part[0].ids)} tokens after a prompt of "
            f"{len(part[0].prompt_ids)} does not fit ({why}). No weight was changed. Lower "
            f"max_completion_length (in a warm-up: shorten the example), take a smaller model, "
            f"adapters (lora) or bf16, or set gradient_checkpointing=True"
        )
    budget = max(1, min(tokens, room.tokens or tokens) // 2)
    warnings.warn(
        f"out of memory with {tokens} tokens in a micro-batch: the step is done over with at most "
        f"{budget} at a time, to the same result, and so are those that follow "
        f"(max_tokens_per_microbatch={budget} would begin with that)",
        RewardKitWarning,
        stacklevel=4,
    )
    return budget
