"""Pieces of prompts, alone and behind segments of one row."""

from __future__ import annotations

import pytest
import torch

from parley_worker.cuda.attention import Tiling
from parley_worker.testing.paged import new_paged

CHUNKS = [(2, 0), (15, 0), (16, 16), (17, 15), (33, 5), (40, 60)]


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (4, 1), (8, 1), (3, 1)])
@pytest.mark.parametrize("head_dim", [64, 80, 128])
def test_heads_that_share_keys(heads: int, kv_heads: int, head_dim: int) -> None:
    paged = new_paged([(20, 0), (9, 30)], heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


def test_chunks_with_and_without_a_past() -> None:
    paged = new_paged(CHUNKS)
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 16, 20, 64])
def test_sliding_windows(window: int) -> None:
    paged = new_paged(CHUNKS, window=window, tiling=Tiling(8, 16, 16, 32))
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


def test_rows_whose_window_begins_after_the_first_tile_of_keys() -> None:
    paged = new_paged([(32, 16)], heads=2, window=3, tiling=Tiling(8, 16, 16, 32))
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


def test_mixed_with_segments_of_one_row() -> None:
    paged = new_paged([(1, 50), (1, 3), (21, 7), (1, 30), (5, 0)])
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


def test_bfloat16() -> None:
    paged = new_paged(CHUNKS, dtype=torch.bfloat16)
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=2e-2, rtol=2e-2)


def test_numbers_that_are_not_finite_stay_in_their_sequence() -> None:
    paged = new_paged([(20, 20), (20, 3)])
    clean = paged.attend()
    paged.cache.keys[0, paged.batch.blocks[1, 0], 0] = float("nan")
    spoilt = paged.attend()
    assert torch.equal(spoilt[:20], clean[:20])
    assert not spoilt[20:].isfinite().any()
