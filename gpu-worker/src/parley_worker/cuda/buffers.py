"""A batch as one array of numbers, so that it goes to the device in one copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from parley_worker.scheduler.batch import BLOCK_SIZE, Batch, Int32s, Ints

# In ints. Every part begins at a multiple of 16 bytes, whatever the step: kernels are compiled for such addresses.
_ALIGNED = 4
_HEADER = _ALIGNED


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a step lie: the header, five numbers a row, three a tile, the tables.

    rows are those of the batch and padding. The tables come last and are as wide as the batch's, which the header
    tells the device: so everything lies where it lay in the last step of as many rows and tiles.
    """

    rows: int
    tiles: int

    @property
    def tables_begin(self) -> int:
        return self.tiles_begin + _align(3 * self.tiles)

    @property
    def tiles_begin(self) -> int:
        return _HEADER + 5 * _align(self.rows)

    def view(self, ints: Tensor) -> Inputs:
        """The parts of a step in `ints`."""
        part = ints[_HEADER : self.tiles_begin].view(5, -1)[:, : self.rows]
        return Inputs(
            header=ints[:_HEADER],
            tokens=part[0],
            positions=part[1],
            lengths=part[2],
            slots=part[3],
            draws=part[4],
            tiles=ints[self.tiles_begin : self.tiles_begin + 3 * self.tiles].view(self.tiles, 3),
            tables=ints[self.tables_begin :],
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """A step on the device, int32. Padding has position and slot -1: it attends to nothing and is kept nowhere.

    header [0]: the width of the tables. tokens, positions, lengths [rows]: as in Batch. slots [rows]: block *
    BLOCK_SIZE + place in the block. draws [rows]: as in Batch, as many as there are. tiles [tiles, 3]: segment, first
    row, rows. tables: Batch.blocks, flat.
    """

    header: Tensor
    tokens: Tensor
    positions: Tensor
    lengths: Tensor
    slots: Tensor
    draws: Tensor
    tiles: Tensor
    tables: Tensor


def count_singles(batch: Batch) -> int:
    """How many segments of one row the batch begins with."""
    longer = np.flatnonzero(np.diff(batch.starts) != 1)
    return int(longer[0]) if len(longer) else len(batch.blocks)


def cut_tiles(batch: Batch, first: int, tile_rows: int) -> Int32s:
    """The rows of the segments from `first` on in tiles of at most tile_rows: [tiles, 3] as in `Inputs`."""
    begins, lengths = batch.starts[first:-1], np.diff(batch.starts[first:])
    counts = -(-lengths // tile_rows)
    segments = np.repeat(np.arange(len(counts)), counts)
    within = (np.arange(len(segments)) - np.repeat(np.cumsum(counts) - counts, counts)) * tile_rows
    rows = np.minimum(lengths[segments] - within, tile_rows)
    return np.stack((segments + first, begins[segments] + within, rows), axis=1).astype(np.int32)


def pack(batch: Batch, rows: int, tiles: Int32s, out: Int32s) -> int:
    """Write a batch, padded to `rows`, to `out`; how many numbers that are. ValueError if it does not fit."""
    layout = Layout(rows, len(tiles))
    size = layout.tables_begin + batch.blocks.size
    if size > len(out):
        raise ValueError(f"a step of {rows} rows and {batch.blocks.size} blocks is over the executor's limits")
    count = len(batch.tokens)
    part = out[_HEADER : layout.tiles_begin].reshape(5, -1)
    part[:, count:] = np.array([[0], [-1], [0], [-1], [0]])
    part[0, :count], part[1, :count], part[2, :count] = batch.tokens, batch.positions, batch.lengths
    part[3, :count] = _slots(batch)
    part[4, : len(batch.draws)] = batch.draws
    out[0] = batch.blocks.shape[1]
    out[layout.tiles_begin : layout.tiles_begin + tiles.size] = tiles.reshape(-1)
    out[layout.tables_begin : size] = batch.blocks.reshape(-1)
    return size


def _align(ints: int) -> int:
    return -(-ints // _ALIGNED) * _ALIGNED


def _slots(batch: Batch) -> Ints:
    segments = np.repeat(np.arange(len(batch.blocks)), np.diff(batch.starts))
    held = batch.blocks[segments, batch.positions // BLOCK_SIZE].astype(np.int64)
    return held * BLOCK_SIZE + batch.positions % BLOCK_SIZE
