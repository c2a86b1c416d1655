"""Several processes that train one model together: data parallel, a whole copy of the model each.

Groups of completions are split over the processes, each writes and scores its own, and what came of
them is gathered, so that every process knows every completion: advantages, denominators, limits and
adapted coefficients are computed by each from the same numbers. Of an optimizer step each process
computes its share of the micro-batches, and gradients are summed.

A process that failed alone while the others wait for it in a collective operation is the classic
deadlock of such programs. So no work that can fail stands alone before one: it is handed to
:func:`gather` (or :func:`lead`), where its failure is what is gathered, and then all stop.

With one process every function here is the plain thing: nothing is sent, nothing is copied.
"""

from __future__ import annotations

import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rewardkit._launch import launched, launched_rank
from rewardkit.errors import ConfigError, RewardKitError, RewardKitWarning, told

if TYPE_CHECKING:
    import torch

    from rewardkit.trainers.config import GRPOConfig

__all__ = [
    "agree",
    "check_same",
    "choose_device",
    "end",
    "first",
    "gather",
    "lead",
    "processes",
    "rank",
    "share",
    "spread",
    "start",
    "sum_gradients",
    "warn",
    "whole",
]

_PATIENCE = timedelta(hours=6)
"""How long to wait for a process that is alive and says nothing: one may be judging for long. Of
one that has ended the others know at once."""

_BUCKET = 16 * 2**20
"""Numbers of gradients that are summed at a time."""

T = TypeVar("T")
R = TypeVar("R")


class _Grouped(Protocol):
    @property
    def group(self) -> int: ...


G = TypeVar("G", bound=_Grouped)


def processes() -> int:
    """How many train together: of the process group there is, or as launched; 1 without either."""
    if _joined():
        return int(_distributed().get_world_size())
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def rank() -> int:
    """The number of this process, from 0; process 0 writes the run folder and to the terminal."""
    if _joined():
        return int(_distributed().get_rank())
    return launched_rank()


def warn(text: str, *, stacklevel: int = 1) -> None:
    """Warn, in process 0 alone, of what all find alike: of the model, say, or the configuration.

    Args:
        text: what is probably not meant.
        stacklevel: as of :func:`warnings.warn`, from the caller on.
    """
    if rank() == 0:
        warnings.warn(text, RewardKitWarning, stacklevel=stacklevel + 1)


def start() -> None:
    """Join the others if this process was launched with others, and take its GPU.

    Raises:
        ConfigError: if there are more processes than GPUs on this machine.
    """
    choose_device()
    if _joined() or not launched() or processes() == 1:
        return
    import torch

    # Objects travel by gloo, between processors: they take no memory of the GPU.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _others_alive():
        _distributed().init_process_group(backend, timeout=_PATIENCE)


def end() -> None:
    """Leave the others, who have come to their end too."""
    if _joined():
        _distributed().destroy_process_group()


def choose_device() -> None:
    """Make this process's own GPU the one meant by ``"cuda"``. Raises as :func:`start`."""
    import torch

    if not (launched() and torch.cuda.is_available()):
        return
    local, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= count:
        raise ConfigError(
            f"process {local} of this machine has no GPU of its own: there are {count}. Launch as "
            f"many processes as there are GPUs (--num_processes {count})"
        )
    torch.cuda.set_device(local)


