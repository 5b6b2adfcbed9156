"""The way of a step's input to the device: one asynchronous copy."""

from __future__ import annotations

import torch

from parley_worker.cuda.buffers import Inputs, Layout, pack
from parley_worker.scheduler.batch import Batch, Int32s


class Staging:
    """One buffer on the device, at the same address in every step, and two in pinned memory that fill it in turn.

    While the device copies from one, the next step is written to the other. On a CPU nothing waits for anything.
    """

    def __init__(self, ints: int, device: torch.device) -> None:
        self._device = torch.zeros(ints, dtype=torch.int32, device=device)
        self._overlaps = device.type == "cuda"
        self._hosts = [torch.zeros(ints, dtype=torch.int32, pin_memory=self._overlaps) for _ in range(2)]
        self._copied = [_event() for _ in self._hosts] if self._overlaps else []
        self._turn = 0

    def send(self, batch: Batch, rows: int, tiles: Int32s) -> Inputs:
        """The batch, padded to `rows`, on the device when what is launched next begins. ValueError if it is too big."""
        self._turn = 1 - self._turn
        host = self._hosts[self._turn]
        if self._overlaps:
            self._copied[self._turn].synchronize()
        size = pack(batch, rows, tiles, host.numpy())
        self._device[:size].copy_(host[:size], non_blocking=True)
        if self._overlaps:
            self._copied[self._turn].record()
        return self.view(rows, len(tiles))

    def view(self, rows: int, tiles: int = 0) -> Inputs:
        """Where a step of as many rows and tiles lies on the device."""
        return Layout(rows, tiles).view(self._device)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
