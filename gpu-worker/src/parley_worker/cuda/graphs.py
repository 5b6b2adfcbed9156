"""CUDA graphs: the launches of a step recorded once, and played again by one call."""

from __future__ import annotations

from collections.abc import Callable

import torch

_SMALL = (1, 2, 4)
_STRIDE = 8


def bucket(rows: int) -> int:
    """How many rows a step of so many is padded to: 1, 2, 4, 8, 16, 24, ..."""
    return next((size for size in _SMALL if size >= rows), -(-rows // _STRIDE) * _STRIDE)


def buckets(most: int) -> list[int]:
    """All that `bucket` gives for up to `most` rows."""
    return sorted({bucket(rows) for rows in range(1, most + 1)})


class Graphs:
    """Plays `compute(rows)`, which must take its input from and leave its result at fixed addresses of the device.

    The graphs share one pool of memory: what one computes is gone when the next one runs.
    """

    def __init__(self, compute: Callable[[int], None]) -> None:
        self._compute = compute
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, rows: int) -> None:
        """Play the graph of so many rows; capture it first if it is new, which takes a second."""
        if rows not in self._graphs:
            self._graphs[rows] = self._capture(rows)
        self._graphs[rows].replay()

    def _capture(self, rows: int) -> torch.cuda.CUDAGraph:
        # Kernels are compiled, and libraries take their workspaces, as they first run: before the capture.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._compute(rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._compute(rows)
        return graph
