"""Executors keep the contract of `parley_worker.testing.executors`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.testing.executors import ExecutorContract


class TestTorchExecutor(ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.float32, torch.device("cpu")), cls.BLOCKS)

    def poison(self, executor: TorchExecutor) -> None:
        executor.cache.keys.fill_(torch.nan)
        executor.cache.values.fill_(torch.nan)
