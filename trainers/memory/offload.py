"""Checkpointed layers whose inputs wait for the backward pass in host memory.

Of a checkpointed layer only its input is kept; for a long sequence these inputs are most of what a
device holds. Each is copied to the host while the next layer computes, and fetched back while the
layer after it is differentiated. As torch's own checkpoint does the rest (random numbers, autocast,
nesting), the gradients are those of a checkpointed layer to the last bit.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

__all__ = ["Copies", "CudaCopies", "Mover", "Offload", "Stay", "mover_for"]


class Mover(Protocol):
    """How tensors get to the host and back."""

    def put(self, tensor: torch.Tensor) -> Any:
        """Begin to bring it to the host; gives what :meth:`start` and :meth:`get` take."""

    def start(self, kept: Any) -> None:
        """Begin to bring it back."""

    def get(self, kept: Any) -> torch.Tensor:
        """The tensor on the device."""

    def drain(self) -> None:
        """Let go of the device's copies of all that was put."""


class _Parked:
    """A layer's input, and the one that was parked before it, which is wanted after it."""

    __slots__ = ("__weakref__", "before", "kept")

    def __init__(self, kept: Any, before: weakref.ref[_Parked] | None) -> None:
        self.kept, self.before = kept, before


class Offload:
    """Runs layers checkpointed, with their inputs moved away in between.

    Args:
        mover: how they are moved.
    """

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._last: weakref.ref[_Parked] | None = None

    def checkpoint(self, function: Callable[..., Any], *args: Any) -> Any:
        """What ``transformers`` calls to run a layer: see ``GradientCheckpointingLayer``."""
        # Torch saves a checkpointed function's inputs under these hooks, and what the function
        # itself saves under hooks of its own, so that nothing but the inputs passes here.
        with saved_tensors_hooks(self._park, self._fetch):
            return checkpoint(function, *args, use_reentrant=False)

    def drain(self, *_: Any) -> None:
        """After the last layer: as a forward hook of the whole body."""
        self._mover.drain()

    def _park(self, tensor: torch.Tensor) -> Any:
        if not (tensor.requires_grad and tensor.numel()):  # a mask, or torch's own mark
            return tensor
        parked = _Parked(self._mover.put(tensor.detach()), self._last)
        self._last = weakref.ref(parked)
        return parked

    def _fetch(self, parked: Any) -> torch.Tensor:
        if isinstance(parked, torch.Tensor):
            return parked
        tensor = self._mover.get(parked.kept)
        before = None if parked.before is None else parked.before()
        if before is not None:
            self._mover.start(before.kept)
        return tensor

    def __deepcopy__(self, memo: Any) -> Offload:
        return self  # streams belong to the process


class Stay:
    """Where host and device are one: nothing moves."""

    def put(self, tensor: torch.Tensor) -> Any:
        return tensor

    def start(self, kept: Any) -> None:
        pass

    def get(self, kept: Any) -> torch.Tensor:
        return cast("torch.Tensor", kept)

    def drain(self) -> None:
        pass


class Copies:
    """Real copies in the order in which a GPU makes them, one after another.

    Args:
        to_host: makes the copy on the host.
        to_device: makes the copy back.
    """

    def __init__(
        self,
        to_host: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
        to_device: Callable[[torch.Tensor], torch.Tensor] = torch.clone,
    ) -> None:
        self._to_host, self._to_device = to_host, to_device
        self.moved = 0

    def put(self, tensor: torch.Tensor) -> Any:
        self.moved += 1
        return [self._to_host(tensor), None]

    def start(self, kept: Any) -> None:
        kept[1] = self._to_device(kept[0])

    def get(self, kept: Any) -> torch.Tensor:
        back, kept[1] = kept[1], None
        return self._to_device(kept[0]) if back is None else back

    def drain(self) -> None:
        pass


class CudaCopies:
    """Copies to pinned memory and back on a stream of their own.

    At most ``ahead`` tensors on their way out are held on the device, and one on its way back.
    Nothing here blocks the host: streams wait for each other's events, and a tensor is let go of
    only when the stream that will use its memory next has been told to wait for the copy.
    """

    def __init__(self, device: torch.device, ahead: int = 2) -> None:
        self._device, self._ahead = device, ahead
        self._side = torch.cuda.Stream(device)
        self._leaving: deque[tuple[torch.Tensor, torch.cuda.Event]] = deque()

    def put(self, tensor: torch.Tensor) -> Any:
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            host.copy_(tensor, non_blocking=True)
        self._leaving.append((tensor, self._side.record_event()))
        while len(self._leaving) > self._ahead:
            self._let_go()
        return [host, None, None]

    def start(self, kept: Any) -> None:
        current = torch.cuda.current_stream(self._device)
        back = torch.empty(kept[0].shape, dtype=kept[0].dtype, device=self._device)
        # The memory may still be read by what was queued before it was freed. This also orders the
        # copy after the one that filled the host's side, which went by the same stream.
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            back.copy_(kept[0], non_blocking=True)
        kept[1:] = back, self._side.record_event()

    def get(self, kept: Any) -> torch.Tensor:
        if kept[1] is None:
            self.start(kept)
        _, back, arrived = kept
        kept[1:] = None, None
        torch.cuda.current_stream(self._device).wait_event(arrived)
        return cast("torch.Tensor", back)

    def drain(self) -> None:
        while self._leaving:
            self._let_go()

    def _let_go(self) -> None:
        _, gone = self._leaving.popleft()
        torch.cuda.current_stream(self._device).wait_event(gone)


def mover_for(device: torch.device) -> Mover:
    """The mover of a device."""
    return CudaCopies(device) if device.type == "cuda" else Stay()
