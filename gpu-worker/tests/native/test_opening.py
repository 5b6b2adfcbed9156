"""The native executor serves what it can, torch the rest, and whoever wants the one alone is told why not."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from parley_worker.config import Dtype, EngineConfig, ExecutorKind
from parley_worker.engine.errors import EngineConfigError
from parley_worker.engine.opening import open_engine
from parley_worker.models.errors import CheckpointError
from parley_worker.models.loader import load_model
from parley_worker.models.quantized import MOST_INPUTS
from parley_worker.native.executor import NativeExecutor
from parley_worker.native.library import MAX_INPUTS
from parley_worker.native.opening import open_native
from parley_worker.testing.checkpoints import write_checkpoint

CPU = torch.device("cpu")


def write_wide(folder: Path, inputs: int) -> Path:
    """A model, small otherwise, one of whose matrices has so many inputs."""
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    return write_checkpoint(folder, intermediate_size=inputs, **small)


def test_auto_falls_back_to_torch_in_one_line(
    small_library: Path, tmp_path: Path, no_compiler: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_native(EngineConfig(tmp_path), CPU) is None
    (record,) = caplog.records
    assert "computes with torch, which is slower: no C++ compiler" in record.getMessage()


def test_what_torch_is_wanted_or_needed_for_is_not_worth_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = EngineConfig(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert open_native(replace(config, executor=ExecutorKind.TORCH), CPU) is None
        assert open_native(replace(config, dtype=Dtype.BFLOAT16), CPU) is None
        assert open_native(config, torch.device("cuda")) is None
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "device", "reason"),
    [
        ({"dtype": Dtype.BFLOAT16}, "cpu", "it computes in float32 or int8, not in bfloat16"),
        ({}, "cuda", "it computes on a CPU, not on cuda"),
    ],
)
def test_native_that_cannot_be_had_is_refused(
    tmp_path: Path, changes: dict[str, Dtype], device: str, reason: str
) -> None:
    config = replace(EngineConfig(tmp_path, executor=ExecutorKind.NATIVE), **changes)
    with pytest.raises(EngineConfigError, match=f"executor: native cannot be had: {reason}"):
        open_native(config, torch.device(device))


def test_native_without_a_library_is_refused(small_library: Path, tmp_path: Path, no_compiler: None) -> None:
    with pytest.raises(EngineConfigError, match="executor: native cannot be had: no C"):
        open_native(EngineConfig(tmp_path, executor=ExecutorKind.NATIVE), CPU)


def test_auto_is_native_where_it_can_be_had(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    executor = open_native(EngineConfig(folder, kv_bytes=1 << 20), CPU, threads=2)
    assert isinstance(executor, NativeExecutor)
    assert executor.threads == 2
    assert executor.blocks == (1 << 20) // (2 * 2 * 16 * (12 + 16) * 4)


def test_rows_that_are_too_long_for_it_are_left_to_torch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_wide(tmp_path / "model", MAX_INPUTS + 1)
    config = EngineConfig(folder, kv_bytes=1 << 20, threads=1, step_tokens=16)
    with caplog.at_level(logging.WARNING):
        engine = open_engine(config)
    assert engine.window == 160
    (record,) = caplog.records
    assert "computes with torch, which is slower: the model has rows of 131073 numbers" in record.getMessage()
    with pytest.raises(EngineConfigError, match="executor: native cannot be had: the model has rows of 131073 numbers"):
        open_engine(replace(config, executor=ExecutorKind.NATIVE))


def test_rows_whose_int8_sums_may_overflow_are_refused(tmp_path: Path) -> None:
    folder = write_wide(tmp_path / "model", MOST_INPUTS + 1)
    with pytest.raises(CheckpointError, match=f"has rows of {MOST_INPUTS + 1} numbers, and int8 takes {MOST_INPUTS}"):
        load_model(folder, torch.float32, CPU, int8=True)
