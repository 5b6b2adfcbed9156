"""Whether a model is served by the native executor."""

from __future__ import annotations

import logging

import torch

from parley_worker.config import Dtype, EngineConfig, ExecutorKind
from parley_worker.engine.errors import EngineConfigError
from parley_worker.native.errors import NativeUnavailable
from parley_worker.native.executor import NativeExecutor

logger = logging.getLogger(__name__)


def open_native(config: EngineConfig, device: torch.device, threads: int = 1) -> NativeExecutor | None:
    """The executor for this configuration, or None if torch is to compute it; a log line says so if that is slower.

    Raises EngineConfigError if the native executor alone is wanted and cannot be had, CheckpointError for the folder.
    """
    if config.executor == ExecutorKind.TORCH:
        return None
    try:
        return _open(config, device, threads)
    except NativeUnavailable as error:
        if config.executor == ExecutorKind.NATIVE:
            raise EngineConfigError(f"executor: native cannot be had: {error}") from error
        if device.type == "cpu" and config.dtype != Dtype.BFLOAT16:
            logger.warning("the engine computes with torch, which is slower: %s", error)
        return None
    except MemoryError as error:
        raise EngineConfigError(str(error)) from error


def _open(config: EngineConfig, device: torch.device, threads: int) -> NativeExecutor:
    if device.type != "cpu":
        raise NativeUnavailable(f"it computes on a CPU, not on {device.type}")
    if config.dtype == Dtype.BFLOAT16:
        raise NativeUnavailable("it computes in float32 or int8, not in bfloat16")
    int8 = config.dtype == Dtype.INT8
    return NativeExecutor(config.model, int8=int8, kv_bytes=config.kv_bytes, threads=threads)
