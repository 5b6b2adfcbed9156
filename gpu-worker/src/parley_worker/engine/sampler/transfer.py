"""What a host and a device are good at: small arrays from one to the other, and rows in handy numbers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CPU_SCORES = 1 << 20


def to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy of `values` on `device`. To a GPU it goes by pinned memory: other copies wait for the GPU's queue."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def rows_at_once(vocab: int, device: torch.device) -> int:
    """On a CPU so few that they and what is made of them stay in its caches; a GPU takes all."""
    return max(1, _CPU_SCORES // vocab) if device.type == "cpu" else 1 << 30


def batches(rows: Tensor) -> tuple[Tensor, ...]:
    """`rows` [R, vocab] in parts of as many rows as are good at once."""
    return torch.split(rows, rows_at_once(rows.shape[-1], rows.device))


class Readback:
    """Copies tensors to the host, beginning now: what the device is given to do later does not delay them."""

    def __init__(self, *tensors: Tensor) -> None:
        self._copies = tuple(tensor.to("cpu", non_blocking=True) for tensor in tensors)
        self._event = torch.cuda.current_stream().record_event() if tensors[0].is_cuda else None

    def wait(self) -> tuple[Tensor, ...]:
        """The copies, once they are there."""
        if self._event:
            self._event.synchronize()
        return self._copies
