"""Attention on the device, with the tiles of the device."""

from __future__ import annotations

import pytest
import torch

from parley_worker.cuda.attention import Tiling
from parley_worker.testing.paged import Paged, Segments, new_paged

LENGTHS = (0, 1, 15, 16, 17, 63, 64, 65, 500, 4097)
DECODES = [(1, last) for last in LENGTHS]
CHUNKS = [(2, 0), (63, 0), (64, 64), (129, 15), (700, 300)]
SHAPES = [(2, 2, 64), (4, 2, 80), (16, 8, 128), (32, 8, 128), (14, 2, 64), (8, 1, 128)]


def on_device(segments: Segments, dtype: torch.dtype, shape: tuple[int, int, int], window: int | None) -> Paged:
    heads, kv_heads, head_dim = shape
    tiling = Tiling.of(torch.device("cuda"), dtype)
    return new_paged(
        segments,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        window=window,
        dtype=dtype,
        device="cuda",
        tiling=tiling,
    )


@pytest.mark.parametrize("segments", [DECODES, CHUNKS, DECODES + CHUNKS], ids=["decode", "prefill", "mixed"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [None, 17, 1000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_attention(
    segments: Segments, shape: tuple[int, int, int], window: int | None, dtype: torch.dtype, tolerance: float
) -> None:
    paged = on_device(segments, dtype, shape, window)
    torch.testing.assert_close(paged.attend().double().cpu(), paged.expect(), atol=tolerance, rtol=tolerance)


def test_padding_attends_to_nothing() -> None:
    paged = on_device(DECODES, torch.bfloat16, (16, 8, 128), None)
    torch.testing.assert_close(paged.attend(padded=22), paged.attend(), atol=3e-2, rtol=3e-2)
