"""What architectures ask of the kernels: the scores are those of the executor in plain torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parley_worker.cuda.attention import Tiling
from parley_worker.cuda.executor import CudaExecutor, Limits
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.scheduler.batch import Batch
from parley_worker.testing.checkpoints import all_cases, write_checkpoint

CASES = all_cases()
# Biases, norms of queries and keys, layers that slide or do not rotate, rotations that grow with the sequence.
TELLING = ["llama, tied", "qwen2, late layers slide", "qwen3, sliding, biases", "smollm3, sliding", "rope: dynamic"]


@pytest.mark.parametrize("case", TELLING)
def test_scores(case: str, tmp_path: Path) -> None:
    model = load_model(write_checkpoint(tmp_path / "model", **CASES[case]), torch.float32, torch.device("cpu"))
    ours = CudaExecutor(model, 8, Limits(2, 64, 64), tiling=Tiling(4, 16, 16, 32), graphs=False)
    theirs = TorchExecutor(model, 8)
    for part in (ours.cache.keys, ours.cache.values):
        part.fill_(torch.nan)
    tokens = np.random.default_rng(0).integers(0, 280, 64)
    # A prompt, then a row of it beside another prompt, then a row of each.
    for segments in ([(0, 21)], [(21, 22), (0, 3)], [(22, 23), (3, 4)]):
        batch = _batch(tokens, segments)
        torch.testing.assert_close(ours.execute(batch), theirs.execute(batch), atol=1e-4, rtol=1e-4)


def _batch(tokens: np.ndarray, segments: list[tuple[int, int]]) -> Batch:
    positions = np.concatenate([np.arange(begin, end) for begin, end in segments])
    starts = np.cumsum([0, *(end - begin for begin, end in segments)]).astype(np.int32)
    blocks = np.array([[5, 2], [4, 0]], dtype=np.int32)[: len(segments)]
    lengths = np.maximum(positions + 1, 50)  # beyond what the dynamic one was trained for
    return Batch(tokens[positions], positions, lengths, starts, blocks, starts[1:].astype(np.int64) - 1)
