"""From a configuration to an executor on a CUDA device, ready to serve."""

from __future__ import annotations

import torch

from parley_worker.config import CUDA_CAPACITY, Dtype, EngineConfig
from parley_worker.cuda.executor import CudaExecutor, Limits
from parley_worker.cuda.narrow import narrow
from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig
from parley_worker.models.loader import load_model
from parley_worker.scheduler.batch import BLOCK_SIZE

MOST_STEP_TOKENS = 8192


def open_cuda(config: EngineConfig, model: ModelConfig, device: torch.device) -> CudaExecutor:
    """Load the model and record its graphs, which takes some seconds. Raises CheckpointError or EngineConfigError.

    int8 narrows the weights alone: what reads memory is what a decode step waits for. The rest is bfloat16 then.
    """
    dtype = torch.float32 if config.dtype is Dtype.FLOAT32 else torch.bfloat16
    block_bytes = BLOCK_SIZE * model.kv_bytes_per_token(dtype.itemsize)
    blocks = config.kv_bytes // block_bytes
    if not blocks:
        raise EngineConfigError(f"kv_bytes: {config.kv_bytes} bytes do not hold a block of {block_bytes}")
    try:
        decoder = load_model(config.model, dtype, device)
        if config.dtype is Dtype.INT8:
            decoder = narrow(decoder, torch.int8)
        executor = CudaExecutor(decoder, blocks, limits_of(config, model, blocks))
        executor.capture()
    except torch.OutOfMemoryError as error:
        raise EngineConfigError(
            f"kv_bytes: the device has no room for {config.kv_bytes} bytes and the model"
        ) from error
    return executor


def limits_of(config: EngineConfig, model: ModelConfig, blocks: int) -> Limits:
    """The greatest step of a scheduler with this configuration: the answers' rows come on top of step_tokens."""
    segments = min(config.capacity or CUDA_CAPACITY, blocks)
    rows = (config.step_tokens or MOST_STEP_TOKENS) + segments
    return Limits(segments, rows, min(model.window, blocks * BLOCK_SIZE))
