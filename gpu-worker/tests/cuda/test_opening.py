"""What a configuration comes to on a CUDA device, as far as that needs none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from parley_worker.config import EngineConfig
from parley_worker.cuda.executor import Limits
from parley_worker.cuda.opening import limits_of, open_cuda
from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig, read_model_config

BUNDLED = Path(__file__).parents[2] / "src/parley_worker/bundled/parley-small"


@pytest.fixture
def model() -> ModelConfig:
    return replace(read_model_config(BUNDLED), window=1000)


def test_a_step_holds_all_answers_and_a_piece_of_a_prompt(model: ModelConfig) -> None:
    config = EngineConfig(BUNDLED, capacity=32, step_tokens=512)
    assert limits_of(config, model, 4096) == Limits(segments=32, rows=544, window=1000)
    assert limits_of(replace(config, capacity=None), model, 4096).segments == 256


def test_few_blocks_hold_few_answers_and_short_ones(model: ModelConfig) -> None:
    assert limits_of(EngineConfig(BUNDLED, step_tokens=512), model, 3) == Limits(segments=3, rows=515, window=48)


def test_memory_for_no_block_is_refused_before_any_work(model: ModelConfig) -> None:
    with pytest.raises(EngineConfigError, match="kv_bytes: 100 bytes do not hold a block"):
        open_cuda(EngineConfig(Path("nowhere"), kv_bytes=100), model, torch.device("cuda"))