def whole(config: GRPOConfig) -> GRPOConfig:
    """The configuration by which one process would do what all of them do together.

    Per-device sizes are those of one process, as in TRL, so all together make as many micro-batches
    more as there are processes.
    """
    count = processes()
    if count == 1:
        return config
    made = config.steps_per_generation
    groups = config.generation_batch_size * count // config.num_generations
    mine = -(-groups // count) * config.num_generations
    return config.model_copy(
        update={
            "gradient_accumulation_steps": config.gradient_accumulation_steps * count,
            "steps_per_generation": None if made is None else made * count,
            "rollout_batch_size": config.rollout_batch_size or mine,
        }
    )


def share(items: Sequence[T]) -> list[T]:
    """This process's part of what all have; all parts one after another are the whole."""
    me, count = rank(), processes()
    return list(items[len(items) * me // count : len(items) * (me + 1) // count])


def spread(items: Sequence[G], work: Callable[[list[G]], Sequence[R]]) -> list[R]:
    """Do each group in one of the processes; gives the results of all, in order, to all.

    Args:
        items: group by group.
        work: gives one result for each of the items of some groups.
    """
    mine = set(share(list(dict.fromkeys(item.group for item in items))))
    made = gather(lambda: work([item for item in items if item.group in mine]))
    return [result for part in made for result in part]


def gather(work: Callable[[], T]) -> list[T]:
    """What ``work`` gives in each process, by rank. All wait here for all.

    Raises:
        RewardKitError: if it failed in another process, with that one's error. Where it failed
            itself, its own error is raised.
    """
    if processes() == 1:
        return [work()]
    value: Any = None
    failed: BaseException | None = None
    try:
        value = work()
        message = pickle.dumps((True, value))
    except BaseException as error:  # an interrupt too: the others must not wait for this process
        failed = error
        message = pickle.dumps((False, told(error)))
    answers = [pickle.loads(answer) for answer in _exchange(message)]
    if failed is not None:
        raise failed
    for number, (fine, answer) in enumerate(answers):
        if not fine:
            raise RewardKitError(
                f"process {number} of {len(answers)} stopped the run for all: {answer}"
            )
    results = [answer for _, answer in answers]
    results[rank()] = value
    return results


def agree(work: Callable[[], T]) -> T:
    """What ``work`` gives in this process, if it fails in none; raises as :func:`gather`."""
    mine: list[T] = []
    gather(lambda: mine.append(work()))
    return mine[0]


def lead(work: Callable[[], T]) -> T:
    """What ``work`` gives in process 0, in which alone it runs; raises as :func:`gather`."""
    results: list[Any] = gather(lambda: work() if rank() == 0 else None)
    leads: T = results[0]
    return leads


def first(value: T | None) -> T | None:
    """The value of the first process that has one: the same in all."""
    return next((found for found in gather(lambda: value) if found is not None), None)


def check_same(work: Callable[[], Mapping[str, Any]]) -> None:
    """Raises ``RewardKitError`` in all processes if they do not find the same facts: they would go
    on to train different models, and add up gradients that do not belong together."""
    if processes() == 1:
        return
    found = gather(lambda: dict(work()))
    for name, value in found[0].items():
        if any(other[name] != value for other in found):
            each = ", ".join(f"{n}: {other[name]!r}" for n, other in enumerate(found))
            raise RewardKitError(
                f"the processes do not agree on the {name} ({each}): all must be started with the "
                f"same model, data, rubric and configuration, on the same kind of device"
            )


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes, in place. One that no process has stays ``None``."""
    if processes() == 1:
        return
    import torch

    there = gather(lambda: [p.grad is not None for p in parameters])
    kinds: dict[tuple[Any, Any], list[torch.Tensor]] = {}
    for parameter, *has in zip(parameters, *there, strict=True):
        if any(has):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            kind = kinds.setdefault((parameter.grad.dtype, parameter.grad.device), [])
            kind.append(parameter.grad)
    for gradients in kinds.values():
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            with _others_alive():
                _distributed().all_reduce(flat)
            parts = flat.split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Some at a time: many small ones would wait for each other, all at once double the memory."""
    bucket: list[torch.Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(one.numel() for one in bucket) >= _BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def _exchange(message: bytes) -> list[bytes]:
    messages: list[Any] = [None] * processes()
    with _others_alive():
        _distributed().all_gather_object(messages, message)
    return messages


@contextmanager
def _others_alive() -> Iterator[None]:
    """Around a collective operation: raises ``RewardKitError`` if another process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise RewardKitError(
            f"process {rank()} of {processes()} lost the others: one of them was killed, or ended "
            f"with an error that it printed itself ({str(error).splitlines()[0][:200]}). When that "
            f"is mended, go on with --resume"
        ) from error


def _joined() -> bool:
    # Not imported for this: a configuration is read without torch.
    if "torch" not in sys.modules:
        return False
    distributed = _distributed()
    return bool(distributed.is_available() and distributed.is_initialized())


def _distributed() -> Any:
    import torch.distributed

    return torch.distributed
