"""Executors keep the contract of `parley_worker.testing.executors`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.torch_executor import TorchExecutor
from parley_worker.models.loader import load_model
from parley_worker.testing.checkpoints import write_checkpoint
from parley_worker.testing.executors import CASES, ExecutorContract

CPU = torch.device("cpu")


class TorchHarness:
    """What the torch executors share."""

    def poison(self, executor: TorchExecutor) -> None:
        executor.cache.keys.fill_(torch.nan)
        executor.cache.values.fill_(torch.nan)


class TestTorchExecutor(TorchHarness, ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.float32, CPU), cls.BLOCKS)


class RoundedHarness(TorchHarness):
    """The last bit of a number may decide how it is rounded: then scores differ by what that makes."""

    error = 3.0
    tolerance = 0.5

    @pytest.fixture(scope="class", params=["llama", "qwen2, late layers slide", "qwen3, sliding, biases", "smollm3"])
    @classmethod
    def model_folder(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return write_checkpoint(tmp_path_factory.mktemp("model"), **CASES[request.param])


class TestTorchInt8(RoundedHarness, ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.float32, CPU, int8=True), cls.BLOCKS)


class TestTorchBfloat16(RoundedHarness, ExecutorContract):
    @pytest.fixture(scope="class")
    @classmethod
    def opened(cls, model_folder: Path) -> TorchExecutor:
        return TorchExecutor(load_model(model_folder, torch.bfloat16, CPU), cls.BLOCKS)


@pytest.mark.parametrize("blocks", [1 << 40, 1 << 60])
def test_more_blocks_than_there_is_memory_for_are_refused(checkpoint: Path, blocks: int) -> None:
    with pytest.raises(EngineConfigError, match=f"no memory for {blocks} blocks"):
        TorchExecutor(load_model(checkpoint, torch.float32, CPU), blocks)
