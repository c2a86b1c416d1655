"""What every optimizer step has in common, whatever it learns from: gradients made as the memory
allows and summed over processes, and the change of the weights, which is done once or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, TypeVar

import torch

from rewardkit.errors import HalfStepError, RewardKitError
from rewardkit.trainers import parallel
from rewardkit.trainers.config import GRPOConfig
from rewardkit.trainers.memory.shortage import out_of_memory
from rewardkit.trainers.model import Policy
from rewardkit.trainers.replay import BUDGET, agree_budget, in_parts
from rewardkit.trainers.rollout.batch import Completion

__all__ = ["apply_gradients", "make_gradients"]

R = TypeVar("R")


def make_gradients(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    items: Sequence[Completion],
    config: GRPOConfig,
    carried: MutableMapping[str, float],
    work: Callable[[list[Completion]], float],
    measured: R,
    *,
    forget: Callable[[], None] = lambda: None,
) -> tuple[float, list[R]]:
    """The gradients of a step, of which each process makes some; its loss, and what was measured.

    Args:
        policy: learns.
        optimizer: of its trainable parameters, whose gradients are there afterwards.
        items: all that the step learns from, the same in all processes; each takes a share.
        config: how many, or how many tokens, at a time.
        carried: a budget of tokens that was made smaller is noted in it, the same in all processes.
        work: adds a micro-batch's share to the gradients and gives its share in the loss.
        measured: what ``work`` notes by the way, in this process.
        forget: clears ``measured``, before all is done over.

    Returns:
        The loss of all processes, and ``measured`` of each, by rank.

    Raises:
        RewardKitError: if one completion alone does not fit into memory; there are no gradients.
    """
    losses: list[float] = []

    def undo() -> None:
        optimizer.zero_grad(set_to_none=True)
        losses.clear()
        forget()

    def all_of_mine() -> tuple[float, R, float | None]:
        mine = parallel.share(items)
        in_parts(policy, mine, config, carried, lambda part: losses.append(work(part)), undo=undo)
        return sum(losses), measured, carried.get(BUDGET)

    try:
        made = parallel.gather(all_of_mine)
        parallel.sum_gradients(policy.trainable())
    except RewardKitError:
        undo()
        raise
    agree_budget(carried, [budget for _, _, budget in made])
    return sum(loss for loss, _, _ in made), [found for _, found, _ in made]


def apply_gradients(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    loss: float,
    max_grad_norm: float,
    *,
    remedy: str,
) -> float:
    """Clip the gradients, change the weights by them and drop them; gives their norm before.

    Args:
        policy: learns.
        optimizer: of its trainable parameters.
        scheduler: of the learning rate, which takes a step too.
        loss: that the gradients belong to.
        max_grad_norm: to which they are clipped.
        remedy: what to change where the memory does not suffice for the optimizer.

    Raises:
        RewardKitError: if the loss or the gradient is not finite; nothing has changed then.
        HalfStepError: if the optimizer failed, in this process or in another.
    """
    norm = float(torch.nn.utils.clip_grad_norm_(policy.trainable(), max_grad_norm))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise RewardKitError(
            f"loss {loss} or gradient norm {norm} is not finite; this step changed no "
            f"weight. Lower the learning rate, or look for NaN in the model"
        )
    parallel.check_same(lambda: {"gradient's norm": norm})
    _step(optimizer, remedy)
    optimizer.zero_grad(set_to_none=True)
    scheduler.step()
    return norm


def _step(optimizer: torch.optim.Optimizer, remedy: str) -> None:
    """The optimizer's step in all processes, or an end in all of them.

    Where it fails for lack of memory some weights may be new, others old, and moments and counts of
    steps likewise, so it cannot be done over as the gradients can.
    """

    def attempt() -> str | None:
        # The error ends here, and with it its frames, which hold on to tensors.
        try:
            optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return str(error).partition("\n")[0] or type(error).__name__
        return None

    try:
        found = parallel.gather(attempt)
    except RewardKitError as error:  # another's optimizer failed otherwise; this one has stepped
        raise HalfStepError(str(error)) from error
    for number, why in enumerate(found):
        if why is not None:
            where = f" of process {number}" if len(found) > 1 else ""
            raise HalfStepError(
                f"out of memory in the step of the optimizer{where} ({why}): some weights may have "
                f"changed and others not, so the step cannot be done over, and the model as it is "
                f"now must not be used or saved. {remedy}"
            )
