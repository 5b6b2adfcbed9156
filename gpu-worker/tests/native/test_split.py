"""A row alone has the same bits however its attention is cut: by heads, by chunks of 256 positions, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library
from parley_worker.scheduler.batch import Batch
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.native import open_executor, poison
from parley_worker.testing.segments import Blocks, make_batch, make_tokens

BLOCKS = 300
# Around the borders of chunks, and of so many that threads get several each.
LENGTHS = (1, 128, 255, 256, 257, 258, 511, 512, 513, 514, 700, 1030)
LONG = 4200  # so long that rows are cut although there are heads for all threads
SHAPES: dict[str, dict[str, Any]] = {
    "heads": {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 16},
    "one head": {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 20},
    "windows": {
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "use_sliding_window": True,
        "sliding_window": 300,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "num_hidden_layers": 3,
    },
}


@pytest.fixture(params=SHAPES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_checkpoint(
        tmp_path / "model", architecture="qwen3", max_position_embeddings=LONG, **SHAPES[request.param]
    )


def prefill(executor: NativeExecutor, lengths: tuple[int, ...]) -> Batch:
    """What is left then: a step with the last row of each text of these lengths."""
    blocks = Blocks(BLOCKS)
    poison(executor)
    texts = [blocks.text(make_tokens(length, length)) for length in lengths]
    for text in texts:
        if len(text.tokens) > 1:
            executor.execute(make_batch([text.part(0, len(text.tokens) - 1, ())]))
    return make_batch([text.part(len(text.tokens) - 1) for text in texts])


@pytest.mark.parametrize("int8", [False, True])
def test_cuts_change_no_bit(folder: Path, library: Library, int8: bool) -> None:
    """Of one row, and of a short one beside a long one."""
    executor = open_executor(folder, BLOCKS, int8=int8, library=library)
    for lengths in [*((length,) for length in LENGTHS), (LONG,), (1030, 1), (40, 700), (300, 600, 513)]:
        executor.set_threads(1)
        step = prefill(executor, lengths)
        expected = executor.execute(step).clone()
        for threads in (2, 3, 8):
            executor.set_threads(threads)
            assert torch.equal(executor.execute(step), expected), (lengths, threads)
