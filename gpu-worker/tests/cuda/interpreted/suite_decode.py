"""One row of each sequence."""

from __future__ import annotations

import pytest
import torch

from parley_worker.cuda.attention import Tiling
from parley_worker.testing.paged import new_paged

BORDERS = [(1, last) for last in (0, 1, 14, 15, 16, 31, 32, 33, 63, 64, 100)]


@pytest.mark.parametrize("head_dim", [64, 80, 128])
@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (4, 1), (8, 1), (14, 2)])
def test_heads_that_share_keys(heads: int, kv_heads: int, head_dim: int) -> None:
    paged = new_paged([(1, 40), (1, 3)], heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("programs", [1, 8, 32])
def test_lengths_about_the_borders_of_blocks_and_tiles(programs: int) -> None:
    paged = new_paged(BORDERS, tiling=Tiling(programs, 32, 32, 16))
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 16, 17, 64])
@pytest.mark.parametrize("programs", [1, 32])
def test_sliding_windows(window: int, programs: int) -> None:
    paged = new_paged(BORDERS, window=window, tiling=Tiling(programs, 16, 16, 16))
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


def test_more_splits_than_are_combined_at_once() -> None:
    paged = new_paged([(1, 700), (1, 2)], tiling=Tiling(128, 16, 16, 16))
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("programs", [1, 32])
def test_padding_attends_to_nothing(programs: int) -> None:
    paged = new_paged([(1, 5), (1, 90)], tiling=Tiling(programs, 16, 16, 16))
    assert torch.equal(paged.attend(padded=6), paged.attend())


def test_bfloat16() -> None:
    paged = new_paged(BORDERS, dtype=torch.bfloat16)
    torch.testing.assert_close(paged.attend().double(), paged.expect(), atol=2e-2, rtol=2e-2)


def test_numbers_that_are_not_finite_stay_in_their_sequence() -> None:
    paged = new_paged([(1, 70), (1, 40), (1, 9)], tiling=Tiling(64, 16, 16, 16))
    clean = paged.attend()
    paged.cache.values[0, paged.batch.blocks[1, 0], 3] = float("inf")
    spoilt = paged.attend()
    assert torch.equal(spoilt[[0, 2]], clean[[0, 2]])
    assert not spoilt[1].isfinite().any()
