"""Learning rates by the names and formulas that ``transformers`` has.

Written out, since the module that has them there imports peft, and that bitsandbytes, whether they
are used or not: seconds of every start, and lines of theirs in every terminal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch.optim.lr_scheduler import LambdaLR

from rewardkit.errors import ConfigError
from rewardkit.trainers.config import Scheduler

__all__ = ["make_schedule"]

_END = 1e-7
"""The rate at which ``polynomial`` (here a straight line) ends."""
_SCALE = 10_000
"""Steps after which ``inverse_sqrt`` has halved twice, where there is no warm-up to go by."""


def make_schedule(
    name: Scheduler, optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int
) -> LambdaLR:
    """The schedule of an optimizer's learning rate: up to it from 0 by a straight line, and then as
    its name says.

    Args:
        name: of :data:`rewardkit.trainers.config.Scheduler`.
        optimizer: whose rate is its rate at the beginning.
        warmup_steps: steps of the way up; ``constant`` has none.
        total_steps: steps at which it has come down.

    Raises:
        ConfigError: for ``polynomial`` below the rate at which that ends.
    """
    rate = float(optimizer.defaults["lr"])
    if name == "polynomial" and rate <= _END:
        raise ConfigError(
            f"lr_scheduler_type='polynomial' ends at a learning rate of {_END:g}, so "
            f"learning_rate={rate:g} must be more: take 'linear', which ends at 0"
        )
    scale = warmup_steps or _SCALE

    def share(step: int) -> float:
        if name == "constant":
            return 1.0
        if step < warmup_steps:
            return step / warmup_steps
        if name == "inverse_sqrt":
            return 1.0 / math.sqrt((step + scale - warmup_steps) / scale)
        way = max(1, total_steps - warmup_steps)
        done, left = (step - warmup_steps) / way, (total_steps - step) / way
        return _AFTER[name](min(done, 1.0), max(left, 0.0), _END / rate)

    return LambdaLR(optimizer, share)


_AFTER: Mapping[str, Callable[[float, float, float], float]] = {
    "linear": lambda done, left, end: left,
    "cosine": lambda done, left, end: 0.5 * (1.0 + math.cos(math.pi * done)),
    "cosine_with_restarts": lambda done, left, end: 0.5 * (1.0 + math.cos(math.pi * done)),
    "polynomial": lambda done, left, end: (1.0 - end) * left + end,
    "constant_with_warmup": lambda done, left, end: 1.0,
}
"""The share of the rate, by the shares of the steps that are done and left, and the share to end
with. Restarts: once, as is usual, is none."""
