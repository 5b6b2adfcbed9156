"""Small arrays between host and device, without waiting for what the device is doing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy of `values` on `device`. To a GPU it goes by pinned memory: other copies wait for the GPU's queue."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


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
