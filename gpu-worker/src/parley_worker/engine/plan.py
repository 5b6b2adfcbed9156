"""What a configuration comes to on this machine: arithmetic, device, threads, slots."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.errors import EngineConfigError
from parley_worker.models.config import ModelConfig

_SMALL_PARAMETERS = 30_000_000


def choose_device(config: EngineConfig) -> torch.device:
    """The device asked for; `auto` is the first CUDA device where there is one."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(config.device)
    except RuntimeError as error:
        raise EngineConfigError(f"device {config.device!r} is not a torch device") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not torch.cuda.is_available()):
        raise EngineConfigError(f"device {config.device!r} is not available here")
    return device


def choose_dtype(config: EngineConfig, device: torch.device) -> torch.dtype:
    """Of activations, keys and values, and of weights that are not int8."""
    if config.dtype is Dtype.AUTO:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.bfloat16 if config.dtype is Dtype.BFLOAT16 else torch.float32


def plan_cache(config: EngineConfig, model: ModelConfig, dtype: torch.dtype) -> tuple[int, int]:
    """(slots, window): the model's whole window if kv_bytes hold one, and as many as they hold up to the capacity."""
    tokens = config.kv_bytes // model.kv_bytes_per_token(dtype.itemsize)
    window = min(model.window, tokens)
    if window < 2:
        raise EngineConfigError(f"kv_bytes: {config.kv_bytes} bytes do not hold the keys and values of two tokens")
    return min(config.capacity, tokens // window), window


def choose_threads(config: EngineConfig, model: ModelConfig) -> int:
    """The threads asked for; else one for each physical core, but a single one for a small model.

    A layer of a small model takes microseconds: what more threads win when all cores are idle is little, and what
    they lose by waiting for each other when the cores are shared with the rest of a platform is a factor of ten.
    """
    if config.threads:
        return config.threads
    return 1 if model.parameters < _SMALL_PARAMETERS else count_physical_cores()


def count_physical_cores() -> int:
    """Physical cores that this process may use: a second thread on a core only slows the steps down."""
    cpus = os.sched_getaffinity(0)
    siblings = {_siblings(cpu) for cpu in cpus}
    return max(1, min(len(siblings), _quota(len(cpus))))


def _siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text() if path.exists() else str(cpu)


def _quota(default: int) -> int:
    """The limit of a container, in whole CPUs."""
    path = Path("/sys/fs/cgroup/cpu.max")
    quota, _, period = path.read_text().partition(" ") if path.exists() else ("max", "", "")
    return default if quota == "max" else max(1, int(quota) // int(period))
