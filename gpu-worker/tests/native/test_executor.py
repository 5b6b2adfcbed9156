"""The native executor keeps to the contract of all executors, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_worker.models.config import read_model_config
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import Library, block_bytes
from parley_worker.testing.executors import ExecutorContract


class TestNativeExecutor(ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> NativeExecutor:
        return open_executor(model_folder, cls.BLOCKS, int8=False)

    def poison(self, executor: NativeExecutor) -> None:
        for block in range(executor.blocks):
            executor.cache.fill(block, 0xFF)


def open_executor(
    folder: Path, blocks: int, *, int8: bool, threads: int = 1, library: Library | None = None
) -> NativeExecutor:
    config, library = read_model_config(folder), library or Library()
    size = block_bytes(library, config.layers, config.kv_heads, config.head_dim, half=int8)
    return NativeExecutor(folder, int8=int8, kv_bytes=size * blocks, threads=threads, library=library)
