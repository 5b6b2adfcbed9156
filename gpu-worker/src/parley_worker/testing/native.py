"""Native executors for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from parley_worker.engine.runner import Launched, Sampler
from parley_worker.models.config import read_model_config
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library, Pool, block_bytes
from parley_worker.native.sampler import NativeSampler
from parley_worker.scheduler.draw import Draw


def open_executor(
    folder: Path, blocks: int, *, int8: bool, threads: int = 1, library: Library | None = None
) -> NativeExecutor:
    """An executor of so many blocks."""
    config, library = read_model_config(folder), library or Library()
    size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, bf16=int8)
    return NativeExecutor(folder, int8=int8, kv_bytes=size * blocks, threads=threads, library=library)


def open_sampler(library: Library, threads: int = 1) -> Sampler:
    """A sampler for vocabularies of any size."""
    pool = Pool(library, threads)

    def sample(scores: Tensor, draws: Sequence[Draw]) -> Launched:
        return NativeSampler(pool, scores.shape[-1])(scores, draws)

    return sample


def poison(executor: NativeExecutor) -> None:
    """Fill all blocks with NaN, in either precision."""
    for block in range(executor.blocks):
        executor.cache.fill(block, 0xFF)
