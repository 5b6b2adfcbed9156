"""Native executors for tests."""

from __future__ import annotations

from pathlib import Path

from parley_worker.models.config import read_model_config
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library, block_bytes


def open_executor(
    folder: Path, blocks: int, *, int8: bool, threads: int = 1, library: Library | None = None
) -> NativeExecutor:
    """An executor of so many blocks."""
    config, library = read_model_config(folder), library or Library()
    size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, half=int8)
    return NativeExecutor(folder, int8=int8, kv_bytes=size * blocks, threads=threads, library=library)


def poison(executor: NativeExecutor) -> None:
    """Fill all blocks with NaN, in either precision."""
    for block in range(executor.blocks):
        executor.cache.fill(block, 0xFF)
