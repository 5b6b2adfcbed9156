"""What this machine has, and what a configuration comes to on it."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from parley_worker.config import Dtype, EngineConfig
from parley_worker.engine.errors import EngineConfigError


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
