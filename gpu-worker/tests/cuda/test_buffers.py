"""A batch as one array: padding, slots, tiles, buckets. No kernel runs here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parley_worker.cuda.buffers import Layout, count_singles, cut_tiles, pack
from parley_worker.cuda.graphs import bucket, buckets
from parley_worker.cuda.staging import Staging
from parley_worker.scheduler.batch import Batch
from parley_worker.testing.segments import Blocks, Text, make_batch, make_tokens


@pytest.fixture
def texts() -> list[Text]:
    blocks = Blocks(16)
    return [blocks.text(make_tokens(size, size)) for size in (40, 17, 70)]


@pytest.fixture
def batch(texts: list[Text]) -> Batch:
    """Two segments of one row, then a piece of a prompt."""
    one, other, long = texts
    return make_batch([one.part(39), other.part(16), long.part(30, 70, draws=(69,))])


def test_everything_is_where_the_layout_says(batch: Batch, texts: list[Text]) -> None:
    ints = torch.full((400,), 77, dtype=torch.int32)
    size = pack(batch, 45, cut_tiles(batch, 2, 16), ints.numpy())
    inputs = Layout(45, 3).view(ints)
    assert inputs.header[0] == batch.blocks.shape[1]
    assert inputs.tokens[:42].tolist() == batch.tokens.tolist()
    assert inputs.positions[:42].tolist() == batch.positions.tolist()
    assert inputs.lengths[:42].tolist() == batch.lengths.tolist()
    assert inputs.draws[:3].tolist() == [0, 1, 41]
    assert inputs.tiles.tolist() == [[2, 2, 16], [2, 18, 16], [2, 34, 8]]
    assert inputs.tables[: batch.blocks.size].tolist() == batch.blocks.flatten().tolist()
    assert ints[size:].unique().tolist() == [77]
    slots = [text.blocks[at // 16] * 16 + at % 16 for text, at in [(texts[0], 39), (texts[1], 16)]]
    assert inputs.slots[:2].tolist() == slots
    assert inputs.slots[2:42].tolist() == [texts[2].blocks[at // 16] * 16 + at % 16 for at in range(30, 70)]


def test_padding_is_nowhere(batch: Batch) -> None:
    inputs = Staging(400, torch.device("cpu")).send(batch, 48, cut_tiles(batch, 2, 16))
    assert inputs.slots[42:].tolist() == inputs.positions[42:].tolist() == [-1] * 6
    assert inputs.tokens[42:].tolist() == [0] * 6


def test_what_does_not_fit_is_refused(batch: Batch) -> None:
    tiles = cut_tiles(batch, 2, 16)
    size = pack(batch, 48, tiles, np.zeros(400, dtype=np.int32))
    with pytest.raises(ValueError, match="limits"):
        pack(batch, 48, tiles, np.zeros(size - 1, dtype=np.int32))


def test_steps_of_as_many_rows_lie_at_the_same_address(texts: list[Text]) -> None:
    staging, none = Staging(400, torch.device("cpu")), np.zeros((0, 3), dtype=np.int32)
    short = staging.send(make_batch([texts[1].part(0, 1)]), 4, none)
    before = [part.data_ptr() for part in (short.tokens, short.slots, short.draws, short.tables)]
    long = staging.send(make_batch([text.part(16, 17) for text in texts]), 4, none)
    assert [part.data_ptr() for part in (long.tokens, long.slots, long.draws, long.tables)] == before


@pytest.mark.parametrize("rows", range(1, 9))
def test_every_part_begins_at_a_multiple_of_16_bytes(rows: int) -> None:
    ints = torch.zeros(400, dtype=torch.int32)
    inputs = Layout(rows, 3).view(ints)
    parts = [inputs.tokens, inputs.positions, inputs.lengths, inputs.slots, inputs.draws, inputs.tiles, inputs.tables]
    assert [(part.data_ptr() - ints.data_ptr()) % 16 for part in parts] == [0] * 7


def test_singles_are_those_that_come_first(texts: list[Text]) -> None:
    one, other, long = texts
    assert count_singles(make_batch([one.part(39), long.part(3, 9), other.part(16)])) == 1
    assert count_singles(make_batch([one.part(39), other.part(16)])) == 2
    assert count_singles(make_batch([long.part(3, 9), other.part(16)])) == 0


@pytest.mark.parametrize("tile_rows", [1, 5, 16, 64])
def test_tiles_hold_every_row_of_their_segments_once(texts: list[Text], tile_rows: int) -> None:
    one, other, long = texts
    batch = make_batch([one.part(39), long.part(3, 70), other.part(0, 1), one.part(0, 33)])
    tiles = cut_tiles(batch, 1, tile_rows)
    rows = [(segment, row) for segment, first, count in tiles.tolist() for row in range(first, first + count)]
    starts = batch.starts.tolist()
    assert rows == [(segment, row) for segment in (1, 2, 3) for row in range(starts[segment], starts[segment + 1])]
    assert tiles[:, 2].max() <= tile_rows


def test_buckets() -> None:
    assert [bucket(rows) for rows in (1, 2, 3, 4, 5, 8, 9, 24, 25, 256)] == [1, 2, 4, 4, 8, 8, 16, 24, 32, 256]
    assert buckets(1) == [1]
    assert buckets(3) == [1, 2, 4]
    assert buckets(17) == [1, 2, 4, 8, 16, 24]
