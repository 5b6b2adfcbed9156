"""Executors keep the contract of `parley_worker.testing.executors`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.testing.executors import ExecutorContract


class TorchHarness:
    """What the torch executors share."""

    def poison(self, executor: TorchExecutor) -> None:
        executor.cache.keys.fill_(torch.nan)
        executor.cache.values.fill_(torch.nan)


class TestTorchExecutor(TorchHarness, ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.float32, torch.device("cpu")), cls.BLOCKS)


class TestTorchInt8(TorchHarness, ExecutorContract):
    """The last bit of a number may decide how it is rounded: then scores differ by what a step of int8 makes."""

    error = 3.0
    tolerance = 0.5

    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.float32, torch.device("cpu"), int8=True), cls.BLOCKS)
